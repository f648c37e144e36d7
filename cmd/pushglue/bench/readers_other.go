//go:build !linux

package bench

import (
	"errors"
	"io"
)

var errNoReaders = errors.New("the readers of this bench need Linux: one process holds many thousands of them with epoll")

// ServeReaders works only on Linux.
func ServeReaders(io.Reader, io.Writer) error { return errNoReaders }

func readersPerProcess() (int, error) { return 0, errNoReaders }

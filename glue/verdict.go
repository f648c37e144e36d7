package glue

import (
	"errors"
	"fmt"
)

var (
	// ErrDrop is a stage's verdict that a message goes nowhere. Its job is finished.
	ErrDrop = errors.New("dropped")

	// ErrFlag is a stage's verdict that something is wrong with a message that goes on all the
	// same. It is counted.
	ErrFlag = errors.New("flagged")

	// ErrUnavailable is a publisher's outcome when no destination is up: it is no fault of the
	// message, so its job waits, in order, and no attempt is counted. Of a stage it says that somebody
	// whom the stage needs is not there yet: the job waits beside the line, and no attempt is counted.
	ErrUnavailable = errors.New("unavailable")
)

// Drop returns an error that is ErrDrop and says why.
func Drop(reason string) error { return fmt.Errorf("%w: %s", ErrDrop, reason) }

type permanentError struct{ err error }

func (e *permanentError) Error() string { return e.err.Error() }
func (e *permanentError) Unwrap() error { return e.err }

// Permanent marks an error that no retry can mend. Permanent(nil) is nil.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return &permanentError{err}
}

// Permanentf is Permanent(fmt.Errorf(format, args...)).
func Permanentf(format string, args ...any) error {
	return Permanent(fmt.Errorf(format, args...))
}

// IsPermanent reports whether err, or an error that it wraps, is permanent.
func IsPermanent(err error) bool {
	_, is := errors.AsType[*permanentError](err)
	return is
}

// detailedError is an error whose text holds no payload, with one that may.
type detailedError struct {
	error
	detail error
}

func (e *detailedError) Unwrap() error { return e.error }

// WithDetail returns err with another error behind it that may quote payload. It has the text of err;
// who may see payload asks for Detail.
func WithDetail(err, detail error) error { return &detailedError{error: err, detail: detail} }

// Detail returns what WithDetail put behind err, or an error that it wraps; nil if there is nothing.
func Detail(err error) error {
	var d *detailedError
	if errors.As(err, &d) {
		return d.detail
	}
	return nil
}

// hostError is an error of one push host.
type hostError struct {
	host string
	err  error
}

func (e *hostError) Error() string { return "host " + e.host + ": " + e.err.Error() }
func (e *hostError) Unwrap() error { return e.err }

// AtHost returns err as the error of a push host, whose name its text begins with.
func AtHost(host string, err error) error { return &hostError{host, err} }

// HostOf returns the push host whose error err is, or wraps; an empty string if it is none.
func HostOf(err error) string {
	if at, is := errors.AsType[*hostError](err); is {
		return at.host
	}
	return ""
}

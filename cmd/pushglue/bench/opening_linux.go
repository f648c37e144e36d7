package bench

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Bounds of the attempts to open a reader.
const (
	maxAttempts = 5
	retryPause  = 500 * time.Millisecond
	openTimeout = 10 * time.Second
)

// sourcePorts is how many readers share a source address. The system has 28,000 ports for each address by default,
// and is slow to find a free one when most are taken.
const sourcePorts = 4096

// retry is a reader that is to be tried again.
type retry struct {
	reader int
	at     time.Time
}

func sockaddr(a netip.AddrPort) (address unix.Sockaddr, family int) {
	if a.Addr().Is4() {
		return &unix.SockaddrInet4{Port: int(a.Port()), Addr: a.Addr().As4()}, unix.AF_INET
	}
	return &unix.SockaddrInet6{Port: int(a.Port()), Addr: a.Addr().As16()}, unix.AF_INET6
}

// settled reports whether there is nothing left to try.
func (r *readers) settled() bool {
	return r.tries == len(r.readers) && r.opening == 0 && len(r.retries) == 0
}

// connect begins to open as many readers as may be in flight.
func (r *readers) connect() {
	for r.opening < r.order.InFlight {
		switch {
		case len(r.retries) > 0 && r.now.After(r.retries[0].at):
			i := r.retries[0].reader
			r.retries = r.retries[1:]
			r.try(i)
		case r.tries < len(r.readers):
			r.tries++
			r.try(r.tries - 1)
		default:
			return
		}
	}
}

// try begins to open a reader.
func (r *readers) try(i int) {
	reader := &r.readers[i]
	reader.attempts++
	reader.since = r.now.Sub(r.start)
	r.opening++
	fd, err := unix.Socket(r.family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		r.failed(i, fmt.Errorf("socket: %w", err))
		return
	}
	reader.fd, reader.state = int32(fd), connecting
	if err := r.dial(i, fd); err != nil {
		r.drop(i, fmt.Errorf("connect: %w", err))
	}
}

// dial begins to connect a socket. It is written to and read from at changes only, until there is nothing left to
// read (epoll's edges), which takes one system call for most deliveries.
func (r *readers) dial(i, fd int) error {
	if r.local {
		if err := r.bind(i, fd); err != nil {
			return err
		}
	}
	if err := unix.Connect(fd, r.target); err != nil && !errors.Is(err, unix.EINPROGRESS) {
		return err
	}
	return unix.EpollCtl(r.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{
		Events: unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLRDHUP | unix.EPOLLET&0xffffffff, Fd: int32(i),
	})
}

// bind gives a socket its source address, 127.1.0.1 or one of those behind it.
func (r *readers) bind(i, fd int) error {
	n := (r.order.First+i)/sourcePorts + 1
	if err := unix.SetsockoptInt(fd, unix.SOL_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1); err != nil {
		return err
	}
	return unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, byte(1 + n>>16), byte(n >> 8), byte(n)}})
}

// ask writes the request of a reader that is connected.
func (r *readers) ask(i int) error {
	reader := &r.readers[i]
	errno, err := unix.GetsockoptInt(int(reader.fd), unix.SOL_SOCKET, unix.SO_ERROR)
	if err == nil && errno != 0 {
		err = syscall.Errno(errno)
	}
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	request := fmt.Appendf(nil, "GET %s%s HTTP/1.1\r\nHost: %s\r\nAccept: text/event-stream\r\n\r\n",
		r.order.Path, Channel(r.order.channel(i)), r.order.Host)
	reader.state = asked
	n, err := unix.Write(int(reader.fd), request)
	if err == nil && n < len(request) {
		err = io.ErrShortWrite
	}
	if err != nil {
		return fmt.Errorf("write the request: %w", err)
	}
	return nil
}

// opened notes that the push host has greeted a reader.
func (r *readers) opened(reader *reader) {
	reader.state = open
	r.opening--
	r.open++
	r.report.Connected++
}

// failed notes that an attempt to open a reader failed, and whether it is tried again.
func (r *readers) failed(i int, err error) {
	r.opening--
	r.report.Failures[reason(err)]++
	var status statusError
	refused := errors.As(err, &status) && status < 500
	if !refused && r.readers[i].attempts < maxAttempts {
		r.retries = append(r.retries, retry{i, r.now.Add(retryPause)})
	}
}

// expire ends the attempts that take too long.
func (r *readers) expire() {
	if r.opening == 0 {
		return
	}
	for i := range r.readers {
		reader := &r.readers[i]
		if reader.state != closed && reader.state != open && r.now.Sub(r.start)-reader.since > openTimeout {
			r.drop(i, fmt.Errorf("no stream in %s", openTimeout))
		}
	}
}

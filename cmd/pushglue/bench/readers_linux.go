package bench

import (
	"encoding/json"
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
	maxAttempts  = 5
	retryPause   = 500 * time.Millisecond
	openTimeout  = 10 * time.Second
	progressTime = time.Second
)

// sourcePorts is how many readers share a source address. The system has 28,000 ports for each address by default,
// and is slow to find a free one when most are taken.
const sourcePorts = 4096

// ServeReaders is a readers' process: it does what the orders say and tells the news, until in ends.
func ServeReaders(in io.Reader, out io.Writer) error {
	orders := make(chan order)
	failed := make(chan error, 1)
	go func() {
		defer close(orders)
		lines := json.NewDecoder(in)
		for {
			var o order
			if err := lines.Decode(&o); err != nil {
				failed <- err
				return
			}
			orders <- o
		}
	}()
	first, ok := <-orders
	if ok && first.Open != nil {
		return serveReaders(*first.Open, orders, json.NewEncoder(out))
	}
	if err := <-failed; !errors.Is(err, io.EOF) {
		return fmt.Errorf("read orders: %w", err)
	}
	return nil
}

func serveReaders(o openOrder, orders <-chan order, out *json.Encoder) error {
	r, err := newReaders(o)
	if err != nil {
		return err
	}
	defer unix.Close(r.epoll)
	return r.run(orders, func(n news) error { return out.Encode(n) })
}

// reader is one EventSource reader. A process has many thousands of them.
type reader struct {
	stream
	sequence
	since    time.Duration // when the attempt to open it began, after the start of the process's work
	fd       int32
	state    readerState
	attempts uint8
}

// readerState is how far a reader is.
type readerState uint8

const (
	closed     readerState = iota // not yet open, or no more
	connecting                    // the connection is being made
	asked                         // the request is written
	open                          // the push host has greeted
)

// readers are the readers of a process, with everything that they share. One goroutine does all of it.
type readers struct {
	order  openOrder
	target unix.Sockaddr
	family int
	local  bool // the target is on this machine

	epoll   int
	buffer  []byte
	events  []unix.EpollEvent
	readers []reader
	got     func(data []byte) // takes the data of an event for the reader at hand
	at      *reader           // the reader at hand
	channel int               // its place

	start    time.Time
	now      time.Time
	tries    int     // readers that were tried
	opening  int     // attempts at the moment
	retries  []retry // in the order of their time
	open     int     // readers
	ready    bool
	finish   *finishOrder
	deadline time.Time // for finish
	due      int       // deliveries that are outstanding, once finish says what was sent
	cpu      time.Duration
	latency  *Latency
	report   crowdReport
}

// retry is a reader that is to be tried again.
type retry struct {
	reader int
	at     time.Time
}

func newReaders(o openOrder) (*readers, error) {
	address, err := netip.ParseAddrPort(o.Address)
	if err != nil {
		return nil, err
	}
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("epoll: %w", err)
	}
	r := &readers{
		order: o, epoll: epoll, buffer: make([]byte, 64<<10), events: make([]unix.EpollEvent, 1024),
		readers: make([]reader, o.Readers), latency: NewLatency(), start: time.Now(), now: time.Now(),
		report: crowdReport{Failures: map[string]int{}, Ended: map[string]int{}},
	}
	r.got = r.deliver
	r.target, r.family = sockaddr(address)
	r.local = address.Addr().Is4() && address.Addr().IsLoopback()
	return r, nil
}

func sockaddr(a netip.AddrPort) (address unix.Sockaddr, family int) {
	if a.Addr().Is4() {
		return &unix.SockaddrInet4{Port: int(a.Port()), Addr: a.Addr().As4()}, unix.AF_INET
	}
	return &unix.SockaddrInet6{Port: int(a.Port()), Addr: a.Addr().As16()}, unix.AF_INET6
}

// run opens the readers and has them read until the orders end, or the report was told.
func (r *readers) run(orders <-chan order, tell func(news) error) error {
	told := r.now
	for {
		r.connect()
		if err := r.poll(); err != nil {
			return err
		}
		select {
		case o, ok := <-orders:
			if !ok {
				return nil
			}
			r.expect(o.Finish)
		default:
		}
		ready := !r.ready && r.settled()
		if ready {
			r.ready, r.cpu = true, processCPU()
		}
		finished := r.finish != nil && (r.due <= 0 || r.now.After(r.deadline))
		if !ready && !finished && r.now.Sub(told) < progressTime {
			continue
		}
		told = r.now
		r.expire()
		n := news{Progress: Progress{Open: r.open, Deliveries: r.report.Deliveries}, Ready: ready}
		if finished {
			var err error
			if n.Report, err = r.result(); err != nil {
				return err
			}
		}
		if err := tell(n); err != nil || finished {
			return err
		}
	}
}

// settled reports whether there is nothing left to try.
func (r *readers) settled() bool {
	return r.tries == len(r.readers) && r.opening == 0 && len(r.retries) == 0
}

// poll waits for a moment until something happens to the readers, and looks after it.
func (r *readers) poll() error {
	const moment = 50 // milliseconds
	n, err := unix.EpollWait(r.epoll, r.events, moment)
	r.now = time.Now()
	if err != nil && !errors.Is(err, unix.EINTR) {
		return fmt.Errorf("epoll: %w", err)
	}
	for i := range max(n, 0) {
		r.handle(int(r.events[i].Fd), r.events[i].Events)
	}
	return nil
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

// handle looks after a reader to whom something has happened.
func (r *readers) handle(i int, events uint32) {
	reader := &r.readers[i]
	if reader.state == connecting {
		if err := r.ask(i); err != nil {
			r.drop(i, err)
			return
		}
	}
	const ending = unix.EPOLLRDHUP | unix.EPOLLHUP | unix.EPOLLERR
	if reader.state != closed && events&(unix.EPOLLIN|ending) != 0 {
		r.read(i, events&ending != 0)
	}
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

// read reads what has come for a reader. A piece that does not fill the buffer is the last one, unless
// the stream is ending.
func (r *readers) read(i int, ending bool) {
	reader := &r.readers[i]
	for {
		n, err := unix.Read(int(reader.fd), r.buffer)
		switch {
		case errors.Is(err, unix.EAGAIN):
			return
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			r.drop(i, err)
			return
		case n == 0:
			r.drop(i, io.EOF)
			return
		}
		r.now, r.at, r.channel = time.Now(), reader, r.order.channel(i)
		if err := reader.feed(r.buffer[:n], r.got); err != nil {
			r.drop(i, err)
			return
		}
		if reader.state == asked && reader.greeted {
			reader.state = open
			r.opening--
			r.open++
			r.report.Connected++
		}
		if n < len(r.buffer) && !ending {
			return
		}
	}
}

// deliver takes the data of an event for the reader at hand.
func (r *readers) deliver(data []byte) {
	for data != nil {
		var id []byte
		id, data = nextID(data)
		put, n, ok := parseID(id)
		if !ok {
			r.report.Foreign++
			continue
		}
		r.count(put, n)
	}
}

// count counts the delivery of a message.
func (r *readers) count(put int64, n int) {
	now := r.now.UnixMicro()
	if r.report.First == 0 {
		r.report.First = now
	}
	r.report.Last = now
	r.report.Deliveries++
	switch r.at.receive(n) {
	case again:
		r.report.Again++
		return
	case late:
		r.report.Late++
	case inOrder:
	}
	r.latency.Add(time.Duration(now-put)*time.Microsecond, 1)
	r.due--
}

// drop closes a reader, because of err.
func (r *readers) drop(i int, err error) {
	reader := &r.readers[i]
	unix.Close(int(reader.fd))
	wasOpen := reader.state == open
	reader.state, reader.stream = closed, stream{}
	if !wasOpen {
		r.failed(i, err)
		return
	}
	r.open--
	r.report.Ended[reason(err)]++
	if r.finish != nil {
		r.due -= r.outstanding(i)
	}
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

func reason(err error) string {
	if errors.Is(err, io.EOF) {
		return "the server closed"
	}
	return err.Error()
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

// expect takes the order to finish.
func (r *readers) expect(o *finishOrder) {
	if o == nil {
		return
	}
	r.finish, r.deadline, r.due = o, r.now.Add(o.Wait), 0
	for i := range r.readers {
		if r.readers[i].state == open {
			r.due += r.outstanding(i)
		}
	}
}

// outstanding returns how many of the messages of its channel a reader has not received.
func (r *readers) outstanding(i int) int {
	s := &r.readers[i].sequence
	return r.finish.messages(r.order.channel(i), r.order.Channels) - s.next + s.lost()
}

// result returns the report.
func (r *readers) result() (*crowdReport, error) {
	for i := range r.readers {
		lost := r.readers[i].lost()
		if r.readers[i].state == open {
			lost = r.outstanding(i)
		}
		if lost > 0 {
			r.report.Lost += lost
			r.report.Losers++
		}
	}
	r.report.CPU = processCPU() - r.cpu
	var err error
	r.report.Latency, err = r.latency.Encode()
	return &r.report, err
}

func processCPU() time.Duration {
	var u usage
	u.readCPU()
	return u.cpu
}

// readersPerProcess returns how many readers a process can have: nine tenths of its descriptors.
func readersPerProcess() (int, error) {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return 0, fmt.Errorf("limit of descriptors: %w", err)
	}
	const most = 1 << 20
	return int(min(limit.Max, most)) * 9 / 10, nil
}

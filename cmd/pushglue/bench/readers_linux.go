package bench

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

// newsTime is how often a process tells how far it is, at least.
const newsTime = 250 * time.Millisecond

// ServeReaders is a readers' process: it tells that it is up, does what the orders say and tells the news, until it
// has told its report or in ends.
func ServeReaders(in io.Reader, out io.Writer) error {
	lines := json.NewEncoder(out)
	if err := lines.Encode(news{}); err != nil { // it is up
		return err
	}
	orders := readOrders(in)
	first, ok := <-orders
	if !ok {
		return nil // the parent has changed its mind
	}
	if first.Open == nil {
		return errors.New("the first order is not to open readers")
	}
	r, err := newReaders(*first.Open)
	if err != nil {
		return err
	}
	defer r.close()
	return r.run(orders, func(n *news) error { return lines.Encode(n) })
}

// readOrders returns the orders in a stream. The channel is closed when there are no more.
func readOrders(in io.Reader) <-chan order {
	orders := make(chan order)
	go func() {
		defer close(orders)
		for lines := json.NewDecoder(in); ; {
			var o order
			if lines.Decode(&o) != nil {
				return // without orders there is nothing to do, whatever has become of them
			}
			orders <- o
		}
	}()
	return orders
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
	beat     time.Time // when it began
	found    int       // events in this beat
	tries    int       // readers that were tried
	opening  int       // attempts at the moment
	retries  []retry   // in the order of their time
	open     int       // readers
	ready    bool
	told     time.Time    // when there were news
	finish   *finishOrder // nil before that order
	deadline time.Time    // for finish
	due      int          // deliveries that are outstanding, once finish says what was sent
	cpu      time.Duration
	latency  *Latency
	report   crowdReport
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

func (r *readers) close() {
	for i := range r.readers {
		if r.readers[i].state != closed {
			unix.Close(int(r.readers[i].fd))
		}
	}
	unix.Close(r.epoll)
}

// run opens the readers and has them read, until it has told the report or there are no more orders.
func (r *readers) run(orders <-chan order, tell func(*news) error) error {
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
			if o.Finish != nil {
				r.expect(*o.Finish)
			}
		default:
		}
		n, err := r.news()
		if err == nil && n != nil {
			err = tell(n)
		}
		if err != nil || n != nil && n.Report != nil {
			return err
		}
	}
}

// news returns what is to be told at this moment, or nil.
func (r *readers) news() (*news, error) {
	ready := !r.ready && r.settled()
	finished := r.finish != nil && (r.due <= 0 || r.now.After(r.deadline))
	if !ready && !finished && r.now.Sub(r.told) < newsTime {
		return nil, nil
	}
	r.told = r.now
	r.expire()
	n := &news{Progress: Progress{Open: r.open, Deliveries: r.report.Deliveries}, Ready: ready}
	var err error
	switch {
	case finished:
		n.Report, err = r.result()
	case ready:
		r.ready, r.cpu = true, processCPU()
	}
	return n, err
}

// poll waits for a moment until something happens to the readers, and looks after it.
func (r *readers) poll() error {
	const moment = 50 // milliseconds
	r.rest()
	n, err := epollWaitRaw(r.epoll, r.events, moment)
	r.now = time.Now()
	if err != nil && !errors.Is(err, unix.EINTR) {
		return fmt.Errorf("epoll: %w", err)
	}
	r.found += n
	for i := range n {
		r.handle(int(r.events[i].Fd), r.events[i].Events)
	}
	return nil
}

// How often readers look for deliveries. push-stream writes each message to each reader in three pieces: who looks all
// the time wakes for each of them and reads most by themselves, and makes the push host do the waking, which costs both
// more than the delivery.
const (
	beat     = 2 * time.Millisecond
	fewFound = 100 // events in a beat
)

// rest sleeps for a beat when there was much to do in the last one. When little is delivered it does nothing, so that
// latencies do not have a beat in them.
func (r *readers) rest() {
	switch {
	case r.found > fewFound:
		sleepRaw(beat)
	case time.Since(r.beat) < beat:
		return
	}
	r.beat, r.found = time.Now(), 0
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

// read reads what has come for a reader. A piece that does not fill the buffer is the last one, unless
// the stream is ending.
func (r *readers) read(i int, ending bool) {
	reader := &r.readers[i]
	for {
		n, err := readRaw(int(reader.fd), r.buffer)
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
		err = reader.feed(r.buffer[:n], r.got)
		if reader.state == asked && reader.greeted {
			r.opened(reader) // also if its stream ends in this very piece
		}
		if err != nil {
			r.drop(i, err)
			return
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

func reason(err error) string {
	if errors.Is(err, io.EOF) {
		return "the server closed"
	}
	return err.Error()
}

// expect takes the order to finish.
func (r *readers) expect(o finishOrder) {
	r.finish, r.deadline, r.due = &o, r.now.Add(o.Wait), 0
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

package push

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
)

// host is one push host.
type host struct {
	name   string
	number int // among the hosts; another one has it when this one is removed
	site
	log     zerolog.Logger
	module  Module
	backlog *backlog

	// Its lane's own.
	connections []*connection
	audience    *audience    // nil unless messages that nobody listens to are skipped
	refusals    atomic.Int64 // answers in a row that may pass
	accepted    atomic.Int64 // requests
	flying      atomic.Int64 // requests that are sent, and whose answers are not counted

	staying context.Context // until the host is removed
	remove  context.CancelFunc
	lane    sync.WaitGroup // its goroutines

	looking           chan struct{} // holds one during a look
	pinger            http.RoundTripper
	askers            http.RoundTripper // for surveys, whose end must not cost pinger its connection
	timeout, deadline time.Duration
	wake              chan struct{} // tells the lane to look again; holds one

	// Guarded by backlog.mu.
	state     state
	reason    error     // why it is down, or was the last time
	since     time.Time // when its state became another one, as people are told
	role      Role
	gone      bool               // it was removed
	last      cursor             // behind what it can have missed then
	ended     bool               // so has its lane
	trial     time.Time          // of a host that is down: when it gets the next message, if it refuses
	trials    int                // that failed in a row
	busy      bool               // something is on its way
	round     int                // counts what was
	interrupt context.CancelFunc // ends what is
	at        cursor             // what it gets next
	flight    cursor             // up to here it is on its way
	owed      []debt             // what it gets again, beside the order
	paid      bool               // some of that was taken last
	most      int                // of that, at once, when there is something else
	replay    cursor             // up to here it gets what it had already
	epoch     int                // another one after each rewind
	life      life               // as it was seen last
	missed    int64              // ever
	unlogged  int64              // of these
	logged    time.Time          // when it was
}

// connection is one of the connections to a host. What goes over it keeps its order.
type connection struct {
	carrier carrier
	window  int      // requests of the next exchange: fewer after a failure, so that little is sent twice
	hanging *request // the one that the host did not answer in time, the last time that it did not
	hangs   int      // how often
}

// carrier takes requests to a host, in order. One exchange at a time uses it.
type carrier interface {
	// exchange sends requests and calls answered with the answer to each, in order. It ends when all
	// are answered, when one is refused, or when the connection ends, with an error if nobody said
	// that it would. It returns how many requests it sent, repetitions included.
	exchange(ctx context.Context, requests []*request, answered func(answer)) (sent int, err error)

	// connections returns how many connections it has made so far.
	connections() int

	// close closes the connection, if there is one.
	close()
}

// newHost returns a host that is up.
func newHost(s site, l *backlog, c Config) *host {
	h := &host{
		name: s.name(), site: s, module: c.Module, backlog: l, since: time.Now(), role: In, most: fewDebts,
		pinger: c.Transport, askers: c.Transport, timeout: c.Timeout, deadline: c.Deadline, wake: make(chan struct{}, 1), looking: make(chan struct{}, 1),
	}
	c.TLS = s.config(c.TLS)
	for range max(1, c.Connections) {
		o := &connection{window: maxWindow}
		if c.Transport != nil {
			o.carrier = &roundTripper{c.Transport, s.base, c.Timeout}
		} else {
			o.carrier = newPipe(s.base, c.TLS, c.Timeout, c.Authorization)
		}
		h.connections = append(h.connections, o)
	}
	if h.pinger == nil {
		pinger := newTransport(c.TLS, c.Timeout)
		pinger.MaxConnsPerHost = 1 // always the same process answers, as long as it lives
		h.pinger = authorize(pinger, c.Authorization)
		askers := newTransport(c.TLS, c.Timeout)
		askers.IdleConnTimeout = time.Minute
		h.askers = authorize(askers, c.Authorization)
	}
	h.log = c.Log.With().Str("host", h.name).Logger()
	if c.SkipEmpty {
		h.audience = newAudience(s.base, c, h.log)
	}
	return h
}

// lacks reports whether the host is still to get a request. The caller holds backlog.mu.
func (h *host) lacks(b *batch, index int) bool {
	r := &b.requests[index]
	if r.err != nil {
		return false
	}
	return !r.has[h.number] || cursor{b.number, index}.before(h.replay)
}

// miss moves the host past a batch that is kept no longer, and counts what it never got of it. What is on its way
// is counted when that is known.
func (h *host) miss(b *batch, reason error) {
	var missed int64
	for i := range b.requests {
		c, r := cursor{b.number, i}, &b.requests[i]
		if r.err == nil && !r.has[h.number] && !c.before(h.at) && !c.before(h.flight) {
			missed++
		}
	}
	h.owed = slices.DeleteFunc(h.owed, func(d debt) bool {
		isOver := d.batch == b
		if isOver && h.lacks(b, d.index) && d.cursor().before(h.at) {
			missed++
		}
		return isOver
	})
	h.bookMissed(missed, reason)
	if past := (cursor{batch: b.number + 1}); h.at.before(past) {
		h.at = past
	}
}

// missAll counts what the host lacks up to a place, and will not get any more. It reports whether that is all: of what is open
// nobody knows whether it will be published.
func (h *host) missAll(last cursor, reason error) bool {
	for _, b := range h.backlog.batches {
		switch {
		case b.number >= last.batch:
			return true
		case b.open:
			return false
		}
		h.miss(b, reason)
	}
	return true
}

func (h *host) wakeUp() {
	select {
	case h.wake <- struct{}{}:
	default:
	}
}

// close closes the host's connections. Its lane has ended.
func (h *host) close() {
	for _, o := range h.connections {
		o.carrier.close()
	}
	(&http.Client{Transport: h.pinger}).CloseIdleConnections()
	(&http.Client{Transport: h.askers}).CloseIdleConnections()
	if h.audience != nil {
		h.audience.close()
	}
}

// newTransport returns a transport for what is asked beside messages, over connections of its own. There is
// no proxy: push hosts are near.
func newTransport(config *tls.Config, timeout time.Duration) *http.Transport {
	return &http.Transport{
		DialContext:         (&net.Dialer{Timeout: timeout}).DialContext,
		TLSClientConfig:     config,
		TLSHandshakeTimeout: timeout,
	}
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

// ping asks the host's health endpoint. A host that is well may tell which process answers: "ok 17".
func (h *host) ping(ctx context.Context) (process string, err error) {
	text, err := h.get(ctx, h.pinger, "healthz")
	if err != nil {
		return "", err
	}
	if process, tells := strings.CutPrefix(strings.TrimSpace(string(text)), "ok "); tells {
		return process, nil
	}
	return "", nil
}

// get asks the host for something beside messages.
func (h *host) get(ctx context.Context, over http.RoundTripper, path string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, h.timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, h.base.JoinPath(path).String(), nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/json")
	resp, err := over.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswerBody)) // to its end, so that the connection stays
	if err != nil {
		return nil, err
	}
	return text, answer{status: resp.StatusCode}.outcome()
}

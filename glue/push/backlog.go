package push

import (
	"errors"
	"sync"
	"time"

	"pushglue/glue"
)

// Recent bounds what is kept of what was published: it waits there for hosts that are behind, and a host
// that was restarted, and so lost its memory, gets it again.
type Recent struct {
	Messages int           // for all feeds together
	Time     time.Duration // age of the oldest; not 0
}

// DefaultRecent returns the bounds of a Config that has none.
func DefaultRecent() Recent { return Recent{Messages: 10_000, Time: 30 * time.Second} }

// maxRecentBytes bounds the same, whatever the messages' size.
const maxRecentBytes = 16 << 20

// backlog is what was published of late, in order. Every host goes through it at its own pace. Its
// mutex guards all that hosts and publishers share.
type backlog struct {
	recent   Recent
	ledger   *glue.Ledger
	mu       sync.Mutex
	moved    sync.Cond // the state of a host, or what it has, is another one
	hosts    []*host   // another slice when they change
	slots    int       // numbers of hosts, of which every batch in batches has the answers
	vacant   []int     // those of them that are nobody's
	leaving  []*host   // that were removed, and of which is not known yet what they have missed
	epochs   int       // of all hosts together, so that none comes twice
	batches  []*batch  // in order; the numbers are consecutive
	next     uint64    // number of the next batch
	messages int
	bytes    int
}

// batch is what one call of Publish hands to the hosts.
type batch struct {
	number   uint64
	at       time.Time
	requests []request
	kept     int // requests that are not void, and their bytes
	bytes    int
	open     bool // Publish has not returned

	// By the host's number.
	awaited []bool    // Publish waits for this one
	missing []int     // requests without an answer
	answers [][]error // to each request; errUnsent at first

	changed chan struct{} // tells Publish to look again; holds one
}

// errUnsent is the answer to a request that a host has not got yet.
var errUnsent = errors.New("not sent")

// cursor is a place in the backlog: a request that is still to be sent, or the end.
type cursor struct {
	batch uint64
	index int
}

// before reports whether c is in front of d.
func (c cursor) before(d cursor) bool {
	return c.batch < d.batch || c.batch == d.batch && c.index < d.index
}

// place is one request in the backlog.
type place struct {
	*batch
	index int
}

func (p place) cursor() cursor { return cursor{p.number, p.index} }

func (p place) request() *request { return &p.requests[p.index] }

func (l *backlog) init(recent Recent, ledger *glue.Ledger) {
	l.recent, l.ledger = recent, ledger
	l.moved.L = &l.mu
}

// choose marks the hosts that b waits for: those that are up; if these are too few also those that are behind, and
// those that drain, and
// then those that may be tried again. It reports whether they are enough.
func (l *backlog) choose(b *batch, least int) bool {
	chosen := 0
	for _, tier := range []struct {
		state state
		role  Role
	}{{up, In}, {behind, In}, {up, Drain}, {behind, Drain}, {refusing, In}, {refusing, Drain}} {
		for _, h := range l.hosts {
			if h.state == tier.state && h.role == tier.role && (h.state != refusing || !time.Now().Before(h.trial)) {
				b.awaited[h.number] = true
				chosen++
			}
		}
		if chosen >= least {
			return true
		}
	}
	return false
}

// add appends a batch that waits for the given hosts.
func (l *backlog) add(b *batch) {
	b.number, b.at, b.open = l.next, time.Now(), true
	l.next++
	l.batches = append(l.batches, b)
	l.messages += b.kept
	l.bytes += b.bytes
	l.trim()
	for _, h := range l.hosts {
		h.wakeUp()
	}
}

// trim drops what is beyond the bounds, but nothing that Publish waits for.
func (l *backlog) trim() {
	for len(l.batches) > 0 {
		b := l.batches[0]
		over := l.messages > l.recent.Messages || l.bytes > maxRecentBytes || time.Since(b.at) > l.recent.Time
		if b.open || !over {
			return
		}
		for _, h := range l.hosts {
			h.miss(b, errOld)
		}
		for _, h := range l.leaving {
			if b.number < h.last.batch {
				h.miss(b, errRemoved)
			}
		}
		l.batches[0] = nil
		l.batches = l.batches[1:]
		l.messages -= b.kept
		l.bytes -= b.bytes
		l.moved.Broadcast()
	}
}

// void gives up a request of b: its message is not published, and may come again as another one.
func (l *backlog) void(b *batch, index int) {
	r := &b.requests[index]
	r.err = errVoid
	b.kept--
	l.messages--
	b.bytes -= r.size()
	l.bytes -= r.size()
}

// first returns the number of the oldest batch.
func (l *backlog) first() uint64 { return l.next - uint64(len(l.batches)) }

// end is the cursor behind everything.
func (l *backlog) end() cursor { return cursor{batch: l.next} }

// from iterates over the batches from a number on.
func (l *backlog) from(number uint64) []*batch {
	first := l.first()
	if number <= first {
		return l.batches
	}
	return l.batches[number-first:]
}

// due returns up to most requests that a host has still to get, in order.
func (l *backlog) due(h *host, most int) []place {
	var places []place
	for _, b := range l.from(h.at.batch) {
		start := 0
		if b.number == h.at.batch {
			start = h.at.index
		}
		for i := start; i < len(b.requests); i++ {
			if !h.lacks(b, i) {
				continue
			}
			if places = append(places, place{batch: b, index: i}); len(places) == most {
				return places
			}
		}
	}
	return places
}

// answered enters what a host said to a request, and when. Publish looks again when it was the last one of a batch.
func (b *batch) answered(host, index int, err error, when times) {
	if r := &b.requests[index]; host < len(r.times) { // it may be newer than the request
		r.times[host] = when
	}
	if err == nil {
		b.requests[index].has[host] = true
	}
	if !errors.Is(b.answers[host][index], errUnsent) {
		return
	}
	b.answers[host][index] = err
	if b.missing[host]--; b.missing[host] == 0 {
		b.change()
	}
}

// isAwaiting reports whether Publish waits for an answer of h.
func (b *batch) isAwaiting(h *host) bool { return b.awaited[h.number] && b.missing[h.number] > 0 }

// leave stops waiting for a host.
func (b *batch) leave(host int) {
	if b.awaited[host] {
		b.awaited[host] = false
		b.change()
	}
}

func (b *batch) change() {
	select {
	case b.changed <- struct{}{}:
	default:
	}
}

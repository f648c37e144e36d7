package demo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"pushglue/glue/thoonk"
)

// putter is the producer's side of a feed.
type putter interface {
	Put(ctx context.Context, payloads [][]byte, options thoonk.PutOptions) ([]string, error)
}

// remembered is how many received ids are kept, to know what comes again: many more than the engine has
// in flight, and nothing else can come again.
const remembered = 1 << 14

// journal puts comments on the feed, and holds what a reader receives against what was put:
// every message once, in order.
type journal struct {
	feed putter

	mu        sync.Mutex
	closed    bool
	expected  []parcel // that are on their way, next one first
	overtaken []parcel // that are on their way, and a later one has been received
	received  ring
	ticks     int
	silent    int // ticks in which nothing arrived while something was on its way
	tally     tally
}

// parcel is a message that is on its way.
type parcel struct {
	id, job string
	by      string // the message that overtook it
	since   int    // the tick of that
}

// tally is how far a demo has come.
type tally struct {
	Put      int `json:"put"`
	Received int `json:"received"`
	Stalled  int `json:"stalled"` // jobs whose message will not come
	OnTheWay int `json:"onTheWay"`
	Again    int `json:"again"`   // messages that were received before
	Foreign  int `json:"foreign"` // messages that the demo did not put
}

// notes tells of what should be zero, each with a comma before it.
func (t tally) notes() string {
	var text strings.Builder
	for _, note := range []struct {
		n    int
		what string
	}{{t.Stalled, "stalled"}, {t.Again, "came again"}, {t.Foreign, "put by somebody else"}} {
		if note.n > 0 {
			fmt.Fprintf(&text, ", %d %s", note.n, note.what)
		}
	}
	return text.String()
}

// errClosed is why nothing more is put.
var errClosed = errors.New("the demo is ending")

// put puts a job whose message has this id. It holds the lock meanwhile, so that the
// order of expected ids is that of the feed, and no message is received before it is expected.
func (j *journal) put(ctx context.Context, id string, payload []byte) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.closed {
		return errClosed
	}
	jobs, err := j.feed.Put(ctx, [][]byte{payload}, thoonk.PutOptions{})
	if err != nil {
		return err
	}
	if j.onTheWay() == 0 {
		j.silent = 0
	}
	j.tally.Put++
	j.expected = append(j.expected, parcel{id: id, job: jobs[0]})
	return nil
}

// receive notes that the reader received a message. One that comes again is counted, for a push host that
// does not answer in time gets it twice; so is one that nobody put. It returns an error if a message comes
// after one that was put later.
func (j *journal) receive(id string) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	called := func(p parcel) bool { return p.id == id }
	if late := slices.IndexFunc(j.overtaken, called); late >= 0 {
		return fmt.Errorf("the reader received %q after %q, which was put later", id, j.overtaken[late].by)
	}
	n := slices.IndexFunc(j.expected, called)
	switch {
	case n >= 0:
	case j.received.has(id):
		j.tally.Again++
		return nil
	default:
		j.tally.Foreign++
		return nil
	}
	// What it overtook may have stalled, and nobody told yet.
	for _, p := range j.expected[:n] {
		p.by, p.since = id, j.ticks
		j.overtaken = append(j.overtaken, p)
	}
	j.expected = j.expected[n+1:]
	j.received.add(id)
	j.tally.Received++
	j.silent = 0
	return nil
}

// stall notes that the engine gave up a job: its message is no longer expected, unless it was received.
func (j *journal) stall(job string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, list := range []*[]parcel{&j.overtaken, &j.expected} {
		if n := slices.IndexFunc(*list, func(p parcel) bool { return p.job == job }); n >= 0 {
			j.received.add((*list)[n].id) // by other pipelines it may come nevertheless
			*list = slices.Delete(*list, n, n+1)
			j.tally.Stalled++
			j.silent = 0
		}
	}
}

// tick notes that a second has passed, and returns an error if a message is lost: nothing arrived for
// limit ticks, or not this one. A process that was stopped has no ticks, and can receive nothing.
func (j *journal) tick(limit int) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.ticks++
	if j.onTheWay() == 0 {
		return nil
	}
	if j.silent++; j.silent >= limit {
		return fmt.Errorf("%d messages are on their way, and nothing reached the reader for %d s", j.onTheWay(), limit)
	}
	if len(j.overtaken) > 0 && j.ticks-j.overtaken[0].since >= limit {
		p := j.overtaken[0]
		return fmt.Errorf("the reader received %q, and %q, which was put before it, did not come within %d s", p.by, p.id, limit)
	}
	return nil
}

// close ends putting.
func (j *journal) close() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.closed, j.silent = true, 0
}

// state returns how things stand.
func (j *journal) state() tally {
	j.mu.Lock()
	defer j.mu.Unlock()
	t := j.tally
	t.OnTheWay = j.onTheWay()
	return t
}

// onTheWay returns how many messages may still come. The caller holds the lock.
func (j *journal) onTheWay() int { return len(j.expected) + len(j.overtaken) }

// ring is a set of the ids that were added last. The zero value is empty.
type ring struct {
	ids  map[string]struct{}
	list []string
	next int // place of the oldest one, once the ring is full
}

func (r *ring) has(id string) bool {
	_, ok := r.ids[id]
	return ok
}

func (r *ring) add(id string) {
	if r.ids == nil {
		r.ids = map[string]struct{}{}
	}
	if len(r.list) < remembered {
		r.list = append(r.list, id)
	} else {
		delete(r.ids, r.list[r.next])
		r.list[r.next] = id
		r.next = (r.next + 1) % remembered
	}
	r.ids[id] = struct{}{}
}

package demo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"pushglue/glue/thoonk"
)

// putter is the producer's side of a feed.
type putter interface {
	Put(ctx context.Context, payloads [][]byte, options thoonk.PutOptions) ([]string, error)
}

// journal puts comments on the feed, and holds what a reader receives against what was put:
// every message once, in order.
type journal struct {
	feed putter

	mu       sync.Mutex
	closed   bool
	expected []string // ids of the messages that are on their way, next one first
	tally    tally
}

// tally is how far a demo has come.
type tally struct {
	Put      int `json:"put"`
	Received int `json:"received"`
	OnTheWay int `json:"onTheWay"`
}

// errClosed is why nothing more is put.
var errClosed = errors.New("the demo is ending")

// put puts a comment whose message has this id. It holds the lock meanwhile, so that the
// order of expected ids is that of the feed, and no message is received before it is expected.
func (j *journal) put(ctx context.Context, c comment) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.closed {
		return errClosed
	}
	if _, err := j.feed.Put(ctx, [][]byte{c.payload}, thoonk.PutOptions{}); err != nil {
		return err
	}
	j.tally.Put++
	j.expected = append(j.expected, c.id)
	return nil
}

// receive notes that the reader received a message. It returns an error if it is not the next one.
func (j *journal) receive(id string) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	switch {
	case len(j.expected) == 0:
		return fmt.Errorf("the reader received %q, and nothing was on its way", id)
	case id != j.expected[0] && slices.Contains(j.expected, id):
		return fmt.Errorf("the reader received %q before %q: a message is late or lost", id, j.expected[0])
	case id != j.expected[0]:
		return fmt.Errorf("the reader received %q a second time, or nobody put it", id)
	}
	j.expected = j.expected[1:]
	j.tally.Received++
	return nil
}

// close ends putting.
func (j *journal) close() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.closed = true
}

// state returns how things stand.
func (j *journal) state() tally {
	j.mu.Lock()
	defer j.mu.Unlock()
	t := j.tally
	t.OnTheWay = len(j.expected)
	return t
}

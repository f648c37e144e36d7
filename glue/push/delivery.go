package push

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"pushglue/glue"
)

// A host is down when it gives no answer connectAttempts times in a row and is not well either, or
// when maxRefusals messages in a row get no answer, or one that may pass.
const (
	connectAttempts = 3
	connectPause    = 50 // ms; doubles with each attempt
	maxRefusals     = int64(10)
)

// maxWindow bounds the requests that wait for an answer.
const maxWindow = 256

// delivery is what one connection has to take to a host.
type delivery struct {
	*host
	*connection
	requests []*request
	answers  []error   // to requests
	times    []times   // of requests; nil if nobody wants to know them
	todo     []int     // what is not answered, in order
	epoch    int       // of the host, when this was taken
	again    bool      // the host has refused them before, so that a refusal says nothing new of it
	trial    int       // so many refusals in a row mean that the host is not up again; 0 if it is up
	held     []refusal // of the trial: the message's fault, if another one is accepted
	attempts int       // of the first of todo that got no answer
	isWell   bool      // the host was, after these
	fate     fate
}

// fate is what became of a host during a delivery. The zero value is nothing.
type fate struct {
	state  state
	reason error
}

// refusal is the outcome of one of a delivery's requests.
type refusal struct {
	index   int
	outcome error
}

// errStop ends a delivery whose host cannot take more now: it is down, or was restarted and gets older
// messages first.
var errStop = fmt.Errorf("no more: %w", glue.ErrUnavailable)

// deliver sends the requests in todo until all are answered or nothing more can be sent now.
func (d *delivery) deliver(ctx context.Context) {
	if len(d.todo) == 0 {
		return
	}
	sums := glue.HostSums{Name: d.name}
	for len(d.todo) > 0 && d.exchange(ctx, &sums) == nil && !d.isOver() {
	}
	if n := len(d.held); n > 0 && len(d.todo) == 0 {
		d.fate = fate{refusing, d.held[n-1].outcome} // all that there was
	}
	d.backlog.ledger.AddHost(sums)
}

// isOver reports whether the host gets older messages first, or none.
func (d *delivery) isOver() bool {
	d.backlog.mu.Lock()
	defer d.backlog.mu.Unlock()
	return d.host.epoch != d.epoch || d.role == Out
}

// exchange sends what is next and takes the answers. err tells that nothing more can be sent now.
func (d *delivery) exchange(ctx context.Context, sums *glue.HostSums) error {
	window := d.next()
	got := make([]answer, 0, len(window))
	before := d.carrier.connections()
	d.flying.Add(int64(len(window)))
	d.noteSent(window)
	sent, err := d.carrier.exchange(ctx, window, func(a answer) {
		d.noteAnswered(len(got))
		got = append(got, a)
	})
	sums.Sent += int64(sent)
	sums.Unanswered += int64(sent - len(got))
	if len(got) == len(window) && got[len(got)-1].accepted() {
		d.window = min(2*d.window, maxWindow)
	}
	defer d.flying.Add(-int64(len(window)))
	for _, a := range got {
		if a.accepted() {
			sums.Accepted++
			d.accepted.Add(1)
		} else {
			sums.Rejected++
			d.window = 1
		}
		if err := d.judge(a.outcome()); err != nil {
			return err
		}
	}
	// A new connection in the place of another: the host may be a new one as well.
	if before > 0 && d.carrier.connections() > before {
		_ = d.look(ctx) // whether it answers, the next request shows
	}
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case len(got) > 0 && !isTimeout(err):
		return nil // the connection ended, and the rest goes over the next one
	}
	return d.unanswered(ctx, err)
}

// noteSent notes when requests are sent, of which todo begins with.
func (d *delivery) noteSent(window []*request) {
	if d.times == nil {
		return
	}
	now := time.Now()
	for k := range window {
		if t := &d.times[d.todo[k]]; t.sent.IsZero() {
			t.sent = now
		}
	}
}

// noteAnswered notes when a request of todo is answered, if that is asked for.
func (d *delivery) noteAnswered(place int) {
	if d.times == nil {
		return
	}
	if i := d.todo[place]; d.requests[i].timed {
		d.times[i].answered = time.Now()
	}
}

// next returns the requests of the next exchange.
func (d *delivery) next() []*request {
	window := make([]*request, 0, min(d.window, len(d.todo)))
	for _, i := range d.todo[:cap(window)] {
		window = append(window, d.requests[i])
		if d.trial > 0 || d.requests[i].standsAlone() {
			break
		}
	}
	return window
}

// judge takes the outcome of the first request of todo, and what it says of the host: it is an error if it was one
// refusal too many. Then the request counts as not sent.
func (d *delivery) judge(outcome error) error {
	i := d.todo[0]
	d.todo, d.attempts, d.isWell = d.todo[1:], 0, false
	switch {
	case outcome == nil || glue.IsPermanent(outcome):
		d.refusals.Store(0)
		d.endTrial()
	case d.trial > 0:
		d.held = append(d.held, refusal{i, outcome})
		if len(d.held) < d.trial {
			return nil
		}
		d.fate = fate{refusing, outcome}
		return errStop
	case !d.again && d.refusals.Add(1) >= maxRefusals:
		d.refusals.Store(0)
		d.fate = fate{refusing, outcome}
		return errStop
	}
	d.answers[i] = outcome
	return nil
}

// endTrial brings the host back, if it was on trial. What it refused before is the messages' fault.
func (d *delivery) endTrial() {
	if d.trial == 0 {
		return
	}
	for _, r := range d.held {
		d.answers[r.index] = r.outcome
	}
	d.trial, d.held = 0, nil
	d.passTrial()
}

// unanswered deals with a connection that ended before the first request was answered: it is tried again on
// others, alone. When that does not help either it is the message's fault, if the host is well
// otherwise, and the message fails for now; else the host's.
func (d *delivery) unanswered(ctx context.Context, cause error) error {
	d.window = 1
	d.attempts++
	if d.attempts < connectAttempts && !isTimeout(cause) {
		if !glue.Sleep(ctx, pauseOf(d.attempts)) {
			return ctx.Err()
		}
		return nil
	}
	if !isTimeout(cause) || d.hangsAgain(d.requests[d.todo[0]]) {
		if _, err := d.ping(ctx); err == nil {
			if !d.isWell && !isTimeout(cause) { // it may have come back just now
				d.isWell = true
				return nil
			}
			return d.judge(fmt.Errorf("gives no answer to this message: %w", cause))
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	d.fate = fate{silent, cause}
	return errStop
}

// hangsAgain notes that the host did not answer this message in time, and reports whether that is so each time, though
// it was well in between. The message comes as another request each time.
func (d *delivery) hangsAgain(r *request) bool {
	if o := d.hanging; o == nil || !bytes.Equal(o.head, r.head) || !bytes.Equal(o.body, r.body) {
		d.hanging, d.hangs = r, 0
	}
	d.hangs++
	return d.hangs >= connectAttempts
}

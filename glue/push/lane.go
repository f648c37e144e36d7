package push

import (
	"context"
	"errors"
	"time"

	"pushglue/glue"
)

// owedAttempts is how often a host gets a message again that it refused for now, when nobody waits for it who
// would retry it.
const owedAttempts = 3

// pauseOf returns the pause after a failed attempt, which doubles with each.
func pauseOf(attempt int) time.Duration {
	return connectPause * time.Millisecond << (attempt - 1)
}

// maxLoad bounds what a lane takes at once.
const maxLoad = 1024

// load is what a lane takes to its host at once.
type load struct {
	places []place
	trial  bool
	epoch  int
	ctx    context.Context // ends when it is interrupted
}

// run is the host's lane: it takes what the backlog has to the host, in order, until stop is done.
func (h *host) run(stop context.Context) {
	for {
		l, ok := h.take(stop)
		if !ok {
			return
		}
		answers, f := h.carry(l.ctx, l.places, l.trial)
		owed := h.commit(l, answers, f)
		for attempt := 1; len(owed) > 0 && glue.Sleep(stop, pauseOf(attempt)); attempt++ {
			answers, f = h.carry(stop, owed, false)
			owed = h.commitOwed(owed, answers, f, attempt == owedAttempts)
		}
	}
}

// take returns what is next, as soon as there is something that the host can take; false when stop is done.
func (h *host) take(stop context.Context) (load, bool) {
	for stop.Err() == nil {
		l, wait := h.tryTake(stop)
		if len(l.places) > 0 {
			return l, true
		}
		select {
		case <-h.wake:
		case <-wait:
		case <-stop.Done():
		}
	}
	return load{}, false
}

// tryTake returns what is next, or nothing and when it should be called again, beside when the lane is woken up.
func (h *host) tryTake(stop context.Context) (load, <-chan time.Time) {
	h.backlog.mu.Lock()
	defer h.backlog.mu.Unlock()
	l := load{epoch: h.epoch}
	switch h.state {
	case silent:
		return l, nil
	case refusing:
		if wait := time.Until(h.trial); wait > 0 {
			return l, time.After(wait)
		}
		l.trial = true
	}
	if l.places = h.backlog.due(h, maxLoad); len(l.places) == 0 {
		h.catchUp()
		return l, nil
	}
	l.ctx, h.interrupt = context.WithCancel(stop)
	h.busy = true
	return l, nil
}

// carry delivers requests over the host's connections, and returns the answers: errUnsent where there is none.
func (h *host) carry(ctx context.Context, places []place, trial bool) ([]error, fate) {
	requests, answers, todo := make([]*request, len(places)), make([]error, len(places)), make([]int, len(places))
	for i, p := range places {
		requests[i], answers[i], todo[i] = p.request(), errUnsent, i
	}
	if h.audience != nil && !trial { // a trial is a message, whoever listens
		todo = h.skip(ctx, requests, answers, todo)
	}
	parts := h.split(requests, todo)
	deliveries := make([]delivery, len(parts))
	together(len(parts), func(o int) {
		d := &deliveries[o]
		*d = delivery{host: h, connection: h.connections[o], requests: requests, answers: answers, todo: parts[o], trial: trial}
		d.deliver(ctx)
	})
	var f fate
	for o := range deliveries {
		if deliveries[o].fate.reason != nil {
			f = deliveries[o].fate
		}
	}
	return answers, f
}

// skip returns what of todo somebody listens to. The rest counts as accepted.
func (h *host) skip(ctx context.Context, requests []*request, answers []error, todo []int) []int {
	heard := h.audience.skip(ctx, requests, todo)
	if len(heard) == len(todo) {
		return todo
	}
	for _, i := range todo {
		answers[i] = nil
	}
	for _, i := range heard {
		answers[i] = errUnsent
	}
	h.backlog.ledger.AddHost(glue.HostSums{Name: h.name, Skipped: int64(len(todo) - len(heard))})
	return heard
}

// split returns what is to be done on each connection.
func (h *host) split(requests []*request, todo []int) [][]int {
	if len(h.connections) == 1 {
		return [][]int{todo}
	}
	parts := make([][]int, len(h.connections))
	for _, i := range todo {
		o := requests[i].connection(len(h.connections))
		parts[o] = append(parts[o], i)
	}
	return parts
}

// commit enters the answers, moves on, and returns what the host refused for now and nobody else will retry.
func (h *host) commit(l load, answers []error, f fate) (owed []place) {
	h.backlog.mu.Lock()
	defer h.backlog.mu.Unlock()
	last := l.places[len(l.places)-1]
	next := cursor{last.number, last.index + 1}
	for j := len(l.places) - 1; j >= 0; j-- {
		if p := l.places[j]; errors.Is(answers[j], errUnsent) {
			next = cursor{p.number, p.index}
		}
	}
	if h.epoch == l.epoch {
		h.at = next
	}
	owed = h.enter(l.places, answers)
	h.end(f, len(owed) > 0)
	if f.state == refusing && l.trial {
		h.giveUpTrial()
	}
	return owed
}

// commitOwed is commit for what is owed. It returns what still is, but nothing after the last attempt.
func (h *host) commitOwed(places []place, answers []error, f fate, last bool) (owed []place) {
	h.backlog.mu.Lock()
	defer h.backlog.mu.Unlock()
	for j := range answers {
		if errors.Is(answers[j], errUnsent) {
			owed = append(owed, places[j])
		}
	}
	owed = append(owed, h.enter(places, answers)...)
	if last || f.reason != nil {
		h.bookMissed(int64(len(owed)))
		owed = nil
	}
	h.end(f, len(owed) > 0)
	return owed
}

// enter writes answers into the backlog, and returns the places of those that may pass, where nobody waits
// who would retry.
func (h *host) enter(places []place, answers []error) (owed []place) {
	for j, p := range places {
		err := answers[j]
		if errors.Is(err, errUnsent) {
			continue
		}
		waits := p.open && p.awaited[h.number]
		if p.answered(h.number, p.index, err); err == nil {
			h.accepted++
		}
		if err != nil && !glue.IsPermanent(err) && !waits {
			owed = append(owed, p)
		}
	}
	return owed
}

// end draws the conclusion from a delivery. There may be more to do about it.
func (h *host) end(f fate, more bool) {
	h.busy = more
	h.round++
	h.interrupt()
	defer h.backlog.moved.Broadcast()
	if f.reason != nil {
		h.goDown(f)
		return
	}
	h.catchUp()
}

// giveUpTrial leaves out a message that a host has refused in too many trials: it may be the message's fault.
func (h *host) giveUpTrial() {
	if h.trials++; int64(h.trials) < maxRefusals {
		return
	}
	h.trials = 0
	if due := h.backlog.due(h, 1); len(due) > 0 {
		h.at = cursor{due[0].number, due[0].index + 1}
		h.bookMissed(1)
	}
}

func (h *host) bookMissed(n int64) {
	if n > 0 {
		h.backlog.ledger.AddHost(glue.HostSums{Name: h.name, Missed: n})
	}
}

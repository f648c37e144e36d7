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
	owed   bool            // the host gets them again, beside the order
	trial  int             // see delivery
	epoch  int             // of the host
	ctx    context.Context // ends when it is interrupted
}

// run is the host's lane: it takes what the backlog has to the host, in order, until stop is done.
func (h *host) run(stop context.Context) {
	for {
		l, ok := h.take(stop)
		if !ok {
			return
		}
		answers, f := h.carry(&l)
		h.commit(&l, answers, f)
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
	h.backlog.trim()
	l := load{epoch: h.epoch}
	switch h.state {
	case silent:
		return l, nil
	case refusing:
		if wait := time.Until(h.trial); wait > 0 {
			return l, time.After(wait)
		}
		l.trial = h.trials + 1
	}
	wait := time.Until(h.owedAt)
	if l.owed = len(h.owed) > 0 && wait <= 0; l.owed {
		l.places, h.owed = h.owed, nil
	} else {
		l.places = h.backlog.due(h, maxLoad)
	}
	switch n := len(l.places); {
	case n == 0 && len(h.owed) > 0:
		h.catchUp()
		return l, time.After(wait)
	case n == 0:
		h.catchUp()
		return l, nil
	case !l.owed:
		last := l.places[n-1]
		h.flight = cursor{last.number, last.index + 1}
	}
	l.ctx, h.interrupt = context.WithCancel(stop)
	h.busy = true
	return l, nil
}

// carry delivers a load over the host's connections, and returns the answers: errUnsent where there is none.
func (h *host) carry(l *load) ([]error, fate) {
	requests, answers, todo := make([]*request, len(l.places)), make([]error, len(l.places)), make([]int, len(l.places))
	for i, p := range l.places {
		requests[i], answers[i], todo[i] = p.request(), errUnsent, i
	}
	parts := [][]int{todo} // of a trial, which are messages, whoever listens, and which one after the other decide
	if l.trial == 0 {
		parts = h.split(requests, h.skip(l.ctx, requests, answers, todo))
	}
	deliveries := make([]delivery, len(parts))
	together(len(parts), func(o int) {
		d := &deliveries[o]
		*d = delivery{host: h, connection: h.connections[o], requests: requests, answers: answers, todo: parts[o], epoch: l.epoch, trial: l.trial}
		d.deliver(l.ctx)
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
	if h.audience == nil {
		return todo
	}
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

// commit enters the answers, draws the conclusion from the host's fate, and moves on.
func (h *host) commit(l *load, answers []error, f fate) {
	h.backlog.mu.Lock()
	defer h.backlog.mu.Unlock()
	defer h.backlog.moved.Broadcast()
	last := l.places[len(l.places)-1]
	next := cursor{last.number, last.index + 1}
	for j, p := range l.places {
		switch unsent := errors.Is(answers[j], errUnsent); {
		case !unsent:
			h.enter(p, answers[j])
		case l.owed:
			h.owe(p)
		case p.cursor().before(next):
			next = p.cursor()
		}
	}
	switch {
	case l.owed || h.epoch != l.epoch:
	case next.batch < h.backlog.first(): // kept no longer
		h.missUnsent(l.places, answers)
		h.at = cursor{batch: h.backlog.first()}
	default:
		h.at = next
	}
	h.flight, h.busy = cursor{}, false
	h.round++
	h.interrupt()
	if f.reason == nil {
		h.catchUp()
		return
	}
	h.goDown(f)
	if l.trial > 0 {
		h.trials = l.trial
	}
}

// missUnsent counts what was not sent of batches that were dropped while it was on its way.
func (h *host) missUnsent(places []place, answers []error) {
	var missed int64
	for j, p := range places {
		if errors.Is(answers[j], errUnsent) && p.number < h.backlog.first() && p.request().err == nil && !p.request().has[h.number] {
			missed++
		}
	}
	h.bookMissed(missed)
}

// enter writes an answer into the backlog. What may pass the host gets again, unless Publish waits and tells who
// retries it.
func (h *host) enter(p place, answer error) {
	waits := p.open && p.awaited[h.number]
	p.answered(h.number, p.index, answer)
	if isPassing(answer) && !waits {
		p.attempts++
		h.owe(p)
	}
}

// owe has the host get a message again, a few times.
func (h *host) owe(p place) {
	if p.attempts > owedAttempts || p.number < h.backlog.first() {
		h.bookMissed(1)
		return
	}
	h.owed = append(h.owed, p)
	h.owedAt = time.Now().Add(pauseOf(max(1, p.attempts)))
	h.wakeUp()
}

// isPassing reports whether a host may answer otherwise the next time.
func isPassing(answer error) bool {
	return answer != nil && !errors.Is(answer, errUnsent) && !glue.IsPermanent(answer)
}

func (h *host) bookMissed(n int64) {
	if n > 0 {
		h.backlog.ledger.AddHost(glue.HostSums{Name: h.name, Missed: n})
	}
}

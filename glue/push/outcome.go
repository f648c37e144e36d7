package push

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"pushglue/glue"
)

// outcome folds the hosts' answers for message i. A message is published when all hosts that it waits for have it, and
// as many as the policy asks for; what a host says that nobody waits for counts only when these are too few.
// ended is why its context has ended, if it has.
func (p *Publisher) outcome(b *batch, i int, ended error) error {
	r := &b.requests[i]
	if r.err != nil && !errors.Is(r.err, errVoid) {
		return r.err
	}
	accepted := p.count(r.has)
	enough := accepted >= p.policy.least()
	if enough && p.policy != All {
		return nil
	}
	var permanent, temporary, down, out error
	for _, h := range p.hosts {
		err := b.answers[h.number][i]
		switch {
		case r.has[h.number], enough && !b.awaited[h.number]:
		case errors.Is(err, errUnsent) && b.awaited[h.number] && ended != nil:
			temporary = glue.AtHost(h.name, ended)
		case h.role == Out:
			out = glue.AtHost(h.name, errOut)
		case errors.Is(err, errUnsent):
			down = glue.AtHost(h.name, errDown)
		case glue.IsPermanent(err):
			permanent = glue.AtHost(h.name, err)
		default:
			temporary = glue.AtHost(h.name, err)
		}
	}
	switch {
	case permanent != nil:
		return permanent
	case temporary != nil:
		return p.partial(r, temporary)
	case enough:
		return nil
	case down == nil && out == nil:
		return errNoHost
	case down == nil:
		down = out
	}
	if accepted > 0 {
		return p.partial(r, down)
	}
	return down
}

// answers returns what the hosts said to message i by now.
func (p *Publisher) answers(b *batch, i int) []glue.Answer {
	r := &b.requests[i]
	list := make([]glue.Answer, 0, len(p.hosts))
	for _, h := range p.hosts {
		a := glue.Answer{Host: h.name, Accepted: r.has[h.number]}
		if h.number < len(r.times) {
			a.Sent, a.Answered = moment(r.times[h.number].sent), moment(r.times[h.number].answered)
		}
		switch err := b.answers[h.number][i]; {
		case a.Accepted:
		case r.err != nil && !errors.Is(r.err, errVoid):
			a.Error = r.err.Error()
		case errors.Is(err, errUnsent) && h.state.isDown() && h.reason != nil:
			a.Error = fmt.Sprintf("the host is %s: %v", h.state, h.reason)
		case errors.Is(err, errUnsent):
			a.Error = fmt.Sprintf("the host is %s", h.state)
		case err != nil:
			a.Error = err.Error()
		}
		list = append(list, a)
	}
	return list
}

// moment returns a time, or nil if it is none.
func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// errDown is the answer of a host that is down.
var errDown = fmt.Errorf("push host is down: %w", glue.ErrUnavailable)

// errOut is the answer of a host that is out.
var errOut = fmt.Errorf("push host is taken out by an operator: %w", glue.ErrUnavailable)

// errNoHost is the outcome as long as no host is known.
var errNoHost = fmt.Errorf("no push host is known yet: %w", glue.ErrUnavailable)

// partialError is the outcome of a message that a host refused for now; has tells which hosts
// have it, so that the next attempt leaves them out.
type partialError struct {
	has    []bool // by the host's number then
	epochs []int  // of the hosts then: one that was restarted since has it no more, nor has another one with its number
	err    error
}

// partial returns err with what the hosts have of r.
func (p *Publisher) partial(r *request, err error) error {
	e := &partialError{has: slices.Clone(r.has), epochs: make([]int, len(r.has)), err: err}
	for _, h := range p.hosts {
		e.epochs[h.number] = h.epoch
	}
	return e
}

// have marks in has the hosts that have a message whose outcome is e. The caller holds p.mu.
func (p *Publisher) have(e *partialError, has []bool) {
	for _, h := range p.hosts {
		if n := h.number; n < len(e.has) {
			has[n] = e.has[n] && e.epochs[n] == h.epoch
		}
	}
}

func (e *partialError) Error() string { return e.err.Error() }
func (e *partialError) Unwrap() error { return e.err }

// conclude decides what becomes of a message in the backlog when its outcome is known. What is not published leaves
// it: its job comes again, or never. What is published stays, and the hosts that lack it get it.
func (p *Publisher) conclude(at place, outcome error) {
	r := at.request()
	if outcome != nil {
		if r.err == nil || errors.Is(r.err, errVoid) {
			p.void(at.batch, at.index)
		}
		return
	}
	wasVoid := r.err != nil // while the outcome was not known
	r.err = nil
	for _, h := range p.hosts {
		answer := at.answers[h.number][at.index]
		switch isUnsent := errors.Is(answer, errUnsent); {
		case r.has[h.number]:
		case !isUnsent:
			h.refused(debt{place: at}, answer)
		case wasVoid && (at.cursor().before(h.at) || at.cursor().before(h.flight)): // passed by
			h.owe(debt{place: at})
		}
	}
}

// errVoid is why a request is not sent any more: its message is not published, and may come again.
var errVoid = errors.New("void")

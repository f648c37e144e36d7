package push

import (
	"errors"
	"fmt"
	"slices"

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
	accepted := count(r.has)
	enough := accepted >= p.policy.least()
	if enough && p.policy != All {
		return nil
	}
	var permanent, temporary, down error
	for n, h := range p.hosts {
		err := b.answers[n][i]
		switch {
		case r.has[n], enough && !b.awaited[n]:
		case errors.Is(err, errUnsent) && b.awaited[n] && ended != nil:
			temporary = glue.AtHost(h.name, ended)
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
	case accepted > 0:
		return p.partial(r, down)
	}
	return down
}

// errDown is the answer of a host that is down.
var errDown = fmt.Errorf("push host is down: %w", glue.ErrUnavailable)

// partialError is the outcome of a message that a host refused for now; has tells which hosts
// have it, so that the next attempt leaves them out.
type partialError struct {
	has    []bool
	epochs []int // of the hosts then: one that was restarted since has it no more
	err    error
}

// partial returns err with what the hosts have of r.
func (p *Publisher) partial(r *request, err error) error {
	e := &partialError{has: slices.Clone(r.has), epochs: make([]int, len(p.hosts)), err: err}
	for n, h := range p.hosts {
		e.epochs[n] = h.epoch
	}
	return e
}

// have marks in has the hosts that have a message whose outcome is e. The caller holds p.mu.
func (p *Publisher) have(e *partialError, has []bool) {
	for n, h := range p.hosts {
		has[n] = e.has[n] && e.epochs[n] == h.epoch
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
	r.err = nil // it was void while that was not known
	for n, h := range p.hosts {
		answer := at.answers[n][at.index]
		switch isUnsent := errors.Is(answer, errUnsent); {
		case r.has[n]:
		case !isUnsent:
			h.refused(debt{place: at}, answer)
		case at.cursor().before(h.at) || at.cursor().before(h.flight): // passed while it was void
			h.owe(debt{place: at})
		}
	}
}

// errVoid is why a request is not sent any more: its message is not published, and may come again.
var errVoid = errors.New("void")

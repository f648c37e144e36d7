package push

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"pushglue/glue"
)

// SetHosts names the push hosts anew. Those that stay keep their state and their role. One that comes gets what was
// published of late, for its memory is empty. One that goes is sent nothing more: SetHosts returns when its lane has ended, which
// takes as long as its answers, and the deadline at most. An error, such as of fewer hosts than the policy asks for, changes nothing.
func (p *Publisher) SetHosts(targets []Target) error {
	sites, err := parseTargets(targets)
	if err == nil {
		err = checkNumber(len(sites), p.policy)
	}
	if err != nil {
		return err
	}
	p.changing.Lock()
	defer p.changing.Unlock()
	if p.begun.Err() != nil {
		return errors.New("the publisher is closed")
	}
	p.retire(p.change(sites))
	return nil
}

// change lets hosts come, and takes those out of service that are not at sites any more.
func (p *Publisher) change(sites []site) (gone []*host) {
	p.mu.Lock()
	defer p.mu.Unlock()
	before := p.hosts
	var stay []*host
	for _, h := range before {
		if slices.ContainsFunc(sites, h.is) {
			stay = append(stay, h)
		} else {
			gone = append(gone, h)
		}
	}
	p.hosts = stay
	p.leaving = append(p.leaving, gone...)
	for _, h := range gone {
		h.gone, h.last = true, p.end()
		h.leave()
		h.log.Info().Msg("push host is removed")
	}
	for _, s := range sites {
		if slices.ContainsFunc(before, func(h *host) bool { return h.is(s) }) {
			continue
		}
		h := p.enter(s)
		h.log.Info().Int("messages", p.messages).Msg("push host is added; it gets what was published of late")
		if p.started && p.begun.Err() == nil {
			p.runLane(h)
		}
	}
	return gone
}

// enter adds a host. The caller holds p.mu, or nobody else knows p.
func (p *Publisher) enter(s site) *host {
	h := newHost(s, &p.backlog, p.config)
	h.staying, h.remove = context.WithCancel(p.begun)
	p.seat(h)
	p.ledger.AddHost(glue.HostSums{Name: h.name})
	return h
}

// retire ends the lanes of hosts that are gone.
func (p *Publisher) retire(gone []*host) {
	var ends sync.WaitGroup
	for _, h := range gone {
		ends.Go(func() {
			h.remove()
			patience := time.AfterFunc(p.deadline, h.giveUp)
			h.lane.Wait()
			patience.Stop()
			h.close()
		})
	}
	ends.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, h := range gone {
		h.ended = true
	}
	p.part()
}

// part counts what hosts that were removed have missed, and gives away their numbers when that is all.
func (l *backlog) part() {
	l.leaving = slices.DeleteFunc(l.leaving, func(h *host) bool {
		isAll := h.ended && h.missAll(h.last, errRemoved)
		if isAll {
			l.vacant = append(l.vacant, h.number)
		}
		return isAll
	})
}

// giveUp ends what is on its way.
func (h *host) giveUp() {
	h.backlog.mu.Lock()
	defer h.backlog.mu.Unlock()
	if h.busy {
		h.interrupt()
	}
}

// present returns the hosts as they are now.
func (p *Publisher) present() []*host {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.hosts
}

// find returns the host with this name or URL.
func (p *Publisher) find(name string) (*host, error) {
	var known []string
	for _, h := range p.hosts {
		if name == h.name || strings.TrimSuffix(name, "/") == h.base.String() {
			return h, nil
		}
		known = append(known, h.name)
	}
	if known == nil {
		return nil, fmt.Errorf("%w called %q: none is known yet", ErrUnknownHost, name)
	}
	return nil, fmt.Errorf("%w called %q; there are %s", ErrUnknownHost, name, strings.Join(known, ", "))
}

// ErrUnknownHost is in the error about a host that a Publisher does not have.
var ErrUnknownHost = errors.New("there is no push host")

// seat gives a host that comes a number, and places in all batches. It is like one that was restarted: what was published
// before it came it gets, but has not missed otherwise.
func (l *backlog) seat(h *host) {
	if n := len(l.vacant); n > 0 {
		h.number, l.vacant = l.vacant[n-1], l.vacant[:n-1]
	} else {
		h.number = l.slots
		l.slots++
	}
	for _, b := range l.batches {
		b.seat(h.number)
	}
	h.epoch = l.nextEpoch()
	h.at, h.replay = cursor{batch: l.first()}, l.end()
	if l.messages > 0 {
		h.become(behind)
	}
	l.hosts = append(slices.Clip(l.hosts), h)
}

func (l *backlog) nextEpoch() int {
	l.epochs++
	return l.epochs
}

// seat makes a place for a host. What Publish is still at the host does not have; the rest counts as had before, so that
// it is no more missed.
func (b *batch) seat(number int) {
	if number == len(b.awaited) {
		b.awaited, b.missing, b.answers = append(b.awaited, false), append(b.missing, 0), append(b.answers, nil)
		for i := range b.requests {
			b.requests[i].has = append(b.requests[i].has, false)
		}
	}
	b.awaited[number], b.missing[number] = false, 0
	b.answers[number] = make([]error, len(b.requests))
	for i := range b.requests {
		b.requests[i].has[number] = !b.open
		if b.requests[i].err == nil {
			b.answers[number][i] = errUnsent
			b.missing[number]++
		}
	}
}

package push

import (
	"time"
)

// HostStatus is how a push host stands.
type HostStatus struct {
	Name   string    `json:"name"`
	URL    string    `json:"url"`
	Role   Role      `json:"role"`
	State  string    `json:"state"` // up, behind or down
	Since  time.Time `json:"since"` // when that began
	Reason string    `json:"reason,omitempty"`
	Due    int       `json:"due"`   // messages that it lacks still, in order
	Owed   int       `json:"owed"`  // messages that it refused and gets again
	LagMS  int64     `json:"lagMs"` // age of the oldest that it lacks
	Missed int64     `json:"missed"`
}

// Hosts tells how each push host stands.
func (p *Publisher) Hosts() []HostStatus {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := make([]HostStatus, len(p.hosts))
	for i, h := range p.hosts {
		list[i] = h.status()
	}
	return list
}

func (h *host) status() HostStatus {
	h.backlog.trim() // what is too old has been missed
	s := HostStatus{Name: h.name, URL: h.base.String(), Role: h.role, State: h.state.String(), Since: h.since, Owed: len(h.owed), Missed: h.missed}
	if h.reason != nil && h.state.isDown() {
		s.Reason = h.reason.Error()
	}
	oldest := time.Now()
	for _, b := range h.backlog.from(h.at.batch) {
		for i := range b.requests {
			if !(cursor{b.number, i}).before(h.at) && h.lacks(b, i) {
				s.Due++
				oldest = earlier(oldest, b.at)
			}
		}
	}
	for _, d := range h.owed {
		oldest = earlier(oldest, d.at)
	}
	s.LagMS = time.Since(oldest).Milliseconds()
	return s
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// States returns what HostStatus.State can be.
func States() []string { return []string{up.String(), behind.String(), silent.String()} }

// String returns the state as people are told.
func (s state) String() string {
	switch s {
	case up:
		return "up"
	case behind:
		return "behind"
	}
	return "down"
}

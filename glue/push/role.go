package push

import (
	"fmt"
)

// Role is what an operator wants of a host.
type Role string

// The roles.
const (
	In    Role = "in"    // in service
	Drain Role = "drain" // it is sent everything, but only waited for if too few others are up; its failures alarm nobody
	Out   Role = "out"   // it is sent nothing, like one that is down
)

// Roles returns all of them.
func Roles() []Role { return []Role{In, Drain, Out} }

// ParseRole returns the role called name.
func ParseRole(name string) (Role, error) {
	switch r := Role(name); r {
	case In, Drain, Out:
		return r, nil
	}
	return "", fmt.Errorf("%q is no role of a push host: it is %s, %s or %s", name, In, Drain, Out)
}

// SetRole gives the host with this name or URL a role. A host that was out comes back as one that was down: when it answers it
// gets what it has missed, or, when it was restarted, what was published of late.
func (p *Publisher) SetRole(name string, role Role) error {
	if _, err := ParseRole(string(role)); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	h, err := p.find(name)
	if err != nil || h.role == role {
		return err
	}
	h.log.Info().Str("role", string(role)).Str("before", string(h.role)).Msg("an operator gives the push host another role")
	wasOut := h.role == Out
	h.role = role
	switch {
	case role == Out:
		h.become(silent)
		h.reason = errOut
		h.leave()
	case wasOut && !p.started:
		h.become(up) // nothing was sent to it
	case wasOut:
		h.reason = errReturning
	}
	h.wakeUp()
	return nil
}

// errReturning is why a host is down that was out, until it has answered.
var errReturning = fmt.Errorf("it was out, and has not answered since: %w", errDown)

func (h *host) isOut() bool {
	h.backlog.mu.Lock()
	defer h.backlog.mu.Unlock()
	return h.role == Out
}

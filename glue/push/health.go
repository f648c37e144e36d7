package push

import (
	"context"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"pushglue/glue"
)

// downTime is how long a host stays down before it is tried again.
const downTime = time.Second

// health is whether a host is up. There are two ways of being down, because a trial must hold up
// no message: a host that did not answer is asked for its health beside the line until it
// answers; one that refused everything, but quickly, gets a message once in downTime.
//
// A circuit breaker from a library does not fit: its trial is a request, which here would be a
// message, and the others would wait for it.
type health struct {
	log  zerolog.Logger
	ping func(context.Context) error
	stop context.Context // ends the asking

	mu     sync.Mutex
	state  state
	next   time.Time      // of a host that refuses: when it gets the next message
	asking sync.WaitGroup // for the goroutine that asks a silent host
}

type state uint8

const (
	up state = iota
	silent
	refusing
)

// allow reports whether the host may get messages now, and whether the first of them is a trial.
func (h *health) allow() (ok, trial bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.state == up:
		return true, false
	case h.state == refusing && !time.Now().Before(h.next):
		h.next = time.Now().Add(downTime)
		return true, true
	}
	return false, false
}

// down takes the host out, because it did not answer or because it refuses everything.
func (h *health) down(to state, reason error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.state == up {
		h.log.Error().AnErr("reason", reason).Msg("push host is down")
	}
	if to == silent && h.state != silent {
		h.asking.Go(h.ask)
	}
	h.state, h.next = to, time.Now().Add(downTime)
}

// ask asks the host for its health until it is well.
func (h *health) ask() {
	for glue.Sleep(h.stop, downTime) {
		if h.ping(h.stop) == nil {
			h.up(silent)
			return
		}
	}
}

// up brings a host back that was down in this way. An answer says nothing against another connection's silence.
func (h *health) up(from state) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.state == from {
		h.state = up
		h.log.Info().Msg("push host is up again")
	}
}

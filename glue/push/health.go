package push

import (
	"context"
	"time"

	"pushglue/glue"
)

// downTime is how long a host stays down before it is tried again.
const downTime = time.Second

// state is what a host can do. There are two ways of being down, because a trial must hold up no
// message: a host that did not answer is asked for its health until it answers; one that refused
// everything, but quickly, gets a message once in downTime.
//
// A circuit breaker from a library does not fit: its trial is a request, which here would be a
// message, and the others would wait for it.
type state uint8

const (
	up       state = iota
	behind         // it takes messages, but Publish does not wait for it
	silent         // down: it did not answer
	refusing       // down: it refused everything
)

// watch asks the host for its health, again and again. It brings back a host that was silent, takes out one
// that nothing is sent to and that does not answer, and notices when one was restarted.
func (h *host) watch(stop context.Context) {
	for failures := 0; stop.Err() == nil; glue.Sleep(stop, downTime) {
		err := h.look(stop)
		switch {
		case stop.Err() != nil:
		case err == nil:
			failures = 0
			h.answersAgain()
		default:
			if failures++; failures >= connectAttempts {
				h.isGone(err)
			}
		}
	}
}

// look asks the host for its health. When it has lost its memory since it was asked before it gets what was
// published of late again.
func (h *host) look(ctx context.Context) error {
	pid, err := h.ping(ctx)
	if err != nil || pid == 0 {
		return err
	}
	h.backlog.mu.Lock()
	same := pid == h.life.pid
	h.backlog.mu.Unlock()
	if same {
		return nil
	}
	now := h.newLife(ctx, pid)
	h.backlog.mu.Lock()
	defer h.backlog.mu.Unlock()
	if pid == h.life.pid {
		return nil // somebody else has looked meanwhile
	}
	restarted := h.life.pid != 0 && !now.continues(h.life, h.accepted.Swap(0))
	if h.life = now; restarted {
		h.rewind()
	}
	return nil
}

// answersAgain brings back a host that was silent.
func (h *host) answersAgain() {
	h.backlog.mu.Lock()
	defer h.backlog.mu.Unlock()
	if h.state != silent {
		return
	}
	if h.life.pid == 0 {
		h.rewind() // for all we know
	}
	h.state = behind
	h.log.Info().Msg("push host is up again")
	h.catchUp()
	h.wakeUp()
}

// isGone takes out a host that does not answer and that nothing is sent to: a delivery judges for itself.
func (h *host) isGone(reason error) {
	h.backlog.mu.Lock()
	defer h.backlog.mu.Unlock()
	if !h.busy && (h.state == up || h.state == behind) {
		h.goDown(fate{silent, reason})
	}
}

// passTrial brings back a host that refused everything and has accepted a message.
func (h *host) passTrial() {
	h.backlog.mu.Lock()
	defer h.backlog.mu.Unlock()
	if h.state == refusing {
		h.state = behind
		h.log.Info().Msg("push host is up again")
	}
}

// goDown takes the host out. Nobody waits for it any more.
func (h *host) goDown(f fate) {
	if h.state == up || h.state == behind {
		h.trials = 0
		h.log.Error().AnErr("reason", f.reason).Msg("push host is down")
	}
	h.state, h.trial = f.state, time.Now().Add(downTime)
	h.leave()
}

// fallBehind has nobody wait for the host until it has caught up.
func (h *host) fallBehind() {
	if h.state == up {
		h.state = behind
		h.log.Warn().Msg("push host is slow; messages do not wait for it until it has caught up")
	}
	h.leave()
}

// leave has nobody wait for the host.
func (h *host) leave() {
	for _, b := range h.backlog.from(h.at.batch) {
		b.leave(h.number)
	}
	h.backlog.moved.Broadcast()
}

// isBusy reports whether the host is up and lacks something.
func (h *host) isBusy() bool {
	return (h.state == up || h.state == behind) && (h.busy || len(h.owed) > 0 || len(h.backlog.due(h, 1)) > 0)
}

// catchUp makes a host that is behind one that is up, if it has all that there is.
func (h *host) catchUp() {
	if len(h.backlog.due(h, 1)) > 0 {
		return
	}
	h.at = h.backlog.end()
	if h.state == behind {
		h.state = up
	}
}

// goBack makes the host get what it lacks from a place on.
func (h *host) goBack(to cursor) {
	if to.before(h.at) {
		h.at = to
		h.wakeUp()
	}
}

// rewind makes the host get all that was published of late, whether it had it or not.
func (h *host) rewind() {
	h.backlog.trim() // what is too old has been missed
	h.epoch++
	h.at, h.replay, h.owed = cursor{batch: h.backlog.first()}, h.backlog.end(), nil
	if h.state == up && h.backlog.messages > 0 {
		h.state = behind
	}
	h.log.Warn().Int("messages", h.backlog.messages).Msg("push host was restarted; it gets what was published of late")
	h.wakeUp()
}

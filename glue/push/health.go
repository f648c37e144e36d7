package push

import (
	"context"
	"slices"
	"time"

	"github.com/rs/zerolog"

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

func (s state) isDown() bool { return s == silent || s == refusing }

// become changes the host's state.
func (h *host) become(s state) {
	if h.state != s && (!h.state.isDown() || !s.isDown()) {
		h.since = time.Now()
	}
	h.state = s
}

// warn begins a line of the log about trouble, which is none of a host that is not in service.
func (h *host) warn(level zerolog.Level) *zerolog.Event {
	if h.role != In || h.gone {
		level = zerolog.InfoLevel
	}
	return h.log.WithLevel(level)
}

// watch asks the host for its health, again and again. It brings back a host that was silent, takes out one
// that nothing is sent to and that does not answer, and notices when one was restarted.
func (h *host) watch(stop context.Context) {
	for failures := 0; glue.Sleep(stop, downTime); { // the lane has a first look
		if h.isOut() {
			failures = 0
			continue
		}
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
	h.looking <- struct{}{} // one after the other, so that lives come in order
	defer func() { <-h.looking }()
	process, err := h.ping(ctx)
	if err != nil || process == "" {
		return err
	}
	now := h.newLife(ctx, process)
	h.backlog.mu.Lock()
	defer h.backlog.mu.Unlock()
	before := h.life
	h.life = now
	if before.process != "" && !now.continues(before) {
		h.rewind()
	}
	return nil
}

// answersAgain brings back a host that was silent.
func (h *host) answersAgain() {
	h.backlog.mu.Lock()
	defer h.backlog.mu.Unlock()
	if h.state != silent || h.role == Out {
		return
	}
	if h.life.process == "" {
		h.rewind() // it does not tell
	}
	h.become(behind)
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
		h.become(behind)
		h.log.Info().Msg("push host is up again")
	}
}

// goDown: nobody waits for the host any more.
func (h *host) goDown(f fate) {
	if h.role == Out {
		return // it is down already, and stays so
	}
	if h.state == up || h.state == behind {
		h.trials = 0
		h.warn(zerolog.ErrorLevel).AnErr("error", f.reason).Msg("push host is down")
	}
	h.become(f.state)
	h.reason, h.trial = f.reason, time.Now().Add(downTime)
	h.leave()
}

// fallBehind says that nobody waits for the host until it has caught up, apart from who has nobody else.
func (h *host) fallBehind() {
	if h.state == up {
		h.become(behind)
		h.warn(zerolog.WarnLevel).Msg("push host is slow; messages do not wait for it until it has caught up")
	}
}

// leave has nobody wait for the host.
func (h *host) leave() {
	for _, b := range h.backlog.from(h.at.batch) {
		b.leave(h.number)
	}
	h.backlog.moved.Broadcast()
}

// flushRefusals is how often a host may have refused what Flush still waits for.
const flushRefusals = 3

// isBusy reports whether the host is up and lacks something.
func (h *host) isBusy() bool {
	isOwed := slices.ContainsFunc(h.owed, func(d debt) bool { return d.refusals < flushRefusals })
	return (h.state == up || h.state == behind) && (h.busy || isOwed || len(h.backlog.due(h, 1)) > 0)
}

// catchUp makes a host that is behind one that is up, if it lacks nothing but what Publish is still at.
func (h *host) catchUp() {
	due := h.backlog.due(h, 1)
	if len(due) == 0 {
		h.at = h.backlog.end()
	}
	if h.state == behind && (len(due) == 0 || due[0].open) {
		h.become(up)
	}
}

// rewind makes the host get all that was published of late, whether it had it or not.
func (h *host) rewind() {
	h.backlog.trim() // what is too old has been missed
	h.epoch = h.backlog.nextEpoch()
	h.at, h.replay, h.owed = cursor{batch: h.backlog.first()}, h.backlog.end(), nil
	if h.state == up && h.backlog.messages > 0 {
		h.become(behind)
	}
	h.log.Warn().Int("messages", h.backlog.messages).Msg("push host was restarted; it gets what was published of late")
	h.wakeUp()
}

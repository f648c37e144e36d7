package push

import (
	"context"
	"encoding/json"
	"time"
)

// life is what tells whether a host has the memory that it had.
//
// The shipped nginx tells which of its processes answers /healthz. It is asked over a connection that is kept, so
// another process means that this one ended: nginx was restarted, or reloaded. A reload empties the memory of
// Nchan, but not that of push-stream, whose statistics tell the two apart. When only the connection broke, and there are
// several processes, it looks like a restart as well, and readers get messages twice.
//
// In a container a process can have the same id after each start. push-stream's statistics tell then as well; with Nchan
// /healthz has to say something else that is new at each start (nginx/README.md).
type life struct {
	process   string    // what /healthz says; "" if the host does not tell
	born      time.Time // of push-stream's memory; zero if unknown
	published int64     // by push-stream since then

	accepted int64 // by the host from us, at least, before it was asked
	sent     int64 // to the host by us, at most, after it had answered; from the same begin
}

// newLife asks the host about its life. process answers now.
func (h *host) newLife(ctx context.Context, process string) life {
	l := life{process: process, accepted: h.accepted.Load()}
	if h.module != PushStream {
		return l
	}
	var totals struct {
		Uptime    *int64 `json:"uptime"`
		Published int64  `json:"published_messages"`
	}
	text, err := h.get(ctx, h.pinger, "channels-stats")
	if err == nil && json.Unmarshal(text, &totals) == nil && totals.Uptime != nil {
		l.born, l.published = time.Now().Add(-time.Duration(*totals.Uptime)*time.Second), totals.Published
	}
	l.sent = h.sent()
	return l
}

// sent returns how many requests the host may have taken by now, at most.
func (h *host) sent() int64 {
	flying := h.flying.Load() // first: what is counted meanwhile counts twice, and not never
	return flying + h.accepted.Load()
}

// continues reports whether l has the memory of before. Uptimes are whole seconds, so a host that was restarted as soon as it
// had started is told by what it has published.
func (l life) continues(before life) bool {
	if l.born.IsZero() || before.born.IsZero() {
		return l.process == before.process
	}
	const tolerance = 2 * time.Second
	return l.born.Sub(before.born).Abs() <= tolerance && l.published >= before.published+max(0, l.accepted-before.sent)
}

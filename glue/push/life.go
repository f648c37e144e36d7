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
type life struct {
	pid       int       // 0 if the host does not tell
	born      time.Time // of push-stream's memory; zero if unknown
	published int64     // by push-stream since then
}

// newLife asks the host about its life. pid is of the process that answers now.
func (h *host) newLife(ctx context.Context, pid int) life {
	l := life{pid: pid}
	if h.module != PushStream {
		return l
	}
	var totals struct {
		Uptime    *int64 `json:"uptime"`
		Published int64  `json:"published_messages"`
	}
	text, err := h.get(ctx, "channels-stats")
	if err == nil && json.Unmarshal(text, &totals) == nil && totals.Uptime != nil {
		l.born, l.published = time.Now().Add(-time.Duration(*totals.Uptime)*time.Second), totals.Published
	}
	return l
}

// continues reports whether l is the same life as before. accepted is what the host has accepted from us since.
func (l life) continues(before life, accepted int64) bool {
	const tolerance = 2 * time.Second // uptimes are whole seconds
	return !l.born.IsZero() && !before.born.IsZero() && l.born.Sub(before.born).Abs() <= tolerance &&
		l.published >= before.published+accepted
}

package alarm

import (
	"context"
	"time"

	"github.com/rs/zerolog"

	"pushglue/glue"
)

// Watchdog notices what never ends.
type Watchdog struct {
	Patience time.Duration       // how long anything may take
	Work     func() []*glue.Work // what is being done
	Log      zerolog.Logger
	Bite     func() // ends the process
}

// looks is how often it looks within its patience. What it saw so often in a row took that long, also where the process
// was stopped for a while, which is nobody's fault.
const looks = 10

// Run looks until ctx is done. When something hangs it logs what, bites, and returns.
func (w *Watchdog) Run(ctx context.Context) {
	seen := map[*glue.Work]int{}
	for glue.Sleep(ctx, w.Patience/looks) {
		now := map[*glue.Work]int{}
		for _, work := range w.Work() {
			now[work] = seen[work] + 1
			if now[work] > looks {
				w.Log.Error().Str("feed", work.Feed).Str("part", work.Part).Stringer("for", w.Patience).
					Msg("a part hangs; the process ends, and its jobs come back when their lease is over")
				w.Bite()
				return
			}
		}
		seen = now
	}
}

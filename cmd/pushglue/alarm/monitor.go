package alarm

import (
	"context"
	"time"

	"github.com/rs/zerolog"

	"pushglue/glue"
)

// Monitor alarms when many jobs of a feed fail within a window, once, and again when it is over: when fewer than half as many fail, lest it
// comes and goes where about as many fail all the time.
type Monitor struct {
	Ledger   *glue.Ledger
	Failures int64         // that are too many
	Window   time.Duration // in which they fail
	Log      zerolog.Logger
	Tell     func(Alert) // somebody beside the log; it does not block

	feeds map[string]*watched
}

// Alert is what Monitor tells of a feed.
type Alert struct {
	Feed     string    `json:"feed"`
	State    string    `json:"state"`    // AlertFailing or AlertOver
	Failures int64     `json:"failures"` // jobs that were cancelled or stalled within the window
	Window   string    `json:"window"`
	Time     time.Time `json:"time"`
	Text     string    `json:"text"` // for people; chat services show a field of this name
}

// States of an Alert.
const (
	AlertFailing = "failing"
	AlertOver    = "over"
)

// steps is in how many steps the window slides.
const steps = 20

// watched is a feed.
type watched struct {
	past    [steps]int64 // failures since the start, at the last steps
	at      int
	failing bool
}

// Run looks until ctx is done.
func (m *Monitor) Run(ctx context.Context) {
	m.feeds = map[string]*watched{}
	for glue.Sleep(ctx, m.Window/steps) {
		m.look()
	}
}

func (m *Monitor) look() {
	for _, f := range m.Ledger.Sums().Feeds {
		w := m.feeds[f.Name]
		if w == nil {
			w = new(watched)
			m.feeds[f.Name] = w
		}
		total := f.Cancelled + f.Stalled
		failures := total - w.past[w.at]
		w.past[w.at] = total
		w.at = (w.at + 1) % steps
		threshold := m.Failures
		if w.failing {
			threshold = (m.Failures + 1) / 2
		}
		if isFailing := failures >= threshold; isFailing != w.failing {
			w.failing = isFailing
			m.alarm(f.Name, failures, isFailing)
		}
	}
}

func (m *Monitor) alarm(feed string, failures int64, isFailing bool) {
	a := Alert{Feed: feed, Failures: failures, Window: m.Window.String(), Time: time.Now()}
	log := m.Log.With().Str("feed", feed).Int64("failures", failures).Str("window", a.Window).Logger()
	if isFailing {
		log.Error().Msg("many jobs fail")
		a.State, a.Text = AlertFailing, "pushglue: feed "+feed+": many jobs fail"
	} else {
		log.Info().Msg("not many jobs fail any more")
		a.State, a.Text = AlertOver, "pushglue: feed "+feed+": not many jobs fail any more"
	}
	m.Tell(a)
}

package alarm

import (
	"context"
	"time"

	"github.com/rs/zerolog"

	"pushglue/glue"
)

// Monitor alarms when many jobs of a feed fail within a window, once, and again when it is over.
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
		if isFailing := failures >= m.Failures; isFailing != w.failing {
			w.failing = isFailing
			m.alarm(f.Name, failures, isFailing)
		}
	}
}

func (m *Monitor) alarm(feed string, failures int64, isFailing bool) {
	a := Alert{Feed: feed, State: AlertOver, Failures: failures, Window: m.Window.String(), Time: time.Now()}
	event, text := m.Log.Info(), "jobs do not fail any more"
	if isFailing {
		a.State = AlertFailing
		event, text = m.Log.Error(), "many jobs fail"
	}
	event.Str("feed", feed).Int64("failures", failures).Str("window", a.Window).Msg(text)
	a.Text = "pushglue: feed " + feed + ": " + text
	m.Tell(a)
}

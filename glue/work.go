package glue

import "sync"

// Work is one thing that a part of the engine is doing: a batch in the stages or at the publishers, a question to the feed. Each is
// another one, so that it shows when one does not end.
type Work struct {
	Feed string
	Part string // claim, transform, publish, settle or shadow
}

// works is what the parts of one feed's line are doing.
type works struct {
	feed string

	mu    sync.Mutex
	doing map[*Work]struct{}
}

func newWorks(feed string) *works { return &works{feed: feed, doing: map[*Work]struct{}{}} }

// begin notes that a part does something until end is called.
func (w *works) begin(part string) (end func()) {
	work := &Work{w.feed, part}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.doing[work] = struct{}{}
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.doing, work)
	}
}

// Work returns what is being done. None of it takes long in a healthy process: a batch takes what its stages take, questions to
// Redis and publishers have time limits, and pauses are no work.
func (g *Glue) Work() []*Work {
	var all []*Work
	for _, l := range g.lines {
		l.works.mu.Lock()
		for w := range l.works.doing {
			all = append(all, w)
		}
		l.works.mu.Unlock()
	}
	return all
}

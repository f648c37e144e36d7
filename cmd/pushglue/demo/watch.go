package demo

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"pushglue/glue"
)

// kept is how many settled jobs the page can ask about.
const kept = 512

// watch sees jobs on their way. It wraps the feed, the stages and the publishers of an engine,
// which know nothing of it.
type watch struct {
	tell    func(*trace)     // gets each job when it is settled; must not block
	stalled func(job string) // is told of each job that is given up; nil tells nobody

	mu      sync.Mutex
	jobs    map[string]*trace // claimed, by job
	byID    map[string]*trace // claimed, by message: under the job's id until the stage json knows a better one
	settled []*trace          // the last ones
}

func newWatch(tell func(*trace)) *watch {
	return &watch{tell: tell, jobs: map[string]*trace{}, byID: map[string]*trace{}}
}

// trace is the way of one job. Nobody changes it once it is settled. Times are in microseconds.
type trace struct {
	Job     string `json:"job"`
	ID      string `json:"message"` // of its message, whose own id readers drop the second time
	Waited  int64  `json:"waited"`  // on the feed, to the millisecond
	Settle  int64  `json:"settle"`  // when settlement began, after the claim
	Took    int64  `json:"took"`    // from the claim to the end of settlement
	Verdict string `json:"verdict"` // on the job
	Steps   []step `json:"steps"`

	claimed time.Time
	payload string
	ids     []string // under which byID has it
}

// step is what one stage or publisher did with a job.
type step struct {
	Node    int    `json:"node"`
	At      int64  `json:"at"`   // when it began, after the claim
	Took    int64  `json:"took"` // a publisher's is that of the whole batch
	Outcome string `json:"outcome"`
	Error   string `json:"error,omitempty"`

	after message
}

// message is a message behind a stage.
type message struct {
	ID       string   `json:"id"`
	Type     string   `json:"type"`
	Channels []string `json:"channels"`
	Body     string   `json:"body"`
}

func (t *trace) since(at time.Time) int64 { return at.Sub(t.claimed).Microseconds() }

// watchedFeed is a feed whose claims and settlements w sees.
type watchedFeed struct {
	glue.Feed
	watch *watch
}

// Claim implements glue.Feed. It has the time that it takes: the demo's Redis is in this process, so what is
// late was stopped with it, and jobs whose claim nobody heard of would stay claimed.
func (f *watchedFeed) Claim(ctx context.Context, limit int) ([]glue.Job, error) {
	jobs, err := f.Feed.Claim(context.WithoutCancel(ctx), limit)
	f.watch.claim(jobs)
	return jobs, err
}

// Keep implements glue.Keeper.
func (f *watchedFeed) Keep(ctx context.Context, report func(glue.Kept, error)) {
	if keeper, ok := f.Feed.(glue.Keeper); ok {
		keeper.Keep(ctx, report)
	}
}

// Settle implements glue.Feed.
func (f *watchedFeed) Settle(ctx context.Context, settlements []glue.Settlement) error {
	start := time.Now()
	err := f.Feed.Settle(ctx, settlements)
	if err == nil {
		f.watch.settle(settlements, start)
		f.watch.tellStalled(settlements)
	}
	return err
}

// watchedStage is a stage whose effect w sees.
type watchedStage struct {
	glue.Stage
	node  int
	watch *watch
}

// Process implements glue.Stage.
func (s *watchedStage) Process(ctx context.Context, m *glue.Message) error {
	id := m.ID
	start := time.Now()
	err := s.Stage.Process(ctx, m)
	s.watch.add(id, step{Node: s.node, Outcome: stageOutcome(err)}, m, start, time.Since(start), err)
	return err
}

func stageOutcome(err error) string {
	switch {
	case err == nil:
		return "on"
	case errors.Is(err, glue.ErrFlag):
		return "flagged"
	case errors.Is(err, glue.ErrDrop):
		return "dropped"
	}
	return "failed"
}

// watchedPublisher is a publisher whose outcomes w sees.
type watchedPublisher struct {
	glue.Publisher
	node  int
	watch *watch
}

// Publish implements glue.Publisher.
func (p *watchedPublisher) Publish(ctx context.Context, batch []*glue.Message, outcomes []error) {
	start := time.Now()
	p.Publisher.Publish(ctx, batch, outcomes)
	took := time.Since(start)
	for i, m := range batch {
		outcome := "published"
		if outcomes[i] != nil {
			outcome = "failed"
		}
		p.watch.add(m.ID, step{Node: p.node, Outcome: outcome}, m, start, took, outcomes[i])
	}
}

func (w *watch) claim(jobs []glue.Job) {
	now := time.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, job := range jobs {
		t := &trace{Job: job.ID, ID: job.ID, claimed: now, payload: string(job.Payload), ids: []string{job.ID}}
		if !job.Put.IsZero() {
			t.Waited = max(0, now.Sub(job.Put).Microseconds())
		}
		w.jobs[job.ID], w.byID[job.ID] = t, t
	}
}

// add notes a step of the message that was called id before it.
func (w *watch) add(id string, s step, m *glue.Message, start time.Time, took time.Duration, err error) {
	s.after = message{ID: m.ID, Type: m.Type, Channels: slices.Clone(m.Channels), Body: string(m.Body())}
	if err != nil {
		s.Error = err.Error()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	t := w.byID[id]
	if t == nil {
		return
	}
	if m.ID != id && w.byID[m.ID] != t {
		t.ID, t.ids = m.ID, append(t.ids, m.ID)
		w.byID[m.ID] = t
	}
	s.At, s.Took = t.since(start), took.Microseconds()
	t.Steps = append(t.Steps, s)
}

// settle ends the traces of settled jobs.
func (w *watch) settle(settlements []glue.Settlement, start time.Time) {
	now := time.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range settlements {
		t := w.jobs[s.JobID]
		if t == nil {
			continue
		}
		delete(w.jobs, t.Job)
		for _, id := range t.ids {
			delete(w.byID, id)
		}
		t.Verdict, t.Settle, t.Took = s.Verdict.String(), t.since(start), t.since(now)
		if len(w.settled) == kept {
			w.settled = slices.Delete(w.settled, 0, 1)
		}
		w.settled = append(w.settled, t)
		w.tell(t)
	}
}

func (w *watch) tellStalled(settlements []glue.Settlement) {
	for _, s := range settlements {
		if s.Verdict == glue.Stall && w.stalled != nil {
			w.stalled(s.JobID)
		}
	}
}

// settledJob returns the last trace of a job that was settled lately, or nil.
func (w *watch) settledJob(job string) *trace {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, t := range slices.Backward(w.settled) {
		if t.Job == job {
			return t
		}
	}
	return nil
}

// details is what the page shows of a job: its payload, and its message behind each step.
type details struct {
	*trace
	Payload string        `json:"payload"`
	After   []stepMessage `json:"after"`
}

type stepMessage struct {
	Node int `json:"node"`
	message
}

func (t *trace) details() details {
	d := details{trace: t, Payload: t.payload, After: []stepMessage{}}
	for _, s := range t.Steps {
		d.After = append(d.After, stepMessage{s.Node, s.after})
	}
	return d
}

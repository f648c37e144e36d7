package glue

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Bounds of what is kept.
const (
	tracesKept    = 1_000  // of those of a claim, and again of those that failed or were slow
	tracesKeptAll = 10_000 // of KeepAll
)

// Keep says of which jobs traces are kept.
type Keep string

// What is kept.
const (
	KeepNone Keep = "none"
	KeepSome Keep = "some" // of jobs that failed or were slow, and of the last one of each claim
	KeepAll  Keep = "all"
)

// TraceConfig is what Traces are made of.
type TraceConfig struct {
	Keep Keep // KeepNone by default

	// Want, unless it is nil, says of each job that is claimed whether Done is to be told what became of it. Done is called when
	// it is settled.
	Want func(*Job) bool
	Done func(*Job, *Trace)
}

// Traces keeps what became of jobs. It is safe for concurrent use.
type Traces struct {
	config  TraceConfig
	waiting atomic.Int32 // len(asked)

	mu       sync.Mutex
	recent   ring
	troubled ring
	asked    map[traceKey]*asking
}

type traceKey struct{ feed, job string }

// asking is one job that somebody waits for.
type asking struct {
	settled chan struct{} // closed when a job of the key is
	waiters int
}

// NewTraces returns Traces that hold nothing yet.
func NewTraces(c TraceConfig) *Traces {
	size := tracesKept
	if c.Keep == KeepAll {
		size = tracesKeptAll
	}
	return &Traces{config: c, recent: ring{most: size}, troubled: ring{most: tracesKept}, asked: map[traceKey]*asking{}}
}

// Keep returns what is kept.
func (t *Traces) Keep() Keep { return t.config.Keep }

// ring holds the last traces.
type ring struct {
	most   int
	next   int
	traces []*trace
}

func (r *ring) add(t *trace) {
	if len(r.traces) < r.most {
		r.traces = append(r.traces, t)
		return
	}
	r.traces[r.next] = t
	r.next = (r.next + 1) % r.most
}

// Find returns the traces of a job, the oldest first: one for each time that this process claimed it. Of one that is not settled yet
// it has what has happened so far.
func (t *Traces) Find(feed, job string) []Trace {
	t.mu.Lock()
	defer t.mu.Unlock()
	var found []*trace
	for _, tr := range slices.Concat(t.recent.traces, t.troubled.traces) {
		if tr.Feed == feed && tr.Job == job && !slices.Contains(found, tr) {
			found = append(found, tr)
		}
	}
	slices.SortFunc(found, func(a, b *trace) int { return a.Claimed.Compare(b.Claimed) })
	traces := make([]Trace, len(found))
	for i, tr := range found {
		traces[i] = tr.snapshot()
	}
	return traces
}

// Ask has the job traced if it is claimed from now on. The channel is closed when a traced job of this id is settled; forget
// ends it.
func (t *Traces) Ask(feed, job string) (settled <-chan struct{}, forget func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	key := traceKey{feed, job}
	a := t.asked[key]
	if a == nil {
		a = &asking{settled: make(chan struct{})}
		t.asked[key] = a
		t.waiting.Add(1)
	}
	a.waiters++
	return a.settled, func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		if a.waiters--; a.waiters == 0 && t.asked[key] == a {
			delete(t.asked, key)
			t.waiting.Add(-1)
		}
	}
}

// Wait waits until a job that is traced, or is claimed meanwhile, is settled, or ctx is done.
func (t *Traces) Wait(ctx context.Context, feed, job string) []Trace {
	settled, forget := t.Ask(feed, job)
	defer forget()
	traces := t.Find(feed, job)
	if n := len(traces); n > 0 && traces[n-1].Settled != nil {
		return traces
	}
	select {
	case <-settled:
	case <-ctx.Done():
	}
	return t.Find(feed, job)
}

// begin decides which of some jobs that are claimed are traced.
func (t *Traces) begin(jobs []Job) {
	last := len(jobs) - 1
	if t.config.Keep != KeepAll && t.config.Want == nil && t.waiting.Load() == 0 {
		if t.config.Keep == KeepSome {
			t.open(&jobs[last], TracedClaim, false)
		}
		return
	}
	for i := range jobs {
		job := &jobs[i]
		sampled := t.config.Want != nil && t.config.Want(job)
		switch {
		case t.isAsked(job):
			t.open(job, TracedAsked, sampled)
		case sampled:
			t.open(job, TracedSampled, true)
		case t.config.Keep == KeepAll:
			t.open(job, TracedAll, false)
		case t.config.Keep == KeepSome && i == last:
			t.open(job, TracedClaim, false)
		}
	}
}

func (t *Traces) isAsked(job *Job) bool {
	if t.waiting.Load() == 0 {
		return false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.asked[traceKey{job.Feed, job.ID}] != nil
}

func (t *Traces) open(job *Job, why string, sampled bool) {
	job.trace = newTrace(job, why)
	job.trace.sampled = sampled
	t.mu.Lock()
	defer t.mu.Unlock()
	t.recent.add(job.trace)
}

// retry traces the jobs of b, which have failed for now, from here on, and counts the next attempt.
func (t *Traces) retry(b *batch) {
	if t.config.Keep != KeepNone {
		t.late(b, TracedFailed, func(int) bool { return true })
	}
	for i := range b.jobs {
		tr := b.jobs[i].trace
		if tr == nil {
			continue
		}
		t.trouble(tr)
		tr.mu.Lock()
		tr.attempt++
		tr.mu.Unlock()
	}
}

// trouble keeps a trace among those of jobs that failed or were slow, which do not give way to others.
func (t *Traces) trouble(tr *trace) {
	tr.mu.Lock()
	already := tr.troubled
	tr.troubled = true
	tr.mu.Unlock()
	if already {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.troubled.add(tr)
}

// late gives some jobs of b that are not traced a trace of what is known of them by now.
func (t *Traces) late(b *batch, why string, some func(i int) bool) {
	var isFresh []bool
	for i := range b.jobs {
		if job := &b.jobs[i]; job.trace == nil && some(i) {
			job.trace = newTrace(job, why)
			if isFresh == nil {
				isFresh = make([]bool, len(b.jobs))
			}
			isFresh[i] = true
		}
	}
	if isFresh == nil {
		return
	}
	for r := range b.runs {
		run := &b.runs[r]
		names := []string{run.pipeline.Name}
		for i, err := range run.failures {
			if isFresh[i] && err != nil {
				b.jobs[i].trace.add(&Step{What: StepStages, Pipelines: names, Start: b.jobs[i].claimedAt, End: time.Now(), In: 1, Error: err.Error(), OfBatch: true})
			}
		}
		run.eachJob(func(job int, sendings []sending) {
			if !isFresh[job] || run.start.IsZero() {
				return
			}
			step := Step{What: StepPublish, Pipelines: names, Start: run.start, End: run.end, OfBatch: true}
			for i := range sendings {
				step.note(&sendings[i])
			}
			if step.Hosts == nil { // nobody asked what they said to this one
				step.Hosts = run.hosts
			}
			b.jobs[job].trace.add(&step)
		})
	}
}

// end enters the verdicts on the jobs of b.
func (t *Traces) end(b *batch, settlements []Settlement, start time.Time, settled bool) {
	if t.config.Keep != KeepNone {
		now := time.Now()
		t.late(b, TracedFailed, func(i int) bool { return settlements[i].Verdict.isTrouble() })
		t.late(b, TracedSlow, func(i int) bool { return now.Sub(b.jobs[i].claimedAt) > SlowTime })
	}
	for i := range b.jobs {
		if tr := b.jobs[i].trace; tr != nil {
			t.endOne(&b.jobs[i], &settlements[i], start, settled)
		}
	}
}

func (t *Traces) endOne(job *Job, s *Settlement, start time.Time, settled bool) {
	tr, now := job.trace, time.Now()
	step := Step{What: StepSettle, Start: start, End: now}
	if !settled {
		step.Error = "Redis does not answer; the job stays claimed"
	}
	tr.add(&step)
	tr.mu.Lock()
	tr.Settled, tr.Verdict = &now, s.Verdict.String()
	if r := s.Reason; r != nil {
		tr.Pipeline, tr.Host, tr.Error = r.Pipeline, r.Host, r.Error
	}
	tr.mu.Unlock()
	if s.Verdict.isTrouble() || now.Sub(job.claimedAt) > SlowTime {
		t.trouble(tr)
	}
	if tr.sampled {
		snapshot := tr.snapshot()
		t.config.Done(job, &snapshot)
	}
	t.tell(traceKey{job.Feed, job.ID})
}

// tell wakes up those who wait for a job.
func (t *Traces) tell(key traceKey) {
	if t.waiting.Load() == 0 {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if a := t.asked[key]; a != nil {
		close(a.settled)
		delete(t.asked, key)
		t.waiting.Add(-1)
	}
}

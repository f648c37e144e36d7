package glue

import (
	"slices"
	"sync"
	"time"
)

// Trace is what became of one claim of a job in this process.
type Trace struct {
	Feed      string     `json:"feed"`
	Job       string     `json:"job"`
	Why       string     `json:"why"`           // it is kept: one of the constants below
	Put       *time.Time `json:"put,omitempty"` // by the engine's clock, like all times; nil if the feed does not know
	Claimed   time.Time  `json:"claimed"`
	Cancelled int        `json:"cancelled"` // times the job had gone back to its feed before
	Steps     []Step     `json:"steps"`
	LeftOut   int        `json:"leftOut,omitempty"` // steps in the middle, of a job that was tried for long

	// Of a job that is settled.
	Settled  *time.Time `json:"settled,omitempty"`
	Verdict  string     `json:"verdict,omitempty"`
	Pipeline string     `json:"pipeline,omitempty"` // whose failure it was
	Host     string     `json:"host,omitempty"`     // the push host that is to blame, if it is one
	Error    string     `json:"error,omitempty"`
}

// Why a trace is kept.
const (
	TracedClaim   = "claim"   // the last job of a claim
	TracedFailed  = "failed"  // at least once
	TracedSlow    = "slow"    // it took longer than SlowTime from claim to settlement
	TracedAsked   = "asked"   // somebody asked before it was claimed
	TracedAll     = "all"     // all are kept
	TracedSampled = "sampled" // for TraceConfig.Done
)

// Step is a piece of a job's way: a stage, a publisher, or its settlement.
type Step struct {
	What      string    `json:"what"` // one of the constants below
	Stage     string    `json:"stage,omitempty"`
	Pipelines []string  `json:"pipelines,omitempty"` // more than one where they share a stage
	Attempt   int       `json:"attempt"`             // from 1, in this process
	Start     time.Time `json:"start"`
	End       time.Time `json:"end"`
	In        int       `json:"in"` // messages
	Out       int       `json:"out"`
	Channels  []string  `json:"channels,omitempty"` // the first 20
	Hosts     []Answer  `json:"hosts,omitempty"`
	Error     string    `json:"error,omitempty"`

	// OfBatch says that times and hosts are those of what was published together with the job: it was not traced itself then.
	OfBatch bool `json:"ofBatch,omitempty"`
}

// What a step is.
const (
	StepStage   = "stage"
	StepStages  = "stages" // all of a pipeline, of a job that was not traced yet when it failed there
	StepPublish = "publish"
	StepSettle  = "settle"
)

// Answer is what one push host said to a job's messages.
type Answer struct {
	Host     string     `json:"host"`
	Sent     *time.Time `json:"sent,omitempty"`     // nil if it was not: the host had it, or nobody listens there, or see Error
	Answered *time.Time `json:"answered,omitempty"` // the last time
	Accepted bool       `json:"accepted"`
	Error    string     `json:"error,omitempty"`
}

// SlowTime is how long a job may take from its claim to its settlement before its trace is kept for that.
const SlowTime = time.Second

// Bounds of a trace: a job whose push hosts are away is tried for as long as they are.
const (
	maxTraced = 20  // channels that a step names
	maxSteps  = 100 // the first half of all and the last
)

// trace is a Trace that grows.
type trace struct {
	sampled bool // Done is told

	mu       sync.Mutex
	troubled bool // it is in that ring
	attempt  int
	Trace
}

func newTrace(job *Job, why string) *trace {
	t := &trace{attempt: 1, Trace: Trace{Feed: job.Feed, Job: job.ID, Why: why, Claimed: job.claimedAt, Cancelled: job.Cancelled, Steps: make([]Step, 0, 12)}}
	if put := job.putAt(); !put.IsZero() {
		t.Put = &put
	}
	return t
}

func (t *trace) add(s *Step) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s.Attempt = t.attempt
	if len(t.Steps) == maxSteps {
		t.Steps = slices.Delete(slices.Clone(t.Steps), maxSteps/2, maxSteps/2+1) // a clone, since snapshots share them
		t.LeftOut++
	}
	t.Steps = append(t.Steps, *s)
}

func (t *trace) snapshot() Trace {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.Trace
	s.Steps = slices.Clip(s.Steps) // nobody writes into those that are there
	return s
}

// note enters one message of a job into the step that published it.
func (s *Step) note(sent *sending) {
	s.In++
	if !sent.open && sent.outcome == nil {
		s.Out++
	}
	if sent.outcome != nil && s.Error == "" {
		s.Error = sent.outcome.Error()
	}
	for _, name := range sent.message.Channels {
		if len(s.Channels) < maxTraced && !slices.Contains(s.Channels, name) {
			s.Channels = append(s.Channels, name)
		}
	}
	if r := sent.message.Receipt; r != nil {
		for i := range r.Answers {
			s.answer(&r.Answers[i])
		}
	}
}

// answer enters a host's answer to one message beside those to others of the job.
func (s *Step) answer(a *Answer) {
	i := slices.IndexFunc(s.Hosts, func(h Answer) bool { return h.Host == a.Host })
	if i < 0 {
		s.Hosts = append(slices.Clip(s.Hosts), *a)
		return
	}
	h := &s.Hosts[i]
	if h.Sent == nil {
		h.Sent = a.Sent
	}
	if a.Answered != nil {
		h.Answered = a.Answered
	}
	h.Accepted = h.Accepted && a.Accepted
	if h.Error == "" {
		h.Error = a.Error
	}
}

// eachJob calls do with the messages of each job of r that has some.
func (r *run) eachJob(do func(job int, sendings []sending)) {
	for i := 0; i < len(r.sendings); {
		end := i + 1
		for end < len(r.sendings) && r.sendings[end].job == r.sendings[i].job {
			end++
		}
		do(r.sendings[i].job, r.sendings[i:end])
		i = end
	}
}

// ask has the publisher tell what hosts answer to those messages that are traced, and reports whether there are some.
func (r *run) ask(jobs []Job) (traced bool) {
	for s := range r.open() {
		if jobs[s.job].trace != nil {
			traced = true
			s.message.Receipt = new(Receipt)
		}
	}
	return traced
}

// trace enters what was published into the traces of some of jobs. tried are the messages that it was about.
func (r *run) trace(jobs []Job, tried []*sending) {
	names := []string{r.pipeline.Name}
	for i := 0; i < len(tried); {
		job := tried[i].job
		step := Step{What: StepPublish, Pipelines: names, Start: r.start, End: r.end}
		for ; i < len(tried) && tried[i].job == job; i++ {
			if jobs[job].trace != nil {
				step.note(tried[i])
			}
		}
		if t := jobs[job].trace; t != nil {
			t.add(&step)
			r.hosts = step.Hosts
		}
	}
}

package glue

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/rs/zerolog"
)

// transformer runs batches through the stages of the pipelines of one feed.
type transformer struct {
	pipelines []*Pipeline
	way       Branch
	ledger    *Ledger
	repeats   *repeats
}

func newTransformer(pipelines []*Pipeline, ledger *Ledger, repeats *repeats) *transformer {
	return &transformer{pipelines, BranchesOf(pipelines), ledger, repeats}
}

// Transform runs one job through the stages of p. It returns the messages to publish, in order:
// one, more when a stage split it, none when all were dropped. The error is that of a stage.
func (p *Pipeline) Transform(ctx context.Context, job Job) ([]*Message, error) {
	t := newTransformer([]*Pipeline{p}, new(Ledger), newRepeats(zerolog.Nop()))
	b := newBatch([]Job{job}, 0, t.pipelines)
	t.transform(ctx, b)
	var messages []*Message
	for _, s := range b.runs[0].sendings {
		messages = append(messages, s.message)
	}
	return messages, b.runs[0].failures[0]
}

// MaxMessages bounds what one job becomes in a pipeline: all of it is in memory until the last one is
// published.
const MaxMessages = 1000

// minChunk is the least number of jobs that is worth a goroutine of its own.
const minChunk = 32

// transform makes the messages that b's runs lack: of all jobs the first time, later of those
// that failed for now in a stage. They are open afterwards, in the order of the jobs.
func (t *transformer) transform(ctx context.Context, b *batch) {
	todo := b.untransformed()
	if len(todo) == 0 {
		return
	}
	chunks := max(1, min(runtime.GOMAXPROCS(0), len(todo)/minChunk))
	walkers := make([]*walker, chunks)
	var wg sync.WaitGroup
	for c := range walkers {
		part := todo[c*len(todo)/chunks : (c+1)*len(todo)/chunks]
		walkers[c] = newWalker(t, b.runs, len(part))
		wg.Go(func() {
			for _, i := range part {
				walkers[c].begin(ctx, i, &b.jobs[i])
			}
		})
	}
	wg.Wait()
	for p := range b.runs {
		t.collect(&b.runs[p], walkers, p)
	}
}

// collect gives r the messages that walkers made for it, and books their work.
func (t *transformer) collect(r *run, walkers []*walker, p int) {
	again := len(r.sendings) > 0
	for _, w := range walkers {
		r.sendings = append(r.sendings, w.made[p]...)
		t.ledger.AddPipeline(w.sums[p])
	}
	if again {
		slices.SortStableFunc(r.sendings, func(a, b sending) int { return a.job - b.job })
	}
}

// walker leads jobs along the way through the stages, one after the other.
type walker struct {
	*transformer

	// By pipeline: the batch's runs, and what comes of its jobs.
	runs []run
	made [][]sending
	sums []PipelineSums

	trace *trace // of the job at hand; nil if it is not traced

	start [1]*Message // the message that a job begins with: here, lest the slice of one be allocated for each job
}

func newWalker(t *transformer, runs []run, jobs int) *walker {
	w := &walker{transformer: t, runs: runs, made: make([][]sending, len(runs)), sums: make([]PipelineSums, len(runs))}
	for p := range runs {
		w.made[p] = make([]sending, 0, jobs)
		w.sums[p] = newPipelineSums(runs[p].pipeline)
	}
	return w
}

// begin takes job i on its whole way.
func (w *walker) begin(ctx context.Context, i int, job *Job) {
	w.measure(i, job)
	if !w.wanted(&w.way, i) {
		return
	}
	w.start[0] = NewMessage(job.ID, job.Payload)
	w.start[0].Job = job
	w.trace = job.trace
	w.walk(ctx, &w.way, i, w.start[:])
}

// measure fails job i for the pipelines to which its payload is too long.
func (w *walker) measure(i int, job *Job) {
	for p := range w.runs {
		if most := w.runs[p].pipeline.MaxPayload; most > 0 && len(job.Payload) > most {
			w.runs[p].failures[i] = Permanentf("payload has %d bytes, more than %d", len(job.Payload), most)
		}
	}
}

// wants reports whether pipeline p still lacks the messages of job i.
func (w *walker) wants(p, i int) bool {
	return isTemporary(w.runs[p].failures[i])
}

// wanted reports whether a pipeline that goes through a branch does.
func (w *walker) wanted(b *Branch, i int) bool {
	return slices.ContainsFunc(b.Pipelines, func(p int) bool { return w.wants(p, i) })
}

// walk takes the messages of job i through a branch, and copies of them through each branch behind it
// that somebody wants.
func (w *walker) walk(ctx context.Context, b *Branch, i int, messages []*Message) {
	for s := range b.Stages {
		var count StageSums
		var err error
		if i%sampled == 0 || w.trace != nil {
			messages, err = w.timed(ctx, b, s, i, messages, &count)
		} else {
			messages, err = w.stage(ctx, b.Stages[s], messages, &count)
		}
		w.book(b, b.First+s, i, &count, err)
		if err != nil || len(messages) == 0 {
			return
		}
	}
	if len(b.Branches) == 0 {
		w.finish(b.Pipelines[0], i, messages)
		return
	}
	var next *Branch
	for n := range b.Branches {
		if !w.wanted(&b.Branches[n], i) {
			continue
		}
		if next != nil {
			w.walk(ctx, next, i, clones(messages))
		}
		next = &b.Branches[n]
	}
	w.walk(ctx, next, i, messages)
}

func clones(messages []*Message) []*Message {
	c := make([]*Message, len(messages))
	for i, m := range messages {
		c[i] = m.Clone()
	}
	return c
}

// sampled is of how many jobs of a batch one is timed in its stages: to ask for the time before and after each of them takes as long as
// some of them do.
const sampled = 16

// timed is stage, of job i in a branch, with the time that it takes.
func (w *walker) timed(ctx context.Context, b *Branch, place, i int, messages []*Message, count *StageSums) ([]*Message, error) {
	start := time.Now()
	passed, err := w.stage(ctx, b.Stages[place], messages, count)
	end := time.Now()
	if i%sampled == 0 {
		count.Took.Note(end.Sub(start))
	}
	if w.trace == nil {
		return passed, err
	}
	step := Step{What: StepStage, Stage: b.Stages[place].Name, Start: start, End: end, In: int(count.In), Out: int(count.Out)}
	for _, p := range b.Pipelines {
		if w.wants(p, i) {
			step.Pipelines = append(step.Pipelines, w.runs[p].pipeline.Name)
		}
	}
	if err != nil {
		step.Error = err.Error()
	}
	w.trace.add(&step)
	return passed, err
}

// stage takes a job's messages through one stage. When it fails one of them it fails them all: none
// is published before all have passed the stages.
func (w *walker) stage(ctx context.Context, stage NamedStage, messages []*Message, count *StageSums) ([]*Message, error) {
	count.In = int64(len(messages))
	passed := messages[:0]
	for _, m := range messages {
		err := w.process(ctx, stage, m)
		parts := m.parts
		m.parts = nil
		if slices.Contains(parts, nil) || len(passed)+len(parts) > MaxMessages {
			err = Permanentf("made more than %d messages of a job, or a part that is none", MaxMessages)
		}
		switch {
		case errors.Is(err, ErrFlag):
			count.Flagged++
		case errors.Is(err, ErrDrop):
			count.Dropped++
			continue
		case err != nil:
			count.Added, count.Flagged, count.Failed = 0, 0, count.In-count.Dropped
			return nil, fmt.Errorf("stage %s: %w", stage.Name, err)
		}
		switch {
		case parts == nil:
			passed = append(passed, m)
		case len(parts) == 0:
			count.Dropped++
		default:
			if count.Added == 0 {
				// In an array of its own, so that the parts do not overwrite messages that are still to come.
				passed = slices.Clip(passed)
			}
			count.Added += int64(len(parts) - 1)
			passed = append(passed, parts...)
		}
	}
	count.Out = int64(len(passed))
	return passed, nil
}

// book enters what a stage, at its place in the pipelines of b, did with job i.
func (w *walker) book(b *Branch, place, i int, count *StageSums, err error) {
	for _, p := range b.Pipelines {
		if !w.wants(p, i) {
			continue
		}
		w.sums[p].Stages[place].add(count)
		if err != nil || count.Out == 0 {
			w.runs[p].failures[i] = err
		}
	}
}

// finish checks what the stages of pipeline p have made of job i, and opens it.
func (w *walker) finish(p, i int, messages []*Message) {
	if err := checkAll(messages); err != nil {
		w.runs[p].failures[i] = w.refuse(p, int64(len(messages)), err)
		return
	}
	w.runs[p].failures[i] = nil
	for _, m := range messages {
		if m.Job != nil && m.Job.Awaited {
			m.Receipt = new(Receipt)
		}
		w.made[p] = append(w.made[p], sending{job: i, message: m, open: true})
	}
	w.sums[p].Publish.In += int64(len(messages))
	w.sums[p].Publish.InFlight += int64(len(messages))
}

// refuse books n messages that passed all stages of p, but that nobody may have, as failures at
// the last one.
func (w *walker) refuse(p int, n int64, err error) error {
	stages := w.sums[p].Stages
	if len(stages) == 0 {
		return err
	}
	last := &stages[len(stages)-1]
	last.Out -= n
	last.Failed += n
	return fmt.Errorf("after stage %s: %w", last.Name, err)
}

// process calls a stage and turns a panic into a permanent error: the next job may do better.
func (w *walker) process(ctx context.Context, stage NamedStage, m *Message) (err error) {
	defer func() {
		if p := recover(); p != nil {
			// The value of a panic may quote payload; its type and the stack do not.
			kind, stack := fmt.Sprintf("%T", p), debug.Stack()
			w.repeats.say(event{
				level: zerolog.ErrorLevel, message: "stage panicked", kind: stage.Name + kind,
				common: func(e *zerolog.Event) { e.Str("stage", stage.Name).Str("panic", kind) },
				own:    func(e *zerolog.Event) { e.Bytes("stack", stack) },
			})
			err = Permanentf("panicked")
		}
	}()
	return stage.Process(ctx, m)
}

func checkAll(messages []*Message) error {
	for _, m := range messages {
		if err := m.check(); err != nil {
			return err
		}
	}
	return nil
}

// check reports why a finished message cannot be sent to readers unchanged.
func (m *Message) check() error {
	if err := CheckToken(m.ID); err != nil {
		return Permanentf("message id %w", err)
	}
	if m.Type != "" {
		if err := CheckToken(m.Type); err != nil {
			return Permanentf("message type %w", err)
		}
		if m.Type == CoalescedType {
			return Permanentf("message type %q is that of coalesced messages", CoalescedType)
		}
	}
	if len(m.Channels) > MaxChannels {
		return Permanentf("%d channels are more than %d", len(m.Channels), MaxChannels)
	}
	for _, name := range m.Channels {
		if err := CheckChannel(name); err != nil {
			return Permanent(err)
		}
	}
	body := m.Body()
	switch {
	case len(body) == 0:
		return Permanentf("body is empty")
	case bytes.IndexByte(body, '\n') >= 0, bytes.IndexByte(body, '\r') >= 0: // each of which is faster than ContainsAny
		// EventSource ends a line there, and push-stream loses blank lines.
		return Permanentf("body has more than one line; the json stage makes one line of it")
	case !utf8.Valid(body):
		return Permanentf("body is not valid UTF-8")
	}
	return nil
}

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
	"unicode/utf8"

	"github.com/rs/zerolog"
)

// transformer runs batches through the stages of pipelines.
type transformer struct {
	ledger *Ledger
	log    zerolog.Logger
}

// minChunk is the least number of jobs that is worth a goroutine of its own.
const minChunk = 32

// transform makes the messages that b's runs lack: of all jobs the first time, later of those
// that failed for now in a stage. What passes is open afterwards, in the order of the jobs.
func (t *transformer) transform(ctx context.Context, b *batch) {
	for r := range b.runs {
		run := &b.runs[r]
		todo := run.untransformed()
		if len(todo) == 0 {
			continue
		}
		sums := t.inChunks(ctx, b.jobs, run, todo)
		run.openMade(todo)
		t.ledger.AddPipeline(sums)
	}
}

// untransformed returns the jobs of r that have no message and no final outcome.
func (r *run) untransformed() []int {
	var todo []int
	for i, m := range r.messages {
		first := r.outcomes[i] == nil
		if m == nil && (first || isTemporary(r.outcomes[i])) {
			todo = append(todo, i)
		}
	}
	return todo
}

// openMade opens those of the given jobs for which there is a message now.
func (r *run) openMade(places []int) {
	for _, i := range places {
		if r.messages[i] != nil {
			r.open = append(r.open, i)
		}
	}
	slices.Sort(r.open)
}

// inChunks transforms the jobs at the given places on all processors and returns the counts.
func (t *transformer) inChunks(ctx context.Context, jobs []Job, r *run, places []int) PipelineSums {
	chunks := max(1, min(runtime.GOMAXPROCS(0), len(places)/minChunk))
	sums := make([]PipelineSums, chunks)
	var wg sync.WaitGroup
	for c := range chunks {
		part := places[c*len(places)/chunks : (c+1)*len(places)/chunks]
		sums[c] = newPipelineSums(r.pipeline)
		wg.Go(func() {
			for _, i := range part {
				r.messages[i], r.outcomes[i] = t.message(ctx, &jobs[i], r.pipeline, &sums[c])
			}
		})
	}
	wg.Wait()
	for _, more := range sums[1:] {
		sums[0].add(more)
	}
	return sums[0]
}

// message runs one job through the stages. It returns no message when a stage's verdict is an error.
func (t *transformer) message(ctx context.Context, job *Job, p *Pipeline, sums *PipelineSums) (*Message, error) {
	m := NewMessage(job.ID, job.Payload)
	for i, stage := range p.Stages {
		count := &sums.Stages[i]
		count.In++
		err := t.process(ctx, stage, m)
		if err == nil && i == len(p.Stages)-1 {
			err = m.check()
		}
		switch {
		case err == nil:
			count.Out++
		case errors.Is(err, ErrDrop):
			count.Dropped++
			return nil, err
		default:
			count.Failed++
			return nil, fmt.Errorf("stage %s: %w", stage.Name, err)
		}
	}
	if len(p.Stages) == 0 {
		if err := m.check(); err != nil {
			return nil, err
		}
	}
	sums.Publish.In++
	sums.Publish.InFlight++
	return m, nil
}

// process calls a stage and turns a panic into a permanent error: the next job may do better.
func (t *transformer) process(ctx context.Context, stage NamedStage, m *Message) (err error) {
	defer func() {
		if p := recover(); p != nil {
			// The value of a panic may quote payload; its type and the stack do not.
			t.log.Error().Str("stage", stage.Name).Str("panic", fmt.Sprintf("%T", p)).
				Bytes("stack", debug.Stack()).Msg("stage panicked")
			err = Permanentf("panicked")
		}
	}()
	return stage.Process(ctx, m)
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
	}
	body := m.Body()
	switch {
	case len(body) == 0:
		return Permanentf("body is empty")
	case bytes.ContainsAny(body, "\r\n"):
		// EventSource ends a line there, and push-stream loses blank lines.
		return Permanentf("body has more than one line; the json stage makes one line of it")
	case !utf8.Valid(body):
		return Permanentf("body is not valid UTF-8")
	}
	return nil
}

package glue

import (
	"context"
	"slices"
	"sync"
	"time"
)

// Publisher hands messages to the world. It is safe for concurrent use.
//
// Publish publishes a batch in order and writes one outcome for each message into outcomes,
// which is as long as batch: nil for published, ErrUnavailable when nobody is there to take
// messages, a permanent error, or anything else for failed for now. On entry outcomes holds
// each message's previous outcome, nil at the first attempt, so that a publisher with
// several destinations can leave out those that have the message.
// Publish keeps neither slice. It returns soon after ctx is done.
type Publisher interface {
	Publish(ctx context.Context, batch []*Message, outcomes []error)
}

// publish hands b's open messages in some pipelines to their publishers, all pipelines at once, and
// stays until each has its outcome. What failed for now is still open afterwards.
func (b *batch) publish(ctx context.Context, ledger *Ledger, some func(*Pipeline) bool) {
	var runs []*run
	for r := range b.runs {
		if some(b.runs[r].pipeline) {
			runs = append(runs, &b.runs[r])
		}
	}
	if len(runs) == 0 {
		return
	}
	var wg sync.WaitGroup
	for _, r := range runs[1:] {
		wg.Go(func() { r.publish(ctx, ledger, b.jobs) })
	}
	runs[0].publish(ctx, ledger, b.jobs)
	wg.Wait()
}

func (r *run) publish(ctx context.Context, ledger *Ledger, jobs []Job) {
	open := slices.AppendSeq(make([]*sending, 0, len(r.sendings)), r.open())
	if len(open) == 0 {
		return
	}
	messages := make([]*Message, len(open))
	outcomes := make([]error, len(open))
	var retries int64
	for n, s := range open {
		messages[n], outcomes[n] = s.message, s.outcome
		if s.outcome != nil {
			retries++
		}
	}
	traced := r.ask(jobs)
	replaced := 0
	r.start = time.Now()
	switch c := r.pipeline.Coalesce; {
	case c == nil:
		r.pipeline.Publisher.Publish(ctx, messages, outcomes)
	case r.alone:
		replaced = c.alone().publish(ctx, r.pipeline.Publisher, messages, outcomes)
	default:
		replaced = c.publish(ctx, r.pipeline.Publisher, messages, outcomes)
	}
	r.end = time.Now()

	for n, s := range open {
		s.outcome, s.open = outcomes[n], isTemporary(outcomes[n])
	}
	sums := publishSums(outcomes)
	sums.Took.Note(r.end.Sub(r.start))
	sums.Published -= int64(replaced)
	sums.Replaced, sums.Retries = int64(replaced), retries
	ledger.AddPipeline(PipelineSums{Name: r.pipeline.Name, Publish: sums})
	if traced {
		r.trace(jobs, open)
	}
}

// publishSums books outcomes: what failed for now stays in flight.
func publishSums(outcomes []error) PublishSums {
	var sums PublishSums
	for _, err := range outcomes {
		switch {
		case err == nil:
			sums.Published++
		case !isTemporary(err):
			sums.Failed++
		}
	}
	sums.InFlight = -sums.Published - sums.Failed
	return sums
}

package glue

import (
	"context"
	"sync"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sync/semaphore"
)

// line is the way from one feed through its pipelines: four goroutines that hand batches on,
// so that one batch is settled while the next is published, the next but one transformed and
// another one claimed. The channels hold nothing: when one goroutine waits, all before it do.
type line struct {
	nozzle      *nozzle
	transformer *transformer
	pipelines   []*Pipeline
	ledger      *Ledger
	log         zerolog.Logger

	attempts  int
	budget    time.Duration       // for retries in process
	retryRoom *semaphore.Weighted // for jobs that wait for a retry
	retrying  sync.WaitGroup
}

// run works until stop is done and all claimed jobs are settled. What is not published when
// abort is done goes back to the feed.
func (l *line) run(stop, abort context.Context) error {
	claimed, transformed, published := make(chan *batch), make(chan *batch), make(chan *batch)
	go func() {
		defer close(claimed)
		for {
			jobs, seq := l.nozzle.claim(stop)
			if len(jobs) == 0 {
				return
			}
			claimed <- newBatch(jobs, seq, l.pipelines)
		}
	}()
	go func() {
		defer close(transformed)
		for b := range claimed {
			l.transformer.transform(abort, b)
			transformed <- b
		}
	}()
	go func() {
		defer close(published)
		for b := range transformed {
			l.publish(stop, abort, b)
			published <- b
		}
	}()
	for b := range published {
		if failed := l.settle(abort, b); failed != nil {
			l.later(stop, abort, failed)
		}
	}
	l.retrying.Wait()
	return l.nozzle.flush(abort)
}

// publish publishes b. When there is nobody to take its messages it holds them, and with them
// all that comes after, so that an outage costs neither order nor attempts.
func (l *line) publish(stop, abort context.Context, b *batch) {
	b.publish(abort, l.ledger)
	if !b.isUnavailable() {
		return
	}
	l.log.Error().Err(b.reason()).Msg("nobody takes messages; the feed waits")
	for pause := newPause(); b.isUnavailable(); {
		if !sleep(stop, pause.NextBackOff()) {
			return
		}
		b.publish(abort, l.ledger)
	}
	l.log.Info().Msg("messages are taken again")
}

// settle settles the jobs of b whose outcome is known and returns the others; nil if there are none.
func (l *line) settle(abort context.Context, b *batch) *batch {
	failed := b.split()
	settlements := make([]Settlement, len(b.jobs))
	for i := range b.jobs {
		settlements[i] = l.settlement(b, i)
	}
	l.nozzle.settle(abort, b, settlements)
	return failed
}

// settlement returns the verdict on job i of b. One that failed for now is cancelled, or stalled
// after its last attempt.
func (l *line) settlement(b *batch, i int) Settlement {
	job := &b.jobs[i]
	verdict, pipeline, err := b.verdict(i)
	s := Settlement{JobID: job.ID, Verdict: verdict}
	if verdict == Finish {
		return s
	}
	s.Reason = pipeline.Name + ": " + err.Error()
	attempt := job.Cancelled + 1
	if verdict == Cancel && attempt >= l.attempts {
		s.Verdict = Stall
	}
	l.log.Warn().Str("job", job.ID).Str("pipeline", pipeline.Name).Err(err).
		Int("attempt", attempt).Msgf("job goes to %s", s.Verdict)
	return s
}

// later retries the failed jobs beside the line, which goes on. When the daemon stops they go
// back untried; when too many wait already they are cancelled at once.
func (l *line) later(stop, abort context.Context, failed *batch) {
	jobs := int64(len(failed.jobs))
	switch {
	case stop.Err() != nil:
		l.nozzle.release(failed)
	case !l.retryRoom.TryAcquire(jobs):
		l.giveBack(abort, failed)
	default:
		l.retrying.Go(func() {
			defer l.retryRoom.Release(jobs)
			l.retry(stop, abort, failed)
		})
	}
}

func (l *line) retry(stop, abort context.Context, b *batch) {
	deadline := time.Now().Add(l.budget)
	pause := newPause()
	for b != nil {
		if !sleep(stop, pause.NextBackOff()) {
			l.nozzle.release(b)
			return
		}
		l.transformer.transform(abort, b)
		b.publish(abort, l.ledger)
		b = l.settle(abort, b)
		if b != nil && stop.Err() == nil && time.Now().After(deadline) && !b.isUnavailable() {
			l.giveBack(abort, b)
			return
		}
	}
}

// giveBack settles jobs that failed for now.
func (l *line) giveBack(abort context.Context, b *batch) {
	settlements := make([]Settlement, len(b.jobs))
	for i := range b.jobs {
		settlements[i] = l.settlement(b, i)
	}
	l.nozzle.settle(abort, b, settlements)
}

// reason returns the outcome of the first open message of b.
func (b *batch) reason() error {
	for r := range b.runs {
		for _, i := range b.runs[r].open {
			return b.runs[r].outcomes[i]
		}
	}
	return nil
}

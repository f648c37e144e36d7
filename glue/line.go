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
	works       *works
	ledger      *Ledger
	log         zerolog.Logger
	repeats     *repeats

	shadows []*shadow
	gaveUp  bool // publish was told to stop while it held a batch

	window   time.Duration // in which batches are gathered; 0 if no pipeline coalesces over batches
	gathered int           // most jobs that are, but for the last batch

	attempts  int
	budget    time.Duration       // for retries in process
	retryRoom *semaphore.Weighted // for jobs that wait for a retry
	beside    sync.WaitGroup      // what runs beside the line: retries and shadows
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
			claimed <- newBatch(jobs, seq, l.transformer.pipelines)
		}
	}()
	go func() {
		defer close(transformed)
		for b := range claimed {
			for _, s := range l.shadows {
				l.startShadow(abort, s, b.jobs)
			}
			l.transform(abort, b)
			transformed <- b
		}
	}()
	go func() {
		defer close(published)
		for b := range transformed {
			l.publish(stop, abort, b, transformed)
			published <- b
		}
	}()
	for b := range published {
		if failed := l.settle(abort, b); failed != nil {
			l.later(stop, abort, failed)
		}
	}
	l.beside.Wait()
	l.repeats.flush()
	return l.nozzle.flush(abort)
}

// publish publishes b and, if there are pipelines that coalesce, what follows it within their window.
// When there is nobody to take the messages it holds them, and with them all that comes after, so that
// an outage costs neither order nor attempts.
func (l *line) publish(stop, abort context.Context, b *batch, following <-chan *batch) {
	if l.gaveUp {
		// What was held goes back to the feed; what comes after it must not overtake it.
		b.giveUp()
		return
	}
	l.hand(abort, b, isSingle)
	if l.window > 0 {
		l.gather(abort, b, following)
	}
	l.hand(abort, b, isCoalesced)
	reason := b.unavailable()
	if reason == nil {
		return
	}
	l.log.Error().Err(reason).Msg("nobody takes messages; the feed waits")
	for pause := newPause(); b.unavailable() != nil; {
		if !Sleep(stop, pause.NextBackOff()) {
			l.gaveUp = true
			return
		}
		l.hand(abort, b, isAny)
	}
	l.log.Info().Msg("messages are taken again")
}

func (l *line) transform(ctx context.Context, b *batch) {
	defer l.works.begin("transform")()
	l.transformer.transform(ctx, b)
}

// hand hands b's open messages in some pipelines to their publishers.
func (l *line) hand(ctx context.Context, b *batch, some func(*Pipeline) bool) {
	defer l.works.begin("publish")()
	b.publish(ctx, l.ledger, some)
}

// gather adds to b the batches that follow it within the window. The messages of pipelines that coalesce
// wait meanwhile, those of others do not. It ends early when the jobs are many, when some messages find
// nobody to take them, for whom all must be held, and when nothing follows because the daemon stops.
func (l *line) gather(abort context.Context, b *batch, following <-chan *batch) {
	window := time.NewTimer(l.window)
	defer window.Stop()
	for last := b; len(b.jobs) < l.gathered && last.unavailable() == nil; {
		select {
		case next, more := <-following:
			if !more {
				return
			}
			l.hand(abort, next, isSingle)
			b.merge(next)
			last = next
		case <-window.C:
			return
		}
	}
}

// settle settles the jobs of b whose outcome is known and returns the others; nil if there are none.
func (l *line) settle(abort context.Context, b *batch) *batch {
	b.confirm(l.repeats)
	failed := b.take(failedForNow)
	l.settleAll(abort, b)
	return failed
}

// settleAll settles all jobs of b; those that failed for now are given back.
func (l *line) settleAll(abort context.Context, b *batch) {
	settlements := make([]Settlement, len(b.jobs))
	results := b.results()
	for i, j := range b.judge() {
		settlements[i] = l.settlement(&b.jobs[i], j)
		if j.verdict == Finish {
			settlements[i].Result = results[i]
		}
	}
	start := time.Now()
	settled := l.nozzle.settle(abort, settlements)
	l.nozzle.traces.end(b, settlements, start, settled)
	b.bookReturned(l.ledger)
}

// settlement returns where a job goes. One that failed for now is cancelled, or stalled after its
// last attempt.
func (l *line) settlement(job *Job, j judgement) Settlement {
	s := Settlement{JobID: job.ID, Claim: job.Claim, Verdict: j.verdict, put: job.putAt()}
	if j.verdict == Finish {
		return s
	}
	attempt := job.Cancelled + 1
	s.Reason = &Reason{Pipeline: j.pipeline.Name, Host: HostOf(j.reason), Error: j.reason.Error(), Attempts: attempt}
	if j.verdict == Cancel && attempt >= l.attempts {
		s.Verdict = Stall
	}
	l.repeats.say(event{
		level: zerolog.WarnLevel, message: "job failed", kind: s.Reason.String() + s.Verdict.String(),
		common: func(e *zerolog.Event) {
			e.Str("pipeline", j.pipeline.Name).Err(j.reason).Stringer("verdict", s.Verdict)
			if s.Reason.Host != "" {
				e.Str("host", s.Reason.Host)
			}
		},
		own: func(e *zerolog.Event) { e.Str("job", job.ID).Int("attempt", attempt) },
	})
	return s
}

// later retries the failed jobs beside the line, which goes on. When too many wait already the
// line waits too. When the daemon stops they go back untried.
func (l *line) later(stop, abort context.Context, failed *batch) {
	jobs := int64(len(failed.jobs))
	if stop.Err() != nil || l.retryRoom.Acquire(stop, jobs) != nil {
		l.nozzle.release(failed)
		return
	}
	l.beside.Go(func() {
		defer l.retryRoom.Release(jobs)
		l.retry(stop, abort, failed)
	})
}

func (l *line) retry(stop, abort context.Context, b *batch) {
	deadline := time.Now().Add(l.budget)
	pause := newPause()
	for said := false; b != nil; {
		if !Sleep(stop, pause.NextBackOff()) {
			l.nozzle.release(b)
			return
		}
		l.nozzle.traces.retry(b)
		l.transform(abort, b)
		b.apart()
		l.hand(abort, b, isAny)
		b = l.settle(abort, b)
		if b != nil && stop.Err() == nil && time.Now().After(deadline) {
			waiting := b.take(waits)
			l.settleAll(abort, b)
			if b = waiting; b != nil && !said {
				said = true
				l.log.Error().Err(b.judge()[0].reason).Int("jobs", len(b.jobs)).Msg("jobs wait beside the line until somebody takes them")
			}
		}
	}
}

package glue

import (
	"context"
	"slices"

	"github.com/rs/zerolog"
	"golang.org/x/sync/semaphore"
)

// shadow is a shadow pipeline of a feed. It works beside the line, on one batch at a time: when its last
// batch is not done yet it misses this one, so that it holds up nothing.
type shadow struct {
	transformer *transformer
	busy        *semaphore.Weighted
}

// startShadow takes jobs through a shadow pipeline, once, unless it is busy. Nothing of it changes a verdict.
func (l *line) startShadow(abort context.Context, s *shadow, jobs []Job) {
	if !s.busy.TryAcquire(1) {
		return
	}
	jobs = slices.Clone(jobs) // the line goes on with them
	l.beside.Go(func() {
		defer s.busy.Release(1)
		defer l.works.begin("shadow")()
		b := newBatch(jobs, 0, s.transformer.pipelines)
		s.transformer.transform(abort, b)
		b.publish(abort, l.ledger, isAny)
		b.confirm(l.repeats)
		b.bookReturned(l.ledger)
		r := &b.runs[0]
		if failed, first := r.failed(); failed > 0 {
			l.repeats.say(event{
				level: zerolog.WarnLevel, message: "shadow pipeline fails", kind: r.pipeline.Name + first.Error(),
				common: func(e *zerolog.Event) { e.Str("pipeline", r.pipeline.Name).Err(first) },
				own:    func(e *zerolog.Event) { e.Int("failures", failed) },
			})
		}
	})
}

package glue

import (
	"context"

	"github.com/rs/zerolog"
)

// confirm tells those stages that want to know it which messages of b were published.
func (b *batch) confirm(repeats *repeats) {
	for r := range b.runs {
		p := b.runs[r].pipeline
		for _, stage := range p.Stages {
			confirmer, is := stage.Stage.(Confirmer)
			if !is {
				continue
			}
			if err := b.runs[r].confirm(confirmer); err != nil {
				repeats.say(event{
					level: zerolog.WarnLevel, message: "the stage cannot take note of what was published", kind: p.Name + stage.Name + err.Error(),
					common: func(e *zerolog.Event) { e.Str("pipeline", p.Name).Str("stage", stage.Name).Err(err) },
				})
			}
		}
	}
}

func (r *run) confirm(confirmer Confirmer) error {
	published := r.published()
	if len(published) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), storeTimeout)
	defer cancel()
	return confirmer.Confirm(ctx, published)
}

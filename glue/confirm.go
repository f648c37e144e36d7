package glue

import (
	"context"

	"github.com/rs/zerolog"
)

// confirm tells those stages that want to know it which messages of b were published.
func (b *batch) confirm(log zerolog.Logger) {
	for r := range b.runs {
		p := b.runs[r].pipeline
		for _, stage := range p.Stages {
			confirmer, is := stage.Stage.(Confirmer)
			if !is {
				continue
			}
			if err := b.runs[r].confirm(confirmer); err != nil {
				log.Warn().Err(err).Str("pipeline", p.Name).Str("stage", stage.Name).Msg("the stage cannot take note of what was published")
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

package main

import (
	"context"
	"fmt"
	"time"

	"github.com/rs/zerolog"

	"pushglue/glue"
	"pushglue/glue/spans"
)

// spansTime is how long the daemon's end waits for a collector at most.
const spansTime = 2 * time.Second

// newTraces returns what keeps what became of jobs, and tells a collector of it if there is one. end sends what is left.
func newTraces(c config, log zerolog.Logger) (traces *glue.Traces, end func(), err error) {
	tc := glue.TraceConfig{Keep: c.Trace}
	if c.OTLPEndpoint == "" {
		return glue.NewTraces(tc), func() {}, nil
	}
	exporter, err := spans.New(spans.Config{Endpoint: c.OTLPEndpoint, Sample: c.TraceSample, Version: version, Log: log})
	if err != nil {
		return nil, nil, fmt.Errorf("PUSHGLUE_OTLP_ENDPOINT: %w", err)
	}
	tc.Want, tc.Done = exporter.Want, exporter.Done
	return glue.NewTraces(tc), func() {
		ctx, cancel := context.WithTimeout(context.Background(), spansTime)
		defer cancel()
		if err := exporter.Close(ctx); err != nil {
			log.Warn().Err(err).Msg("cannot send the last spans")
		}
	}, nil
}

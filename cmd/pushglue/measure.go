package main

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"pushglue/glue/metrics"
)

// measuring asks and sends until it is ended.
type measuring struct {
	registry *prometheus.Registry
	sampler  *metrics.Sampler
	stopping atomic.Bool
	cancel   context.CancelFunc
	working  sync.WaitGroup
}

// measure starts to measure sources.
func measure(c config, sources metrics.Sources, log zerolog.Logger) *measuring {
	ctx, cancel := context.WithCancel(context.Background())
	sampler := metrics.NewSampler(sources, c.MetricsInterval, log)
	m := &measuring{registry: metrics.NewRegistry(sources.Ledger, sampler, version), sampler: sampler, cancel: cancel}
	m.working.Go(func() { sampler.Run(ctx) })
	if c.StatsdAddr != "" {
		statsd := metrics.NewStatsd(c.StatsdAddr, c.StatsdPrefix, metrics.StatsdTags(c.StatsdTags), m.registry, c.MetricsInterval, log)
		m.working.Go(func() { statsd.Run(ctx) })
	}
	return m
}

// unready returns why the daemon cannot work now; nothing if it can.
func (m *measuring) unready() []string {
	if m.stopping.Load() {
		return []string{"it is stopping"}
	}
	return m.sampler.Unready()
}

// end ends it, when the last numbers have been sent.
func (m *measuring) end() {
	m.cancel()
	m.working.Wait()
}

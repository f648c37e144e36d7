// Package marks remembers in Redis which messages a pipeline has published, for the stage dedupe.
//
// A message has one mark, under its id, which ends by itself:
//
//	none ──Begin──> on its way, of one job ──Done──> published
//
// The key is "pushglue.published:FEED PIPELINE ID". Feed and pipeline have no spaces, so no two messages share one.
// A user of Redis needs ~pushglue.published:* +get +set +@scripting for it.
package marks

import (
	"context"
	_ "embed"
	"fmt"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"pushglue/stages"
)

// pending is how long a message may be on its way before another job may take it for lost.
const pending = time.Minute

// calm is how long Redis is not asked again after it has failed: each of a thousand messages would wait for it by
// itself.
const calm = time.Second

// published is the value of the mark of a published message. No other begins like it.
const published = "published"

//go:embed begin.lua
var beginSource string

var beginScript = redis.NewScript(beginSource)

// Marks are the marks of one pipeline. It is safe for concurrent use.
type Marks struct {
	rdb    redis.UniversalClient
	prefix string

	mu     sync.Mutex
	failed error     // how Redis failed last
	until  time.Time // it is not asked before
}

var _ stages.Memory = (*Marks)(nil)

// New returns the marks of a pipeline of a feed. It does no I/O.
func New(rdb redis.UniversalClient, feed, pipeline string) *Marks {
	return &Marks{rdb: rdb, prefix: "pushglue.published:" + feed + " " + pipeline + " "}
}

// Begin implements stages.Memory, in one round trip.
func (m *Marks) Begin(ctx context.Context, id, job string) (stages.Standing, error) {
	if err := m.failure(); err != nil {
		return 0, err
	}
	reply, err := beginScript.Run(ctx, m.rdb, []string{m.prefix + id}, "job "+job, pending.Milliseconds(), published).Int()
	if err != nil {
		if ctx.Err() == nil {
			m.fail(err)
		}
		return 0, fmt.Errorf("mark a message: %w", err)
	}
	return stages.Standing(reply), nil
}

// Done implements stages.Memory, in one round trip.
func (m *Marks) Done(ctx context.Context, ids []string, window time.Duration) error {
	_, err := m.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for _, id := range ids {
			p.Set(ctx, m.prefix+id, published, window)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("mark %d messages as published: %w", len(ids), err)
	}
	return nil
}

// failure returns why Redis is left alone, or nil.
func (m *Marks) failure() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if time.Now().Before(m.until) {
		return fmt.Errorf("not asked so soon after a failure: %w", m.failed)
	}
	return nil
}

func (m *Marks) fail(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.failed, m.until = err, time.Now().Add(calm)
}

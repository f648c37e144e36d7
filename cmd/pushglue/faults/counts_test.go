package faults

import (
	"context"
	"sync/atomic"

	"github.com/redis/go-redis/v9"
)

// counts notices when jobs are counted as cancelled. When all is done nothing is left of that, so Redis has to tell
// when it happens. It is told again after Redis was away.
type counts struct {
	written atomic.Int64
	stop    context.CancelFunc
	done    chan struct{}
}

func startCounts(r *round) *counts {
	r.Helper()
	ctx, cancel := context.WithCancel(r.Context())
	c := &counts{stop: cancel, done: make(chan struct{})}
	var keys []string
	for _, feed := range feeds {
		keys = append(keys, "__keyspace@0__:feed.cancelled:"+feed)
	}
	events := r.rdb.Subscribe(ctx, keys...)
	for range keys {
		if _, err := events.Receive(ctx); err != nil {
			r.Fatalf("subscribe to what Redis tells of cancelled jobs: %v", err)
		}
	}
	go func() {
		defer close(c.done)
		c.listen(ctx, events)
	}()
	r.Cleanup(c.end)
	return c
}

func (c *counts) listen(ctx context.Context, events *redis.PubSub) {
	defer events.Close()
	channel := events.Channel()
	for {
		select {
		case event := <-channel:
			if event.Payload == "hset" || event.Payload == "hincrby" {
				c.written.Add(1)
			}
		case <-ctx.Done():
			return
		}
	}
}

func (c *counts) end() {
	c.stop()
	<-c.done
}

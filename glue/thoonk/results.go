package thoonk

import (
	"context"
	"strings"

	"github.com/redis/go-redis/v9"
)

// Results are the results of a feed's jobs that finish with one.
type Results struct {
	feed         *Feed
	subscription *redis.PubSub
}

// Result is what the worker that finished a job says of it.
type Result struct {
	JobID string
	Text  string
}

// Results subscribes to the results of jobs. From its return on, the workers of pushglue that claim a job of this feed
// finish it with a result, a glue.Outcome as JSON; other workers do so if they have one. Pub/sub has no memory: what finishes
// while the connection is broken is missed. On a Redis Cluster a worker sees only subscriptions at the node that holds the feed.
// The caller closes what it returns.
func (f *Feed) Results(ctx context.Context) (*Results, error) {
	subscription := f.rdb.Subscribe(ctx, f.keys.results)
	if _, err := subscription.Receive(ctx); err != nil {
		subscription.Close()
		return nil, f.failed("subscribe to results of", err)
	}
	return &Results{f, subscription}, nil
}

// Next returns the next result. It blocks until there is one or ctx is done.
func (r *Results) Next(ctx context.Context) (Result, error) {
	for {
		message, err := r.subscription.ReceiveMessage(ctx)
		if err != nil {
			return Result{}, r.feed.failed("receive results of", err)
		}
		if id, text, is := strings.Cut(message.Payload, "\x00"); is {
			return Result{id, text}, nil
		}
	}
}

// Close ends the subscription.
func (r *Results) Close() { r.subscription.Close() }

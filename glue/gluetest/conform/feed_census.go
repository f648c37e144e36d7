package conform

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/redis/go-redis/v9"

	"pushglue/glue/thoonk"
)

// Census is where a feed's jobs are at one moment, read with Thoonk's own keys.
type Census struct {
	Queued, Claimed, Stalled []string          // ids; a job can stand twice on the queue
	Items                    []string          // ids of jobs whose payload is there
	Put, Finished            int               // ever
	ClaimedAt                []float64         // when those that are claimed were, oldest first, ms
	Reasons                  map[string]string // why jobs are stalled, in JSON, by id; no Thoonk has them
}

// TakeCensus reads a feed in one transaction.
func TakeCensus(ctx context.Context, rdb redis.UniversalClient, d thoonk.Dialect, feed string) (Census, error) {
	r := newRawFeed(nil, rdb, d, feed)
	tx := rdb.TxPipeline()
	reasons := tx.HGetAll(ctx, r.reasons)
	queued := tx.LRange(ctx, r.ids, 0, -1)
	claimed := tx.ZRangeWithScores(ctx, r.claimed, 0, -1)
	stalled := tx.SMembers(ctx, r.stalled)
	items := tx.HKeys(ctx, r.items)
	put, finished := tx.Get(ctx, r.publishes), tx.Get(ctx, r.finishes)
	if _, err := tx.Exec(ctx); err != nil && !errors.Is(err, redis.Nil) {
		return Census{}, fmt.Errorf("take the census of feed %s: %w", feed, err)
	}
	c := Census{Queued: queued.Val(), Stalled: stalled.Val(), Items: items.Val(), Reasons: reasons.Val()}
	for _, claim := range claimed.Val() {
		c.Claimed = append(c.Claimed, claim.Member.(string))
		c.ClaimedAt = append(c.ClaimedAt, claim.Score)
	}
	c.Put, _ = put.Int()           // no counter is none put
	c.Finished, _ = finished.Int() // the same
	return c, nil
}

// Check returns what is wrong: jobs that are in no state or in two, and counters that do not
// agree with what there is.
func (c Census) Check() error {
	var errs []error
	places := map[string][]string{}
	for name, ids := range map[string][]string{"queued": c.Queued, "claimed": c.Claimed, "stalled": c.Stalled} {
		for _, id := range slices.Compact(slices.Sorted(slices.Values(ids))) {
			places[id] = append(places[id], name)
		}
	}
	for _, id := range c.Items {
		switch len(places[id]) {
		case 0:
			errs = append(errs, fmt.Errorf("job %s is in no state", id))
		case 1:
		default:
			errs = append(errs, fmt.Errorf("job %s is %v", id, places[id]))
		}
	}
	if there := len(c.Items); c.Put != c.Finished+there {
		errs = append(errs, fmt.Errorf("%d jobs were put, but %d finished and %d are there", c.Put, c.Finished, there))
	}
	return errors.Join(errs...)
}

// Payloads returns those of jobs of a feed by their ids, without those that are gone.
func Payloads(ctx context.Context, rdb redis.UniversalClient, d thoonk.Dialect, feed string, ids ...string) (map[string]string, error) {
	payloads := make(map[string]string, len(ids))
	if len(ids) == 0 {
		return payloads, nil
	}
	values, err := rdb.HMGet(ctx, newRawFeed(nil, rdb, d, feed).items, ids...).Result()
	if err != nil {
		return nil, fmt.Errorf("read jobs of feed %s: %w", feed, err)
	}
	for i, value := range values {
		if payload, ok := value.(string); ok {
			payloads[ids[i]] = payload
		}
	}
	return payloads, nil
}

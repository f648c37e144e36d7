package conform

import (
	"testing"

	"github.com/redis/go-redis/v9"

	"pushglue/glue/thoonk"
)

// RawWorker is a worker as thoonk.py and thoonk.js have it, for tests of what works beside it. Its
// methods are safe for concurrent use, and fail the test when Redis fails.
type RawWorker struct{ feed rawFeed }

// NewRawWorker returns a worker of a feed.
func NewRawWorker(tb testing.TB, rdb redis.UniversalClient, d thoonk.Dialect, feed string) RawWorker {
	return RawWorker{newRawFeed(tb, rdb, d, feed)}
}

// Pop is the first half of a claim: now the job is in no state. It returns "" when the feed is
// empty for a second.
func (w RawWorker) Pop() string { return w.feed.pop() }

// Take is the second half of a claim. A job that was retracted between the two has no payload, and
// is claimed nevertheless.
func (w RawWorker) Take(id string) (payload string, found bool) { return w.feed.take(id) }

// Finish tells, like Cancel and Stall, whether the job was still claimed; otherwise it changes
// nothing.
func (w RawWorker) Finish(id string) bool { return w.feed.finish(id) }

// Cancel puts the job back at the end of the feed.
func (w RawWorker) Cancel(id string) bool { return w.feed.cancel(id) }

// Stall takes the job out of the running.
func (w RawWorker) Stall(id string) bool { return w.feed.stall(id) }

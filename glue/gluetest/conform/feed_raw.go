package conform

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"pushglue/glue/thoonk"
)

// rawFeed does to a feed what thoonk.py and thoonk.js do, in their own commands and without their
// tests of arguments. It shares no code with package thoonk, so that an error there is no error
// here. Where the two differ it follows its dialect, errors included.
//
// The sources are thoonk/feeds/job.py of andyet/thoonk.py, and scripts/job/*.lua and job.js of
// andyet/thoonk.js before its 1.0; the latter's scripts are written as transactions here.
type rawFeed struct {
	tb  testing.TB
	ctx context.Context
	rdb redis.UniversalClient
	js  bool

	name                                                                      string
	ids, items, published, claimed, cancelled, stalled, publishes, finishes   string
	feeds, config, finishChannel, putChannel, claimChannel, misspeltPublished string
	reasons                                                                   string // of pushglue's own
}

func newRawFeed(tb testing.TB, rdb redis.UniversalClient, d thoonk.Dialect, name string) rawFeed {
	r := rawFeed{tb: tb, ctx: context.Background(), rdb: rdb, name: name}
	switch d {
	case thoonk.ThoonkPy:
		r.reasons = "feed.pushglue.reasons:" + name
		r.ids, r.items = "feed.ids:"+name, "feed.items:"+name
		r.published, r.claimed = "feed.published:"+name, "feed.claimed:"+name
		r.cancelled, r.stalled = "feed.cancelled:"+name, "feed.stalled:"+name
		r.publishes, r.finishes = "feed.publishes:"+name, "feed.finishes:"+name
		r.feeds, r.config, r.finishChannel = "feeds", "feed.config:"+name, "job.finish:"+name
		r.putChannel, r.claimChannel = "feed.publishes:"+name, "feed.claimed:"+name
	case thoonk.ThoonkJS:
		r.js = true
		r.reasons = "job.pushglue.reasons:" + name
		r.ids, r.items = "job.ids:"+name, "job.items:"+name
		r.published, r.claimed = "job.published:"+name, "job.claimed:"+name
		r.cancelled, r.stalled = "job.cancelled:"+name, "job.stalled:"+name
		r.publishes, r.finishes = "job.publishes:"+name, "job.finishes:"+name
		r.feeds, r.config, r.finishChannel = "jobs", "job.config:"+name, "event.job.finish:"+name
		r.misspeltPublished = "job.published" + name
	}
	return r
}

// RawPut adds jobs to a feed as a producer of the dialect does, one after the other, and returns
// their ids.
func RawPut(ctx context.Context, rdb redis.UniversalClient, d thoonk.Dialect, feed string, payloads ...string) ([]string, error) {
	r := newRawFeed(nil, rdb, d, feed)
	ids := make([]string, len(payloads))
	for i, payload := range payloads {
		ids[i] = r.newID()
		if err := r.putAs(ctx, ids[i], payload, false); err != nil {
			return ids[:i], err
		}
	}
	return ids, nil
}

// putAs adds one job in one MULTI: a worker never sees half of it.
func (r rawFeed) putAs(ctx context.Context, id, payload string, priority bool) error {
	_, err := r.rdb.TxPipelined(ctx, func(tx redis.Pipeliner) error {
		if priority {
			tx.RPush(ctx, r.ids, id)
		} else {
			tx.LPush(ctx, r.ids, id)
		}
		tx.Incr(ctx, r.publishes)
		tx.HSet(ctx, r.items, id, payload)
		tx.ZAdd(ctx, r.published, redis.Z{Score: float64(time.Now().UnixMilli()), Member: id})
		return nil
	})
	return err
}

// OnlyCounters fails the test unless all that a feed holds is how many jobs it ever put and
// finished: what must be left when every job is done.
func OnlyCounters(tb testing.TB, rdb redis.UniversalClient, d thoonk.Dialect, feed string) {
	tb.Helper()
	r := newRawFeed(tb, rdb, d, feed)
	for _, key := range []string{r.ids, r.items, r.published, r.claimed, r.cancelled, r.stalled, r.reasons} {
		kind, err := rdb.Type(r.ctx, key).Result()
		if err != nil {
			tb.Fatalf("read the type of %s: %v", key, err)
		}
		if kind != "none" {
			tb.Errorf("%s is left, a %s", key, kind)
		}
	}
}

func (r rawFeed) ok(err error) {
	r.tb.Helper()
	if err != nil && !errors.Is(err, redis.Nil) {
		r.tb.Errorf("raw client: %v", err)
	}
}

// newID is uuid.uuid4().hex of Python, or uuid() of JavaScript.
func (r rawFeed) newID() string {
	var b [16]byte
	rand.Read(b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	if r.js {
		return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
	}
	return fmt.Sprintf("%x", b[:])
}

// put adds one job.
func (r rawFeed) put(payload string, priority bool) string {
	r.tb.Helper()
	id := r.newID()
	r.ok(r.putAs(r.ctx, id, payload, priority))
	return id
}

// pop is the first half of a claim. It returns "" when the feed is empty for a second.
func (r rawFeed) pop() string {
	r.tb.Helper()
	popped, err := r.rdb.BRPop(r.ctx, time.Second, r.ids).Result()
	r.ok(err)
	if len(popped) != 2 {
		return ""
	}
	return popped[1]
}

// take is the second half of a claim. It returns "" and false when there is no payload.
func (r rawFeed) take(id string) (payload string, found bool) {
	r.tb.Helper()
	var item *redis.StringCmd
	_, err := r.rdb.TxPipelined(r.ctx, func(tx redis.Pipeliner) error {
		tx.ZAdd(r.ctx, r.claimed, redis.Z{Score: float64(time.Now().UnixMilli()), Member: id})
		item = tx.HGet(r.ctx, r.items, id)
		return nil
	})
	r.ok(err)
	return item.Val(), item.Err() == nil
}

// claim pops and takes one job.
func (r rawFeed) claim() (id, payload string) {
	r.tb.Helper()
	id = r.pop()
	if id == "" {
		r.tb.Error("raw client: the feed is empty")
		return "", ""
	}
	payload, found := r.take(id)
	if !found {
		r.tb.Errorf("raw client: job %s has no payload", id)
	}
	return id, payload
}

// settle gives a verdict, unless the job is not claimed. It tells whether it was.
//
// As in thoonk.py, WATCH makes the question and the verdict one step, whatever others do meanwhile;
// in thoonk.js it is a script.
func (r rawFeed) settle(id string, verdict func(tx redis.Pipeliner)) (applied bool) {
	r.tb.Helper()
	for {
		err := r.rdb.Watch(r.ctx, func(tx *redis.Tx) error {
			err := tx.ZScore(r.ctx, r.claimed, id).Err()
			if applied = err == nil; !applied {
				return err
			}
			_, err = tx.TxPipelined(r.ctx, func(tx redis.Pipeliner) error {
				verdict(tx)
				return nil
			})
			return err
		}, r.claimed)
		if errors.Is(err, redis.TxFailedErr) {
			continue
		}
		r.ok(err)
		return applied
	}
}

// finish finishes a job without a result. It does nothing when the job is not claimed.
func (r rawFeed) finish(id string) bool {
	r.tb.Helper()
	return r.settle(id, func(tx redis.Pipeliner) {
		tx.ZRem(r.ctx, r.claimed, id)
		tx.HDel(r.ctx, r.cancelled, id)
		tx.ZRem(r.ctx, r.published, id)
		tx.Incr(r.ctx, r.finishes)
		if r.js {
			tx.Publish(r.ctx, r.finishChannel, id)
		}
		tx.HDel(r.ctx, r.items, id)
	})
}

func (r rawFeed) cancel(id string) bool {
	r.tb.Helper()
	return r.settle(id, func(tx redis.Pipeliner) {
		tx.HIncrBy(r.ctx, r.cancelled, id, 1)
		tx.LPush(r.ctx, r.ids, id)
		tx.ZRem(r.ctx, r.claimed, id)
	})
}

// stall forgets the colon in the name of published when it is thoonk.js.
func (r rawFeed) stall(id string) bool {
	r.tb.Helper()
	applied := r.settle(id, func(tx redis.Pipeliner) {
		tx.ZRem(r.ctx, r.claimed, id)
		tx.HDel(r.ctx, r.cancelled, id)
		tx.SAdd(r.ctx, r.stalled, id)
		if !r.js {
			tx.ZRem(r.ctx, r.published, id)
		}
	})
	if applied && r.js {
		// A key of its own, which on a cluster is in another slot.
		r.ok(r.rdb.ZRem(r.ctx, r.misspeltPublished, id).Err())
	}
	return applied
}

// retry writes the time in seconds when it is thoonk.py, which does not look whether the job is
// stalled either: its test of SISMEMBER is for None, and the answer is 0.
func (r rawFeed) retry(id string) {
	r.tb.Helper()
	score := float64(time.Now().UnixMicro()) / 1e6
	if r.js {
		isStalled, err := r.rdb.SIsMember(r.ctx, r.stalled, id).Result()
		r.ok(err)
		if !isStalled {
			return
		}
		score = float64(time.Now().UnixMilli())
	}
	_, err := r.rdb.TxPipelined(r.ctx, func(tx redis.Pipeliner) error {
		tx.SRem(r.ctx, r.stalled, id)
		tx.LPush(r.ctx, r.ids, id)
		tx.ZAdd(r.ctx, r.published, redis.Z{Score: score, Member: id})
		return nil
	})
	r.ok(err)
}

func (r rawFeed) retract(id string) {
	r.tb.Helper()
	_, err := r.rdb.TxPipelined(r.ctx, func(tx redis.Pipeliner) error {
		tx.HDel(r.ctx, r.items, id)
		tx.HDel(r.ctx, r.cancelled, id)
		tx.ZRem(r.ctx, r.published, id)
		tx.SRem(r.ctx, r.stalled, id)
		tx.ZRem(r.ctx, r.claimed, id)
		tx.LRem(r.ctx, r.ids, 1, id)
		return nil
	})
	r.ok(err)
}

// maintain is thoonk.py's maintenance: jobs in no state go back on the queue.
func (r rawFeed) maintain() {
	r.tb.Helper()
	known := map[string]bool{}
	for _, list := range [][]string{r.queue(), r.rdb.ZRange(r.ctx, r.claimed, 0, -1).Val(), r.rdb.SMembers(r.ctx, r.stalled).Val()} {
		for _, id := range list {
			known[id] = true
		}
	}
	for _, id := range r.rdb.HKeys(r.ctx, r.items).Val() {
		if !known[id] {
			r.ok(r.rdb.LPush(r.ctx, r.ids, id).Err())
		}
	}
}

// queue returns the queued ids, next one first.
func (r rawFeed) queue() []string {
	r.tb.Helper()
	ids, err := r.rdb.LRange(r.ctx, r.ids, 0, -1).Result()
	r.ok(err)
	next := make([]string, 0, len(ids))
	for i := range ids {
		next = append(next, ids[len(ids)-1-i])
	}
	return next
}

// counts returns how many jobs the feed ever put and finished.
func (r rawFeed) counts() (put, finished int) {
	r.tb.Helper()
	put, err := r.rdb.Get(r.ctx, r.publishes).Int()
	r.ok(err)
	finished, err = r.rdb.Get(r.ctx, r.finishes).Int()
	r.ok(err)
	return put, finished
}

// now is the server's time, in ms.
func (r rawFeed) now() float64 {
	r.tb.Helper()
	now, err := r.rdb.Time(r.ctx).Result()
	r.ok(err)
	return float64(now.UnixMilli())
}

// place is where a job is found: the number of its copies on the queue, and what else knows it.
type place struct {
	queued                            int
	item, published, claimed, stalled bool
	cancelled                         int
}

var (
	nowhere  = place{}
	inQueue  = place{queued: 1, item: true, published: true}
	inClaims = place{item: true, published: true, claimed: true}
	inStall  = place{item: true, stalled: true}
)

// find looks a job up in all places.
func (r rawFeed) find(id string) place {
	r.tb.Helper()
	var p place
	for _, queued := range r.queue() {
		if queued == id {
			p.queued++
		}
	}
	p.item = r.rdb.HExists(r.ctx, r.items, id).Val()
	p.published = r.rdb.ZScore(r.ctx, r.published, id).Err() == nil
	p.claimed = r.rdb.ZScore(r.ctx, r.claimed, id).Err() == nil
	p.stalled = r.rdb.SIsMember(r.ctx, r.stalled, id).Val()
	p.cancelled, _ = strconv.Atoi(r.rdb.HGet(r.ctx, r.cancelled, id).Val())
	return p
}

package conform

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/redis/go-redis/v9"

	"pushglue/glue"
	"pushglue/glue/thoonk"
)

func testPutKeys(f *feedTest) {
	before := f.rawFeed.now()
	ids := f.put("a", "b")
	after := f.rawFeed.now()

	f.wantQueue(ids...)
	f.wantCounts(2, 0)
	for i, id := range ids {
		if len(id) != 32 || strings.Trim(id, "0123456789abcdef") != "" || id[12] != '4' {
			f.Errorf("id %q is no UUID 4 in 32 hex digits", id)
		}
		f.wantPlace(id, inQueue)
		if got := f.rdb.HGet(f.Context(), f.rawFeed.items, id).Val(); got != []string{"a", "b"}[i] {
			f.Errorf("payload %d is %q", i, got)
		}
		score := f.rdb.ZScore(f.Context(), f.rawFeed.published, id).Val()
		if score < before || score > after || score != math.Trunc(score) {
			f.Errorf("job was put at %f, want whole ms from %f to %f", score, before, after)
		}
	}
	if got := f.rdb.HGetAll(f.Context(), f.rawFeed.config).Val(); len(got) != 1 || got["type"] != "job" {
		f.Errorf("the feed's configuration is %v, want type job", got)
	}
	if !f.rdb.SIsMember(f.Context(), f.rawFeed.feeds, f.rawFeed.name).Val() {
		f.Errorf("the feed is not in %s", f.rawFeed.feeds)
	}
}

func testPutRawWorker(f *feedTest) {
	ids := f.put("a", "b", "c")
	for i, want := range []string{"a", "b", "c"} {
		id, payload := f.rawFeed.claim()
		if id != ids[i] || payload != want {
			f.Errorf("raw worker got job %s with %q, want %s with %q", id, payload, ids[i], want)
		}
		f.wantPlace(id, inClaims)
		f.rawFeed.finish(id)
		f.wantPlace(id, nowhere)
	}
	f.wantCounts(3, 3)
	f.wantNothingLeft()
}

func testPutNone(f *feedTest) {
	if ids := f.put(); len(ids) != 0 {
		f.Errorf("got ids %q of no jobs", ids)
	}
	f.wantCounts(0, 0)
	f.wantNothingLeft()
}

func testPutMany(f *feedTest) {
	payloads := numbered(2345)
	ids := f.put(payloads...)
	f.wantQueue(ids...)
	f.wantCounts(len(ids), 0)
	items := f.rdb.HMGet(f.Context(), f.rawFeed.items, ids...).Val()
	for i, payload := range payloads {
		if items[i] != payload {
			f.Fatalf("job %d holds %v, want %q", i, items[i], payload)
		}
	}
}

func testPriority(f *feedTest) {
	normal := f.put("n1", "n2")
	rawFirst := f.rawFeed.put("r", true)
	first := f.putWith(thoonk.PutOptions{Priority: true}, numbered(1200)...)
	last := f.rawFeed.put("l", false)

	want := slices.Concat(first, []string{rawFirst}, normal, []string{last})
	f.wantQueue(want...)
	f.wantIDs("claimed", jobIDs(f.claim(len(want))), want...)
}

func testCreate(f *feedTest) {
	messages := f.subscribe("newfeed")
	other := f.open()
	f.put("a")
	f.put("b")
	_, err := other.Put(f.Context(), [][]byte{[]byte("c")}, thoonk.PutOptions{})
	f.check("put", err)

	f.check("publish", f.rdb.Publish(f.Context(), "newfeed", f.rawFeed.name+"\x00end").Err())
	var instances []string
	for len(instances) == 0 || instances[len(instances)-1] != "end" {
		// Other tests make feeds too.
		if name, instance, _ := strings.Cut(messages(), "\x00"); name == f.rawFeed.name {
			instances = append(instances, instance)
		}
	}
	if len(instances) != 2 || instances[0] == "" {
		f.Errorf("instances %q told of the new feed, want one", instances[:len(instances)-1])
	}
}

func testOtherType(f *feedTest) {
	f.check("configure", f.rdb.HSet(f.Context(), f.rawFeed.config, "type", "sorted_feed").Err())
	_, err := f.feed.Put(f.Context(), [][]byte{[]byte("secret")}, thoonk.PutOptions{})
	want := fmt.Sprintf("put on feed %q: it exists and holds no jobs: its type is %q", f.rawFeed.name, "sorted_feed")
	if err == nil || err.Error() != want {
		f.Errorf("error is %v, want %s", err, want)
	}
	f.wantNothingLeft()
}

// testRepeated has every script run twice, as when the answer to the first is lost on the way.
func testRepeated(f *feedTest) {
	f.rdb.AddHook(twice{})
	ids := f.put(numbered(1500)...)
	f.wantQueue(ids...)
	f.wantCounts(len(ids), 0)

	// The first answer to the claim is lost, and its jobs with it until Reap finds them.
	jobs := f.claim(100)
	f.wantIDs("claimed", jobIDs(jobs), ids[100:200]...)
	f.settle(glue.Finish, jobIDs(jobs[:50])...)
	f.settle(glue.Cancel, jobIDs(jobs[50:])...)
	f.wantCounts(len(ids), 50)
	f.wantQueue(slices.Concat(ids[200:], ids[150:200])...)
	if n := len(f.rdb.ZRange(f.Context(), f.rawFeed.claimed, 0, -1).Val()); n != 100 {
		f.Errorf("%d jobs are claimed, want those 100 whose claim was lost", n)
	}
}

// twice is a hook that sends every script's call twice.
type twice struct{}

func (twice) DialHook(next redis.DialHook) redis.DialHook { return next }

func (twice) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (twice) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if cmd.Name() != "evalsha" {
			return next(ctx, cmd)
		}
		if err := next(ctx, cmd); err != nil {
			return err
		}
		return next(ctx, cmd)
	}
}

func testRetract(f *feedTest) {
	ids := f.rawPut("queued", "claimed", "stalled", "cancelled")
	queued, claimed, stalled, cancelled := ids[0], ids[1], ids[2], ids[3]
	f.claim(4)
	f.settle(glue.Cancel, cancelled)
	f.settle(glue.Stall, stalled)
	f.settle(glue.Release, queued)

	retracted, err := f.feed.Retract(f.Context(), queued, "unknown", claimed, stalled, cancelled, queued)
	f.check("retract", err)
	f.wantIDs("retracted", retracted, queued, claimed, stalled, cancelled)
	f.wantNothingLeft()
	f.wantCounts(4, 0)
	f.settle(glue.Finish, claimed)
	f.wantCounts(4, 0)
}

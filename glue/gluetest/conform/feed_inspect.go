package conform

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"pushglue/glue"
	"pushglue/glue/thoonk"
)

func testCounts(f *feedTest) {
	want := func(want thoonk.Counts) {
		f.Helper()
		if got, err := f.feed.Counts(f.Context()); err != nil || got != want {
			f.Errorf("counts are %+v, %v, want %+v", got, err, want)
		}
	}
	want(thoonk.Counts{})
	ids := f.rawPut(numbered(10)...)
	f.claim(6)
	f.settle(glue.Finish, ids[0])
	f.settle(glue.Cancel, ids[1], ids[2])
	f.settle(glue.Stall, ids[3])
	want(thoonk.Counts{Queued: 6, Claimed: 2, Stalled: 1, Cancelled: 2, Put: 10, Finished: 1})
}

func testJob(f *feedTest) {
	ids := f.rawPut("queued", "cancelled", "claimed", "stalled", "finished")
	f.claim(5)
	f.settle(glue.Finish, ids[4])
	f.settle(glue.Stall, ids[3])
	f.settle(glue.Cancel, ids[1])
	f.settle(glue.Release, ids[0])
	tests := []struct {
		id        string
		payload   string
		state     thoonk.State
		cancelled int
		put       bool
	}{
		{ids[0], "queued", thoonk.Queued, 0, true},
		{ids[1], "cancelled", thoonk.Queued, 1, true},
		{ids[2], "claimed", thoonk.Claimed, 0, true},
		{ids[3], "stalled", thoonk.Stalled, 0, false},
	}
	for _, test := range tests {
		got, err := f.feed.Job(f.Context(), test.id)
		f.check("read a job", err)
		if got.ID != test.id || got.Feed != f.rawFeed.name || string(got.Payload) != test.payload ||
			got.State != test.state || got.Cancelled != test.cancelled || got.Put.IsZero() == test.put {
			f.Errorf("job is %+v, want %+v", got, test)
		}
		if got.ClaimedAt.IsZero() == (test.state == thoonk.Claimed) {
			f.Errorf("%s job was claimed at %v", got.State, got.ClaimedAt)
		}
	}
	for _, id := range []string{ids[4], "unknown"} {
		_, err := f.feed.Job(f.Context(), id)
		want := fmt.Sprintf("job %q of feed %q: no such job", id, f.rawFeed.name)
		if !errors.Is(err, thoonk.ErrNoJob) || err.Error() != want {
			f.Errorf("error is %v, want %s", err, want)
		}
	}
}

func testOlder(f *feedTest) {
	older := func(state thoonk.State, age time.Duration, limit int) []string {
		f.Helper()
		ids, err := f.feed.Older(f.Context(), state, age, limit)
		f.check("look for old jobs", err)
		return ids
	}
	f.wantIDs("queued", older(thoonk.Queued, 0, 10))
	f.wantIDs("claimed", older(thoonk.Claimed, 0, 10))
	for _, oldest := range []func(context.Context) (time.Time, error){f.feed.OldestPut, f.feed.OldestClaim} {
		if at, err := oldest(f.Context()); err != nil || !at.IsZero() {
			f.Errorf("the oldest of nothing is of %v, %v", at, err)
		}
	}

	ids := f.rawPut(numbered(6)...)
	now := f.rawFeed.now()
	for i, id := range ids {
		score := now - 1000*float64(600-60*i)
		f.check("age a job", f.rdb.ZAdd(f.Context(), f.rawFeed.published, redis.Z{Score: score, Member: id}).Err())
	}
	f.claim(3)
	f.age(ids[0], time.Minute)
	f.age(ids[1], time.Hour)
	f.settle(glue.Stall, ids[2])

	f.wantIDs("queued", older(thoonk.Queued, 0, 10), ids[3:]...)
	f.wantIDs("queued", older(thoonk.Queued, 0, 2), ids[3:5]...)
	f.wantIDs("queued", older(thoonk.Queued, 330*time.Second, 10), ids[3:5]...)
	f.wantIDs("queued", older(thoonk.Queued, 0, 0))
	f.wantIDs("claimed", older(thoonk.Claimed, 0, 10), ids[1], ids[0])
	f.wantIDs("claimed", older(thoonk.Claimed, 30*time.Minute, 10), ids[1])
	if _, err := f.feed.Older(f.Context(), thoonk.Stalled, 0, 10); err == nil {
		f.Error("stalled jobs have an age")
	}
	if at, err := f.feed.OldestPut(f.Context()); err != nil || at.UnixMilli() != int64(now)-600_000 {
		f.Errorf("oldest job is of %v, %v, want 600 s before %f", at, err, now)
	}
	at, err := f.feed.OldestClaim(f.Context())
	if want := f.rdb.ZScore(f.Context(), f.rawFeed.claimed, ids[1]).Val(); err != nil || at.UnixMilli() != int64(want) {
		f.Errorf("oldest claim is of %v, %v, want %f", at, err, want)
	}
}

// testWrongType looks at what everything does when a key of the feed holds something else.
func testWrongType(f *feedTest) {
	const secret = "a payload is no business of an error"
	for _, key := range []string{f.rawFeed.ids, f.rawFeed.items, f.rawFeed.published, f.rawFeed.claimed} {
		f.check("spoil a key", f.rdb.Set(f.Context(), key, "spoilt", 0).Err())
	}
	ctx := f.Context()
	calls := map[string]func() error{
		"put on": func() error {
			_, err := f.feed.Put(ctx, [][]byte{[]byte(secret)}, thoonk.PutOptions{})
			return err
		},
		"wait for":   func() error { return f.feed.Wait(ctx) },
		"claim from": func() error { _, err := f.feed.Claim(ctx, 1); return err },
		"settle": func() error {
			return f.feed.Settle(ctx, []glue.Settlement{{JobID: "x", Verdict: glue.Finish, Result: []byte(secret)}})
		},
		"reap claims of":      func() error { _, err := f.feed.Reap(ctx, 0, 0); return err },
		"cancel jobs of":      func() error { _, err := f.feed.Cancel(ctx, "x"); return err },
		"purge":               func() error { _, err := f.feed.Purge(ctx, thoonk.Queued, time.Now(), 1); return err },
		"look at the time of": func() error { _, err := f.feed.Now(ctx); return err },
		"describe jobs of":    func() error { _, err := f.feed.Describe(ctx, "x"); return err },
		"list queued jobs of": func() error { _, err := f.walk(thoonk.Queued); return err },
		"recover jobs of":     func() error { _, err := f.feed.Recover(ctx, "x"); return err },
		"retract from":        func() error { _, err := f.feed.Retract(ctx, "x"); return err },
		"count jobs of":       func() error { _, err := f.feed.Counts(ctx); return err },
		"read a job of":       func() error { _, err := f.feed.Job(ctx, "x"); return err },
		"look at old jobs of": func() error { _, err := f.feed.OldestPut(ctx); return err },
	}
	for what, call := range calls {
		err := call()
		prefix := fmt.Sprintf("%s feed %q: ", what, f.rawFeed.name)
		if err == nil || !strings.HasPrefix(err.Error(), prefix) || !strings.Contains(err.Error(), "WRONGTYPE") {
			f.Errorf("error is %v, want %sWRONGTYPE", err, prefix)
		}
		if err != nil && strings.Contains(err.Error(), secret) {
			f.Errorf("error has payload: %v", err)
		}
	}
}

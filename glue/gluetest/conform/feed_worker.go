package conform

import (
	"context"
	"errors"
	"math"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"pushglue/glue"
)

func testClaimRaw(f *feedTest) {
	putBefore := time.Now().Truncate(time.Millisecond)
	ids := f.rawPut("a", "b")
	putAfter := time.Now()
	before := f.rawFeed.now()
	jobs := f.claim(10)
	after := f.rawFeed.now()

	f.wantIDs("claimed", jobIDs(jobs), ids...)
	for i, job := range jobs {
		if want := []string{"a", "b"}[i]; string(job.Payload) != want || job.Feed != f.rawFeed.name || job.Cancelled != 0 {
			f.Errorf("job is %+v, want payload %q and no cancellation", job, want)
		}
		if job.Put.Before(putBefore) || job.Put.After(putAfter) {
			f.Errorf("job was put at %v, want from %v to %v", job.Put, putBefore, putAfter)
		}
		f.wantPlace(job.ID, inClaims)
		score := f.rdb.ZScore(f.Context(), f.rawFeed.claimed, job.ID).Val()
		if score < before || score > after+1 || score == math.Trunc(score) {
			f.Errorf("claimed at %f, want a fraction of a ms from %f to %f", score, before, after)
		}
	}
	f.settle(glue.Finish, ids...)
	f.wantCounts(2, 2)
	f.wantNothingLeft()
}

func testClaimSizes(f *feedTest) {
	if jobs := f.claim(10); len(jobs) != 0 {
		f.Errorf("claimed %d jobs of an empty feed", len(jobs))
	}
	ids := f.rawPut(numbered(4100)...)
	for _, limit := range []int{0, -1, 1, 999, 1000, 1001, 500} {
		n := max(limit, 0)
		f.wantIDs("claimed", jobIDs(f.claim(limit)), ids[:n]...)
		f.settle(glue.Finish, ids[:n]...)
		ids = ids[n:]
	}
	f.wantIDs("claimed", jobIDs(f.claim(math.MaxInt)), ids...)
	f.settle(glue.Finish, ids...)
	f.wantCounts(4100, 4100)
	f.wantNothingLeft()
}

func testPayloads(f *feedTest) {
	payloads := []string{"", "\x00", "a\x00b\r\n$-1\r\n", "\xff\xfe", `{"id":"ä"}`, strings.Repeat("long", 1<<18)}
	f.rawPut(payloads...)
	f.put(payloads...)
	jobs := f.claim(100)
	if len(jobs) != 2*len(payloads) {
		f.Fatalf("claimed %d jobs, want %d", len(jobs), 2*len(payloads))
	}
	for i, job := range jobs {
		if string(job.Payload) != payloads[i%len(payloads)] {
			f.Errorf("payload %d is not what was put", i)
		}
	}
	f.settle(glue.Release, jobIDs(jobs)...)
	for i := range jobs {
		id, payload := f.rawFeed.claim()
		if payload != payloads[i%len(payloads)] {
			f.Errorf("raw worker's payload %d is not what was put", i)
		}
		f.rawFeed.finish(id)
	}
	f.wantNothingLeft()
}

func (f *feedTest) extend(wantEnded int) {
	f.Helper()
	ended, err := f.feed.Extend(f.Context())
	f.check("extend", err)
	if ended != wantEnded {
		f.Errorf("%d claims were ended by others, want %d", ended, wantEnded)
	}
}

func testExtend(f *feedTest) {
	ids := f.rawPut(numbered(6)...)
	f.claim(2)
	f.claim(2)
	rawID, _ := f.rawFeed.claim()
	f.settle(glue.Finish, ids[1])
	f.rawFeed.cancel(ids[2])
	f.rawFeed.claim()
	if id, _ := f.rawFeed.claim(); id != ids[2] {
		f.Fatalf("a raw worker has %s, want %s", id, ids[2])
	}
	raw := f.rdb.ZMScore(f.Context(), f.rawFeed.claimed, rawID, ids[2]).Val()
	f.extend(1)
	f.extend(0)
	for i, id := range []string{rawID, ids[2]} {
		if score := f.rdb.ZScore(f.Context(), f.rawFeed.claimed, id).Val(); score != raw[i] {
			f.Errorf("the claim of %s, which is another's, moved from %f to %f", id, raw[i], score)
		}
	}

	// An extended claim is still ours to settle.
	f.settle(glue.Release, ids[0], ids[3])
	f.settle(glue.Cancel, ids[2])
	f.wantQueue(ids[0], ids[3])
	f.extend(0)
}

// testExtendMany has more claims than there are places in a millisecond.
func testExtendMany(f *feedTest) {
	ids := f.put(numbered(5000)...)
	f.claim(10)
	f.claim(4989)
	f.claim(1)
	before := f.rawFeed.now()
	f.extend(0)
	f.extend(0)
	claims := f.rdb.ZRangeWithScores(f.Context(), f.rawFeed.claimed, 0, -1).Val()
	last := 0.
	for i, c := range claims {
		if c.Member != ids[i] || c.Score <= last || c.Score == math.Trunc(c.Score) || c.Score < before-3 {
			f.Fatalf("claim %d is %+v behind %f", i, c, last)
		}
		last = c.Score
	}
	f.settle(glue.Release, ids[1:]...)
	f.wantQueue(ids[1:]...)
	f.wantPlace(ids[0], inClaims)
}

func testWaited(f *feedTest) {
	ids := f.rawPut(numbered(4)...)
	now := f.rawFeed.now()
	f.check("write times", f.rdb.ZAdd(f.Context(), f.rawFeed.published,
		redis.Z{Score: now - 60_000, Member: ids[0]}, redis.Z{Score: now/1000 - 60, Member: ids[1]},
		redis.Z{Score: now + 60_000, Member: ids[2]}).Err())
	f.check("forget a time", f.rdb.ZRem(f.Context(), f.rawFeed.published, ids[3]).Err())
	for i, job := range f.claim(4) {
		low := []time.Duration{time.Minute, time.Minute, 0, 0}[i]
		if job.Waited < low-time.Millisecond || low == 0 && job.Waited != 0 || job.Waited > low+10*time.Minute {
			f.Errorf("job %d waited for %s, want %s", i, job.Waited, low)
		}
	}
}

func testWait(f *feedTest) {
	f.check("wait for nothing", f.feed.Wait(f.Context()))

	ctx, cancel := context.WithCancel(f.Context())
	cancel()
	if err := f.feed.Wait(ctx); !errors.Is(err, context.Canceled) {
		f.Errorf("error is %v, want context.Canceled", err)
	}
	f.rawPut("a")
	if err := f.feed.Wait(ctx); !errors.Is(err, context.Canceled) {
		f.Errorf("error is %v, want context.Canceled", err)
	}

	f.claim(1)
	ctx, cancel = context.WithCancel(f.Context())
	ended := make(chan error, 1)
	go func() { ended <- f.waitOn(ctx) }()
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		f.Errorf("error is %v, want context.Canceled", err)
	}
}

// waitOn waits until ctx is done.
func (f *feedTest) waitOn(ctx context.Context) error {
	for {
		if err := f.feed.Wait(ctx); err != nil {
			return err
		}
	}
}

func testShare(f *feedTest) {
	const total = 600
	ids := f.rawPut(numbered(total)...)
	var mu sync.Mutex
	done := map[string]int{}
	count := func(ids ...string) {
		mu.Lock()
		defer mu.Unlock()
		for _, id := range ids {
			done[id]++
		}
	}
	var workers sync.WaitGroup
	for range 2 {
		workers.Go(func() {
			for id := f.rawFeed.pop(); id != ""; id = f.rawFeed.pop() {
				if _, found := f.rawFeed.take(id); found {
					f.rawFeed.finish(id)
					count(id)
				}
			}
		})
		workers.Go(func() { f.work(count) })
	}
	workers.Wait()
	for _, id := range ids {
		if done[id] != 1 {
			f.Errorf("job %s was done %d times", id, done[id])
		}
	}
	f.wantCounts(total, total)
	f.wantNothingLeft()
}

// work does jobs in small batches until a Wait ends on an empty feed. Every third job fails once.
func (f *feedTest) work(done func(ids ...string)) {
	feed := f.open()
	for {
		jobs, err := feed.Claim(f.Context(), 7)
		if err == nil && len(jobs) == 0 {
			err = feed.Wait(f.Context())
			if err == nil && len(f.rawFeed.queue()) == 0 {
				return
			}
		}
		if err != nil {
			f.Errorf("work: %v", err)
			return
		}
		settlements := make([]glue.Settlement, len(jobs))
		for i, job := range jobs {
			settlements[i] = glue.Settlement{JobID: job.ID, Claim: job.Claim, Verdict: glue.Finish}
			if i%3 == 0 && job.Cancelled == 0 {
				settlements[i].Verdict = glue.Cancel
			} else {
				done(job.ID)
			}
		}
		if err := feed.Settle(f.Context(), settlements); err != nil {
			f.Errorf("work: %v", err)
			return
		}
	}
}

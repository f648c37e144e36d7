package conform

import (
	"slices"
	"time"

	"github.com/redis/go-redis/v9"

	"pushglue/glue"
	"pushglue/glue/thoonk"
)

// walk returns all ids that a walk yields.
func (f *feedTest) walk(state thoonk.State) (ids []string, err error) {
	for page, err := range f.feed.Walk(f.Context(), state) {
		if err != nil {
			return ids, err
		}
		if len(page) == 0 || len(page) > 1000 {
			f.Errorf("a page of %d ids", len(page))
		}
		ids = append(ids, page...)
	}
	return ids, nil
}

func (f *feedTest) walkOlder(state thoonk.State, age time.Duration) (ids []string) {
	f.Helper()
	for page, err := range f.feed.WalkOlder(f.Context(), state, age) {
		f.check("walk", err)
		ids = append(ids, page...)
	}
	return ids
}

func (f *feedTest) wantWalk(state thoonk.State, want ...string) {
	f.Helper()
	ids, err := f.walk(state)
	f.check("walk", err)
	if state == thoonk.Stalled {
		f.wantSameIDs("stalled", ids, want...)
		return
	}
	f.wantIDs(state.String(), ids, want...)
}

func testWalk(f *feedTest) {
	for _, state := range []thoonk.State{thoonk.Queued, thoonk.Claimed, thoonk.Stalled} {
		f.wantWalk(state)
	}
	ids := f.put(numbered(6000)...)
	claimed, stalled, queued := ids[:2100], ids[2100:3300], ids[3300:]
	f.claim(3300)
	f.settle(glue.Stall, stalled...)
	for i, id := range claimed {
		f.age(id, time.Duration(5000-i)*time.Minute)
	}
	// A copy counts once where the two are not far from each other.
	f.check("copy", f.rdb.RPush(f.Context(), f.rawFeed.ids, queued[0]).Err())

	f.wantWalk(thoonk.Queued, queued...)
	f.wantWalk(thoonk.Claimed, claimed...)
	f.wantWalk(thoonk.Stalled, stalled...)
	for page, err := range f.feed.Walk(f.Context(), thoonk.Queued) {
		f.check("walk", err)
		f.wantIDs("first page", page, queued[:len(page)]...)
		break
	}
	if _, err := f.walk(thoonk.State(0)); err == nil {
		f.Error("there are jobs of no state")
	}
}

// putHoursAgo makes a job look as if it was put so many hours ago, the last one an hour ago.
func (f *feedTest) putHoursAgo(ids []string, inSeconds func(i int) bool) {
	f.Helper()
	now := f.rawFeed.now()
	times := make([]redis.Z, len(ids))
	for i, id := range ids {
		ms := now - 3_600_000*float64(len(ids)-i)
		if inSeconds(i) {
			ms /= 1000
		}
		times[i] = redis.Z{Score: ms, Member: id}
	}
	f.check("age jobs", f.rdb.ZAdd(f.Context(), f.rawFeed.published, times...).Err())
}

// hours is an age between n and n+1 hours, so that it does not matter how long a test takes.
func hours(n int) time.Duration { return time.Duration(n)*time.Hour + 30*time.Minute }

func testWalkOlder(f *feedTest) {
	f.wantIDs("nothing", f.walkOlder(thoonk.Queued, 0))
	ids := f.put(numbered(2500)...)
	f.putHoursAgo(ids, func(int) bool { return false })
	f.wantIDs("put", f.walkOlder(thoonk.Queued, 0), ids...)
	f.wantIDs("put", f.walkOlder(thoonk.Queued, hours(1300)), ids[:1200]...)
	f.wantIDs("put", f.walkOlder(thoonk.Queued, hours(2500)))

	f.claim(1200)
	for i, id := range ids[:1200] {
		f.age(id, time.Duration(2000-i)*time.Hour)
	}
	f.wantIDs("claimed", f.walkOlder(thoonk.Claimed, 0), ids[:1200]...)
	f.wantIDs("claimed", f.walkOlder(thoonk.Claimed, hours(1500)), ids[:500]...)
	for age, want := range map[time.Duration]int{0: 1200, hours(1500): 500, hours(2000): 0} {
		if n, err := f.feed.OldClaims(f.Context(), age); err != nil || n != want {
			f.Errorf("%d claims are older than %s, %v, want %d", n, age, err, want)
		}
	}
	for _, err := range f.feed.WalkOlder(f.Context(), thoonk.Stalled, 0) {
		if err == nil {
			f.Error("stalled jobs have an age")
		}
	}
}

// testWalkSeconds has times as thoonk.py's retry writes them among the others.
func testWalkSeconds(f *feedTest) {
	ids := f.put(numbered(3000)...)
	f.putHoursAgo(ids, func(i int) bool { return i%3 == 0 || i > 2000 })
	f.wantIDs("put", f.walkOlder(thoonk.Queued, 0), ids...)
	f.wantIDs("put", f.walkOlder(thoonk.Queued, hours(1500)), ids[:1500]...)
}

// testWalkShared has a worker take jobs from the front between two pages: those behind are seen.
func testWalkShared(f *feedTest) {
	ids := f.put(numbered(5000)...)
	var seen []string
	taken := 0
	for page, err := range f.feed.Walk(f.Context(), thoonk.Queued) {
		f.check("walk", err)
		seen = append(seen, page...)
		taken += len(f.claim(150))
	}
	f.wantIDs("seen", seen, ids...)
	seen = nil
	for page, err := range f.feed.Walk(f.Context(), thoonk.Claimed) {
		f.check("walk", err)
		seen = append(seen, page...)
		f.settle(glue.Release, page[:min(150, len(page))]...)
	}
	f.wantSameIDs("seen", seen, ids[:taken]...)

	// What moves up meanwhile is none the older for it.
	old := f.put(numbered(2500)...)
	f.putHoursAgo(old, func(int) bool { return false })
	seen = nil
	for page, err := range f.feed.WalkOlder(f.Context(), thoonk.Queued, hours(1300)) {
		f.check("walk", err)
		seen = append(seen, page...)
		f.check("finish", f.rdb.ZRem(f.Context(), f.rawFeed.published, page[:150]).Err())
	}
	f.wantIDs("seen", seen, old[:1200]...)
}

// testWalkMoving has others claim, put at the end and put at the head between two pages: what stays
// on the queue is seen once, in its order.
func testWalkMoving(f *feedTest) {
	for name, others := range map[string]struct{ claims, puts, priority int }{
		"a fast producer":           {puts: 2300},
		"a worker, a producer":      {claims: 990, puts: 900},
		"all, and many urgent jobs": {claims: 70, puts: 90, priority: 2500},
		"a worker that overtakes":   {claims: 1300, puts: 100},
	} {
		ids := f.put(numbered(3200)...)
		var seen []string
		claimed := map[string]bool{}
		for page, err := range f.feed.Walk(f.Context(), thoonk.Queued) {
			f.check("walk", err)
			seen = append(seen, page...)
			for _, id := range jobIDs(f.claim(others.claims)) {
				claimed[id] = true
			}
			f.put(numbered(others.puts)...)
			f.putWith(thoonk.PutOptions{Priority: true}, numbered(others.priority)...)
		}
		// Of those that were claimed meanwhile, the walk can have seen any.
		isClaimed := func(id string) bool { return claimed[id] }
		seen = slices.DeleteFunc(seen, isClaimed)
		want := slices.DeleteFunc(slices.Clone(ids), isClaimed)
		f.wantIDs(name, seen[:min(len(seen), len(want))], want...)
		f.check("empty the feed", f.rdb.Del(f.Context(), f.rawFeed.ids, f.rawFeed.items, f.rawFeed.claimed).Err())
	}
}

// testWalkRetracted takes away jobs in the middle of the queue, and so the place of the walk.
func testWalkRetracted(f *feedTest) {
	ids := f.put(numbered(2500)...)
	var seen []string
	for page, err := range f.feed.Walk(f.Context(), thoonk.Queued) {
		f.check("walk", err)
		seen = append(seen, page...)
		f.retract(page[len(page)-3:]...)
		f.put(numbered(300)...)
	}
	f.wantIDs("seen", seen, ids...)

	// All of a page go, but that before it does not: the walk goes on at the head, and ends.
	f.check("empty the queue", f.rdb.Del(f.Context(), f.rawFeed.ids).Err())
	ids = f.put(numbered(2200)...)
	seen = nil
	for page, err := range f.feed.Walk(f.Context(), thoonk.Queued) {
		f.check("walk", err)
		if seen = append(seen, page...); len(seen) == 2000 {
			queue, err := f.rdb.LRange(f.Context(), f.rawFeed.ids, 0, -1).Result()
			f.check("read the queue", err)
			gone := map[string]bool{}
			for _, id := range page {
				gone[id] = true
			}
			_, err = f.rdb.TxPipelined(f.Context(), func(p redis.Pipeliner) error {
				p.Del(f.Context(), f.rawFeed.ids)
				for _, id := range queue {
					if !gone[id] {
						p.RPush(f.Context(), f.rawFeed.ids, id)
					}
				}
				return nil
			})
			f.check("take away", err)
		}
	}
	f.wantIDs("seen", seen, append(slices.Clone(ids[:2000]), ids[:200]...)...)
}

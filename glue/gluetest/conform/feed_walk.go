package conform

import (
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

package conform

import (
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"pushglue/glue"
	"pushglue/glue/thoonk"
)

func (f *feedTest) cancel(ids ...string) []string {
	f.Helper()
	queued, err := f.feed.Cancel(f.Context(), ids...)
	f.check("cancel", err)
	return queued
}

func (f *feedTest) retract(ids ...string) []string {
	f.Helper()
	retracted, err := f.feed.Retract(f.Context(), ids...)
	f.check("retract", err)
	return retracted
}

func (f *feedTest) now() time.Time {
	f.Helper()
	now, err := f.feed.Now(f.Context())
	f.check("look at the time", err)
	return now
}

// purge purges what there is.
func (f *feedTest) purge(state thoonk.State, limit int) []string {
	f.Helper()
	return f.purgeUntil(state, f.now(), limit)
}

func (f *feedTest) purgeUntil(state thoonk.State, until time.Time, limit int) []string {
	f.Helper()
	retracted, err := f.feed.Purge(f.Context(), state, until, limit)
	f.check("purge", err)
	return retracted
}

func testCancelOthers(f *feedTest) {
	ids := f.rawPut("raw", "ours", "another's", "finished", "stalled", "queued")
	raw, _ := f.rawFeed.claim()
	ours := f.claimOne().ID
	other := f.open()
	jobs, err := other.Claim(f.Context(), 3)
	f.check("claim", err)
	f.rawFeed.finish(jobs[1].ID)
	f.rawFeed.stall(jobs[2].ID)
	put := f.rdb.ZScore(f.Context(), f.rawFeed.published, raw).Val()

	f.wantIDs("cancelled", f.cancel(append(slices.Clone(ids), "unknown", raw)...), raw, ours, ids[2])
	f.wantQueue(ids[5], raw, ours, ids[2])
	want := inQueue
	want.cancelled = 1
	for _, id := range ids[:3] {
		f.wantPlace(id, want)
	}
	if got := f.rdb.ZScore(f.Context(), f.rawFeed.published, raw).Val(); got != put {
		f.Errorf("cancelling changed the time put from %f to %f", put, got)
	}
	f.wantIDs("cancelled", f.cancel())

	// The workers are alive after all: their verdicts change nothing, but what is done is done.
	f.rawFeed.cancel(raw)
	f.settle(glue.Stall, ours)
	f.check("settle", other.Settle(f.Context(), f.verdicts(glue.Finish, ids[2])))
	f.wantPlace(raw, want)
	f.wantPlace(ours, want)
	f.wantCounts(6, 2)
	f.wantIDs("claimed", jobIDs(f.claim(10)), ids[5], raw, ours)

	many := f.put(numbered(2300)...)
	f.claim(len(many))
	f.wantIDs("cancelled", f.cancel(many...), many...)
	f.wantQueue(many...)
}

func testCancelNoPayload(f *feedTest) {
	f.rawPut("a")
	id := f.rawFeed.pop()
	f.rawFeed.retract(id)
	f.rawFeed.take(id)
	f.check("cancel", f.rdb.HSet(f.Context(), f.rawFeed.cancelled, id, 1).Err())
	f.wantIDs("cancelled", f.cancel(id))
	f.wantNothingLeft()
}

func testRetractMany(f *feedTest) {
	ids := f.put(numbered(2400)...)
	f.claim(2300)
	f.settle(glue.Stall, ids[:1200]...)
	want := slices.Concat(ids[:1500], ids[2390:])
	f.wantIDs("retracted", f.retract(append(slices.Clone(want), "unknown", ids[0])...), want...)
	f.wantQueue(ids[2300:2390]...)
	f.wantIDs("retracted", f.retract(ids...), ids[1500:2390]...)
	f.wantIDs("retracted", f.retract())
	f.wantCounts(2400, 0)
	f.wantNothingLeft()
}

func testPurgeQueue(f *feedTest) {
	ids := f.put(numbered(2600)...)
	f.claim(2)
	f.settle(glue.Stall, ids[0])
	f.settle(glue.Cancel, ids[1])
	claimed := f.claimOne().ID
	// What is on the queue and is no queued job: copies of a claimed, a stalled and a queued one,
	// and one whose job is gone.
	f.check("copy", f.rdb.RPush(f.Context(), f.rawFeed.ids, claimed, ids[0], ids[4], "gone").Err())
	f.check("leave", f.rdb.HSet(f.Context(), f.rawFeed.cancelled, "gone", 1).Err())

	f.wantIDs("purged", f.purge(thoonk.Queued, 0))
	f.wantIDs("purged", f.purge(thoonk.Queued, 6), ids[4], ids[3])
	f.wantQueue(append(slices.Clone(ids[5:]), ids[1])...)
	f.wantPlace(claimed, inClaims)
	f.wantPlace(ids[0], inStall)
	f.wantPlace("gone", nowhere)

	f.wantIDs("purged", f.purge(thoonk.Queued, 2100), ids[5:2105]...)
	f.wantIDs("purged", f.purge(thoonk.Queued, 9999), append(slices.Clone(ids[2105:]), ids[1])...)
	f.wantQueue()
	f.settle(glue.Finish, claimed, ids[0])
	f.wantCounts(2600, 2)
	f.wantNothingLeft()
}

// testPurgeShared purges while a raw worker does jobs: each is done or purged, and only once.
func testPurgeShared(f *feedTest) {
	ids := f.rawPut(numbered(1500)...)
	var worker sync.WaitGroup
	var done []string
	worker.Go(func() {
		for id := f.rawFeed.pop(); id != ""; id = f.rawFeed.pop() {
			payload, found := f.rawFeed.take(id)
			if !found {
				f.Errorf("job %s was purged after it was popped", id)
			}
			f.rawFeed.finish(id)
			done = append(done, id)
			if payload == "last" {
				return
			}
		}
	})
	var purged []string
	for len(f.rawFeed.queue()) > 0 {
		purged = append(purged, f.purge(thoonk.Queued, 20)...)
	}
	ids = append(ids, f.rawPut("last")...)
	worker.Wait()
	f.wantSameIDs("done or purged", slices.Concat(done, purged), ids...)
	f.wantCounts(len(ids), len(done))
	f.wantNothingLeft()
}

func testPurgeOthers(f *feedTest) {
	ids := f.put(numbered(2600)...)
	f.claim(2500)
	f.settle(glue.Stall, ids[1200:2500]...)
	f.age(ids[7], time.Hour)
	f.check("claim", f.rdb.ZAdd(f.Context(), f.rawFeed.claimed, redis.Z{Score: 1, Member: "gone"}).Err())
	f.check("stall", f.rdb.SAdd(f.Context(), f.rawFeed.stalled, "gone").Err())

	f.wantIDs("purged", f.purge(thoonk.Claimed, 2), ids[7])
	claimed := f.purge(thoonk.Claimed, 9999)
	f.wantSameIDs("purged", claimed, slices.Concat(ids[:7], ids[8:1200])...)
	stalled, err := f.walk(thoonk.Stalled)
	f.check("walk", err)
	f.wantSameIDs("retracted", f.retractIf(thoonk.Stalled, append(stalled, ids[2500:]...)...), ids[1200:2500]...)
	f.wantQueue(ids[2500:]...)
	f.settle(glue.Finish, jobIDs(f.claim(100))...)
	f.wantCounts(2600, 100)
	f.wantNothingLeft()

	for _, state := range []thoonk.State{0, thoonk.Stalled} {
		if _, err := f.feed.Purge(f.Context(), state, time.Now(), 1); err == nil {
			f.Errorf("%s jobs were purged", state)
		}
	}
}

func (f *feedTest) retractIf(state thoonk.State, ids ...string) []string {
	f.Helper()
	retracted, err := f.feed.RetractIf(f.Context(), state, ids...)
	f.check("retract", err)
	return retracted
}

// datePut changes the times put of jobs, in ms.
func (f *feedTest) datePut(ms float64, ids ...string) {
	f.Helper()
	for _, id := range ids {
		f.check("date a job", f.rdb.ZAdd(f.Context(), f.rawFeed.published, redis.Z{Score: ms, Member: id}).Err())
	}
}

// testPurgeUntil has jobs put and claimed after a time: at the end and at the head of the queue, and
// with times in s as thoonk.py's retry writes them.
func testPurgeUntil(f *feedTest) {
	ids := f.put(numbered(1500)...)
	until := f.now()
	later := float64(until.UnixMilli() + 1)
	urgent := f.putWith(thoonk.PutOptions{Priority: true}, "urgent", "urgent too")
	fresh := f.put("fresh", "retried lately", "retried long ago")
	f.datePut(later, urgent[0], urgent[1], fresh[0], ids[700])
	f.datePut((later+1000)/1000, fresh[1])
	f.datePut((later-1000)/1000, fresh[2])
	f.check("have no time", f.rdb.ZRem(f.Context(), f.rawFeed.published, ids[900]).Err())

	order := f.rawFeed.queue()
	f.wantIDs("the head", order[:3], urgent[0], urgent[1], ids[0])
	f.wantIDs("purged", f.purgeUntil(thoonk.Queued, until, 3), ids[:3]...)
	f.wantQueue(slices.Concat(urgent, order[5:])...)
	want := slices.Concat(ids[3:700], ids[701:], fresh[2:])
	f.wantIDs("purged", f.purgeUntil(thoonk.Queued, until, 9999), want...)
	left := []string{urgent[0], urgent[1], ids[700], fresh[0], fresh[1]}
	f.wantQueue(left...)
	f.wantIDs("purged", f.purgeUntil(thoonk.Queued, until, 9999))
	f.wantQueue(left...)

	f.claim(5)
	until = f.now()
	f.age(ids[700], -time.Second)
	f.wantSameIDs("purged", f.purgeUntil(thoonk.Claimed, until, 9), urgent[0], urgent[1], fresh[0], fresh[1])
	f.wantPlace(ids[700], inClaims)
}

// testPurgeBehind has more later jobs at the head than one script puts back, and looks at.
func testPurgeBehind(f *feedTest) {
	ids := f.put(numbered(2500)...)
	until := f.now()
	urgent := f.putWith(thoonk.PutOptions{Priority: true}, numbered(9500)...)
	later := make([]redis.Z, len(urgent))
	for i, id := range urgent {
		later[i] = redis.Z{Score: float64(until.UnixMilli() + 1), Member: id}
	}
	f.check("date jobs", f.rdb.ZAdd(f.Context(), f.rawFeed.published, later...).Err())
	f.wantIDs("purged", f.purgeUntil(thoonk.Queued, until, 9999), ids[:500]...)
	f.wantQueue(slices.Concat(urgent, ids[500:])...)
	f.claim(3000)
	f.wantIDs("purged", f.purgeUntil(thoonk.Queued, until, 9999), ids[500:]...)
	f.wantQueue(urgent[3000:]...)
}

func testRetractIf(f *feedTest) {
	ids := f.rawPut("stalled", "claimed", "queued", "queued too")
	f.claim(2)
	f.settle(glue.Stall, ids[0])
	f.wantIDs("retracted", f.retractIf(thoonk.Stalled, ids[1:]...))
	f.wantIDs("retracted", f.retractIf(thoonk.Claimed, ids[0], ids[2], ids[3]))
	f.wantIDs("retracted", f.retractIf(thoonk.Queued, ids[0], ids[1], "unknown"))
	f.wantPlace(ids[0], inStall)
	f.wantPlace(ids[1], inClaims)
	f.wantQueue(ids[2:]...)
	f.wantIDs("retracted", f.retractIf(thoonk.Queued, ids...), ids[2:]...)
	f.wantIDs("retracted", f.retractIf(thoonk.Claimed, ids...), ids[1])
	f.wantIDs("retracted", f.retractIf(thoonk.Stalled, ids...), ids[0])
	f.wantNothingLeft()
}

// testCancelledNoNumber has something else than a number among the counts: it is none.
func testCancelledNoNumber(f *feedTest) {
	counts := []string{"x", "", "-3", "1e3", "inf", "0x10", "99999999999999999999", "7"}
	ids := f.rawPut(numbered(2 * len(counts))...)
	f.claim(len(ids))
	ours, others := ids[:len(counts)], ids[len(counts):]
	for i, count := range counts {
		f.check("spoil counts", f.rdb.HSet(f.Context(), f.rawFeed.cancelled, ours[i], count, others[i], count).Err())
		want := 0
		if count == "7" {
			want = 7
		}
		for _, id := range []string{ours[i], others[i]} {
			job, err := f.feed.Job(f.Context(), id)
			f.check("read a job", err)
			if job.Cancelled != want {
				f.Errorf("a job with the count %q was cancelled %d times, want %d", count, job.Cancelled, want)
			}
		}
		if entries, err := f.feed.Describe(f.Context(), ours[i]); err != nil || entries[0].Cancelled != want {
			f.Errorf("a job with the count %q is described as %+v, %v", count, entries, err)
		}
	}
	f.settle(glue.Cancel, ours...)
	f.wantIDs("cancelled", f.cancel(others...), others...)
	for i, job := range f.claim(len(ids)) {
		want := 1
		if i%len(counts) == len(counts)-1 {
			want = 8
		}
		if job.ID != ids[i] || job.Cancelled != want {
			f.Errorf("job %d was cancelled %d times, want %d", i, job.Cancelled, want)
		}
	}
}

func testDescribe(f *feedTest) {
	ids := f.rawPut("queued", "", "claimed", "stalled", "finished")
	f.claim(5)
	f.settle(glue.Finish, ids[4])
	f.settle(glue.Stall, ids[3])
	f.settle(glue.Cancel, ids[1])
	f.settle(glue.Release, ids[0])
	entries, err := f.feed.Describe(f.Context(), append([]string{"unknown"}, ids...)...)
	f.check("describe", err)
	if len(entries) != 4 {
		f.Fatalf("%d jobs are described, want 4", len(entries))
	}
	for i, e := range entries {
		job, err := f.feed.Job(f.Context(), ids[i])
		f.check("read a job", err)
		want := thoonk.Entry{ID: ids[i], State: job.State, Put: job.Put, ClaimedAt: job.ClaimedAt, Cancelled: job.Cancelled, Size: len(job.Payload)}
		// thoonk.js leaves a stalled job its time.
		if e != want {
			f.Errorf("entry is %+v, want %+v", e, want)
		}
	}
	if entries, err := f.feed.Describe(f.Context()); err != nil || len(entries) != 0 {
		f.Errorf("nothing is described as %+v, %v", entries, err)
	}
	many := f.put(numbered(2300)...)
	entries, err = f.feed.Describe(f.Context(), many...)
	f.check("describe", err)
	if len(entries) != len(many) || entries[2299].ID != many[2299] {
		f.Errorf("%d jobs are described, want %d in their order", len(entries), len(many))
	}
}

// testWrongTypeKeeps has scripts fail in the middle: what they were about to move is still there.
func testWrongTypeKeeps(f *feedTest) {
	ids := f.rawPut("claimed", "stalled", "queued")
	f.claim(2)
	f.settle(glue.Stall, ids[1])
	calls := map[string]func() error{
		"cancel":  func() error { _, err := f.feed.Cancel(f.Context(), ids[0]); return err },
		"old":     func() error { _, err := f.feed.CancelOlder(f.Context(), 0, 1); return err },
		"reap":    func() error { _, err := f.feed.Reap(f.Context(), thoonk.AnyAge, 0); return err },
		"retry":   func() error { _, err := f.feed.Retry(f.Context(), ids[1]); return err },
		"purge":   func() error { _, err := f.feed.Purge(f.Context(), thoonk.Queued, time.Now(), 1); return err },
		"retract": func() error { _, err := f.feed.Retract(f.Context(), ids...); return err },
	}
	spoil := func(key string, names ...string) {
		f.Helper()
		if kept, err := f.rdb.Exists(f.Context(), key).Result(); err != nil || kept > 0 {
			f.check("keep a key", f.rdb.Rename(f.Context(), key, key+" kept").Err())
			defer func() { f.check("restore a key", f.rdb.Rename(f.Context(), key+" kept", key).Err()) }()
		}
		f.check("spoil a key", f.rdb.Set(f.Context(), key, "spoilt", 0).Err())
		for _, name := range names {
			if err := calls[name](); err == nil || !strings.Contains(err.Error(), "WRONGTYPE") {
				f.Errorf("%s with a text under %s: %v", name, key, err)
			}
		}
		f.check("delete a key", f.rdb.Del(f.Context(), key).Err())
	}
	spoil(f.rawFeed.cancelled, "cancel", "old", "purge", "retract")
	spoil(f.rawFeed.published, "purge", "retract")
	spoil(f.rawFeed.ids, "reap", "retry", "purge", "retract")
	spoil(f.rawFeed.claimed, "purge", "retract")
	spoil(f.rawFeed.stalled, "purge", "retract")
	spoil(f.rawFeed.items, "reap", "purge", "retract")
	f.wantPlace(ids[0], inClaims)
	f.wantPlace(ids[1], inStall)
	f.wantPlace(ids[2], inQueue)
}

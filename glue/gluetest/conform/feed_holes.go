package conform

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"pushglue/glue"
	"pushglue/glue/thoonk"
)

func testHoleAtomicClaim(f *feedTest) {
	ids := f.rawPut(numbered(20)...)
	var claimers sync.WaitGroup
	var left atomic.Int32
	left.Store(4)
	for range 4 {
		claimers.Go(func() {
			defer left.Add(-1)
			if _, err := f.feed.Claim(f.Context(), 5); err != nil {
				f.Errorf("claim: %v", err)
			}
		})
	}
	defer claimers.Wait()
	// A transaction sees each job in just one state at any time.
	for left.Load() > 0 {
		var queued, claimed *redis.IntCmd
		_, err := f.rdb.TxPipelined(f.Context(), func(tx redis.Pipeliner) error {
			queued, claimed = tx.LLen(f.Context(), f.rawFeed.ids), tx.ZCard(f.Context(), f.rawFeed.claimed)
			return nil
		})
		f.check("count", err)
		if sum := queued.Val() + claimed.Val(); sum != int64(len(ids)) {
			f.Fatalf("%d of %d jobs are queued or claimed", sum, len(ids))
		}
	}
	for _, id := range ids {
		f.wantPlace(id, inClaims)
	}
}

func testHoleLost(f *feedTest) {
	ids := f.rawPut(numbered(5)...)
	dead, slow := f.rawFeed.pop(), f.rawFeed.pop()
	f.claimOne()
	f.rawFeed.stall(first(f.rawFeed.claim()))

	lost, err := f.feed.Lost(f.Context(), 0, 10)
	f.check("look for lost jobs", err)
	f.wantSameIDs("lost", lost, dead, slow)
	if young, _ := f.feed.Lost(f.Context(), time.Hour, 10); len(young) != 0 {
		f.Errorf("jobs that were just put are lost: %q", young)
	}

	f.rawFeed.take(slow)
	queued, err := f.feed.Recover(f.Context(), append(lost, ids[2], ids[3], ids[4], "unknown", dead)...)
	f.check("recover", err)
	f.wantIDs("recovered", queued, dead)
	f.wantQueue(dead, ids[4])
	f.wantPlace(slow, inClaims)
}

// testHoleNotLost recovers jobs that are far from the head of the queue: they stay where they are.
func testHoleNotLost(f *feedTest) {
	ids := f.put(numbered(12_000)...)
	lost := f.rawFeed.pop()
	queued, err := f.feed.Recover(f.Context(), ids[11_000], lost, ids[11_999], ids[1])
	f.check("recover", err)
	f.wantIDs("recovered", queued, lost)
	f.wantQueue(ids...)
}

func testHoleWait(f *feedTest) {
	var waiters sync.WaitGroup
	for range 3 {
		waiters.Go(func() {
			if err := f.feed.Wait(f.Context()); err != nil {
				f.Errorf("wait: %v", err)
			}
		})
	}
	ids := f.rawPut("a", "b", "c")
	waiters.Wait()
	f.wantQueue(ids...)
	f.check("wait", f.feed.Wait(f.Context()))
	f.wantQueue(ids...)
	for _, id := range ids {
		f.wantPlace(id, inQueue)
	}
}

// age makes a claim look as old as a worker's that died.
func (f *feedTest) age(id string, by time.Duration) {
	f.Helper()
	f.ageTo(id, f.rawFeed.now()-float64(by.Milliseconds()))
}

// ageOurs makes a claim look as old as a daemon's that died.
func (f *feedTest) ageOurs(id string, by time.Duration) {
	f.Helper()
	f.ageTo(id, f.rawFeed.now()-float64(by.Milliseconds())+1./4096)
}

func (f *feedTest) ageTo(id string, score float64) {
	f.Helper()
	f.check("age a claim", f.rdb.ZAddXX(f.Context(), f.rawFeed.claimed, redis.Z{Score: score, Member: id}).Err())
}

func (f *feedTest) reap(own, others time.Duration) []string {
	f.Helper()
	reaped, err := f.feed.Reap(f.Context(), own, others)
	f.check("reap", err)
	return reaped.Jobs
}

func testHoleReap(f *feedTest) {
	ids := f.rawPut(numbered(6)...)
	f.claim(2)
	f.rawFeed.claim()
	f.rawFeed.claim()
	f.wantIDs("reaped", f.reap(time.Hour, time.Hour))
	f.ageOurs(ids[0], 2*time.Hour)
	f.ageOurs(ids[1], 30*time.Minute)
	f.age(ids[2], 3*time.Hour)
	f.wantIDs("reaped", f.reap(time.Hour, 0), ids[0])
	f.wantPlace(ids[0], inQueue)
	f.wantPlace(ids[2], inClaims)
	f.wantIDs("reaped", f.reap(time.Hour, 4*time.Hour))
	f.wantIDs("reaped", f.reap(time.Hour, 2*time.Hour), ids[2])
	f.wantQueue(ids[2], ids[0], ids[4], ids[5])
	f.wantPlace(ids[2], inQueue)
	f.wantPlace(ids[1], inClaims)
	f.wantPlace(ids[3], inClaims)

	reaped, err := f.feed.Reap(f.Context(), 0, thoonk.AnyAge)
	f.check("reap", err)
	if reaped.Own != 1 || reaped.Others != 1 {
		f.Errorf("reaped %+v, want one of each kind", reaped)
	}
}

// testHoleReapOrder has more claims than the script takes at a time, of several daemons and others between.
func testHoleReapOrder(f *feedTest) {
	ids := f.put(numbered(6_000)...)
	other := f.open()
	for n := 0; n < len(ids); n += 1000 {
		f.claim(10)
		f.rawFeed.take(ids[n+10])
		f.check("take it off the queue", f.rdb.RPop(f.Context(), f.rawFeed.ids).Err())
		_, err := other.Claim(f.Context(), 989)
		f.check("claim", err)
	}
	var want []string
	for i, id := range ids {
		if i%1000 != 10 {
			want = append(want, id)
		}
	}
	f.wantIDs("reaped", f.reap(thoonk.AnyAge, 0), want...)
	f.wantQueue(want...)
	if n := f.rdb.HLen(f.Context(), f.rawFeed.cancelled).Val(); n != 0 {
		f.Errorf("%d jobs were counted as cancelled", n)
	}
}

// testHoleReapAhead has claims of a time to come: a worker of thoonk.py's has its own clock, and Redis's can
// be set back.
func testHoleReapAhead(f *feedTest) {
	ids := f.rawPut(numbered(4)...)
	f.claim(4)
	f.age(ids[0], -time.Hour)
	f.ageOurs(ids[1], -time.Hour)
	f.ageOurs(ids[2], -time.Second)
	f.wantIDs("reaped", f.reap(time.Minute, time.Minute), ids[1])
	f.wantIDs("reaped", f.reap(thoonk.AnyAge, time.Minute), ids[3], ids[2])
	f.wantIDs("reaped", f.reap(thoonk.AnyAge, thoonk.AnyAge), ids[0])
	f.wantQueue(ids[0], ids[3], ids[2], ids[1])
}

func (f *feedTest) cancelOlder(age time.Duration, limit int) []string {
	f.Helper()
	ids, err := f.feed.CancelOlder(f.Context(), age, limit)
	f.check("cancel old claims", err)
	return ids
}

func testCancelOlder(f *feedTest) {
	ids := f.rawPut(numbered(4)...)
	f.claim(2)
	f.rawFeed.claim()
	f.rawFeed.claim()
	f.wantIDs("cancelled", f.cancelOlder(time.Hour, 10))
	f.age(ids[0], 2*time.Hour)
	f.age(ids[2], 3*time.Hour)
	f.wantIDs("cancelled", f.cancelOlder(time.Hour, 1), ids[2])
	f.wantIDs("cancelled", f.cancelOlder(time.Hour, 10), ids[0])
	f.wantQueue(ids[2], ids[0])
	want := inQueue
	want.cancelled = 1
	f.wantPlace(ids[2], want)
	f.wantPlace(ids[1], inClaims)

	more := f.rawPut(numbered(1500)...)
	f.claim(1502)
	if n := len(f.cancelOlder(0, 2000)); n != len(more)+4 {
		f.Errorf("cancelled %d jobs, want %d", n, len(more)+4)
	}

	ids = jobIDs(f.claim(2))
	f.age(ids[0], -time.Hour)
	f.age(ids[1], -time.Hour)
	f.wantIDs("cancelled", f.cancelOlder(0, 10))
	if n, err := f.feed.OldClaims(f.Context(), thoonk.AnyAge); err != nil || n != 2 {
		f.Errorf("%d claims are of any age, %v, want 2", n, err)
	}
	f.wantSameIDs("cancelled", f.cancelOlder(thoonk.AnyAge, 10), ids...)
}

func testHoleMaintenance(f *feedTest) {
	f.rawPut("a", "b")
	popped := f.rawFeed.pop()
	f.rawFeed.maintain()
	f.rawFeed.take(popped)
	// The raw worker has the job, and a copy of its id is on the queue.
	if jobs := f.claim(10); len(jobs) != 1 || jobs[0].ID == popped {
		f.Errorf("claimed %q, want the other job only", jobIDs(jobs))
	} else {
		f.settle(glue.Finish, jobs[0].ID)
	}
	f.wantPlace(popped, inClaims)
	f.rawFeed.finish(popped)
	f.wantCounts(2, 2)
	f.wantNothingLeft()
}

func testHoleSeconds(f *feedTest) {
	const seconds = 1353586000.25
	ids := f.rawPut("a", "b")
	f.check("write seconds", f.rdb.ZAdd(f.Context(), f.rawFeed.published, redis.Z{Score: seconds, Member: ids[0]}).Err())
	want := time.UnixMilli(1353586000250)

	if oldest, err := f.feed.OldestPut(f.Context()); err != nil || !oldest.Equal(want) {
		f.Errorf("oldest job is of %v, %v, want %v", oldest, err, want)
	}
	old, err := f.feed.Older(f.Context(), thoonk.Queued, time.Hour, 10)
	f.check("look for old jobs", err)
	f.wantIDs("old", old, ids[0])
	if job := f.claimOne(); !job.Put.Equal(want) {
		f.Errorf("job was put at %v, want %v", job.Put, want)
	}
	f.settle(glue.Release, ids[0])

	// A job just retried is younger than any that is older, whatever the unit.
	now := f.rawFeed.now()
	f.check("write times", f.rdb.ZAdd(f.Context(), f.rawFeed.published,
		redis.Z{Score: now/1000 - 10, Member: ids[0]}, redis.Z{Score: now - 60000, Member: ids[1]}).Err())
	if oldest, err := f.feed.OldestPut(f.Context()); err != nil || !oldest.Equal(time.UnixMilli(int64(now)-60000)) {
		f.Errorf("oldest job is of %v, %v, want a minute before %v", oldest, err, time.UnixMilli(int64(now)))
	}
	old, err = f.feed.Older(f.Context(), thoonk.Queued, 0, 10)
	f.check("look for old jobs", err)
	f.wantIDs("old", old, ids[1], ids[0])
}

func testHoleStalledPublished(f *feedTest) {
	ids := f.rawPut(numbered(1100)...)
	f.rawFeed.stall(first(f.rawFeed.claim()))
	// More of them than the script reads at a time, in fewer commands.
	f.check("pop", f.rdb.RPopCount(f.Context(), f.rawFeed.ids, 1049).Err())
	f.check("stall", f.rdb.SAdd(f.Context(), f.rawFeed.stalled, ids[1:1050]).Err())
	id := ids[1050]
	put := f.rdb.ZScore(f.Context(), f.rawFeed.published, id).Val()
	if oldest, err := f.feed.OldestPut(f.Context()); err != nil || oldest.UnixMilli() > int64(put) || oldest.IsZero() {
		f.Errorf("oldest job is of %v, %v, want the oldest queued one's %f", oldest, err, put)
	}
	old, err := f.feed.Older(f.Context(), thoonk.Queued, 0, 1000)
	f.check("look for old jobs", err)
	if len(old) != 50 {
		f.Errorf("%d jobs are queued, want 50", len(old))
	}
	f.settle(glue.Finish, jobIDs(f.claim(100))...)
	if oldest, err := f.feed.OldestPut(f.Context()); err != nil || !oldest.IsZero() {
		f.Errorf("oldest job is of %v, %v, though all are stalled", oldest, err)
	}

	stalled, err := f.walk(thoonk.Stalled)
	f.check("walk", err)
	if len(stalled) != 1050 {
		f.Errorf("%d jobs are stalled, want 1050", len(stalled))
	}
	queued, err := f.feed.Retry(f.Context(), stalled...)
	f.check("retry", err)
	f.wantIDs("retried", queued, stalled...)
	f.settle(glue.Finish, jobIDs(f.claim(2000))...)
	f.wantCounts(1100, 1100)
	f.wantNothingLeft()
}

func testHoleNoPayload(f *feedTest) {
	ids := f.rawPut(numbered(1300)...)
	gone := slices.Concat(ids[:1250], ids[1251:])
	f.check("remove payloads", f.rdb.HDel(f.Context(), f.rawFeed.items, gone...).Err())
	f.check("cancel", f.rdb.HSet(f.Context(), f.rawFeed.cancelled, ids[1], 1, ids[1299], 2).Err())
	f.check("claim", f.rdb.ZAdd(f.Context(), f.rawFeed.claimed, redis.Z{Score: 1, Member: ids[0]}).Err())
	f.check("stall", f.rdb.SAdd(f.Context(), f.rawFeed.stalled, ids[2]).Err())
	// The first step of the claim finds nothing that it can take.
	f.wantIDs("claimed", jobIDs(f.claim(1200)), ids[1250])
	f.settle(glue.Finish, ids[1250])
	f.wantNothingLeft()

	// One at a time: a claim goes on until it has one.
	ids = f.rawPut("gone", "gone", "there")
	f.check("remove payloads", f.rdb.HDel(f.Context(), f.rawFeed.items, ids[:2]...).Err())
	if job := f.claimOne(); job.ID != ids[2] {
		f.Errorf("claimed %s, want the job that has a payload", job.ID)
	}
	f.settle(glue.Finish, ids[2])
	f.wantNothingLeft()
}

func testHoleClaimNoPayload(f *feedTest) {
	ids := f.rawPut(numbered(5)...)
	for range ids {
		id := f.rawFeed.pop()
		f.rawFeed.retract(id)
		f.rawFeed.take(id)
		f.check("cancel", f.rdb.HSet(f.Context(), f.rawFeed.cancelled, id, 1).Err())
	}
	f.settle(glue.Cancel, ids[0])
	f.settle(glue.Stall, ids[1])
	f.settle(glue.Release, ids[2])
	f.settle(glue.Finish, ids[3])
	f.wantIDs("reaped", f.reap(0, thoonk.AnyAge))
	f.wantCounts(5, 0)
	f.wantNothingLeft()

	f.check("stall", f.rdb.SAdd(f.Context(), f.rawFeed.stalled, ids[0]).Err())
	queued, err := f.feed.Retry(f.Context(), ids[0])
	f.check("retry", err)
	f.wantIDs("retried", queued)
	f.wantNothingLeft()
}

func testHoleLateFinish(f *feedTest) {
	ids := f.rawPut("queued again", "with another", "stalled")
	f.claim(3)
	f.wantIDs("cancelled", f.cancelOlder(0, 1), ids[0])
	f.rawFeed.cancel(ids[1])
	f.rawFeed.stall(ids[2])
	f.rawFeed.claim()
	if id, _ := f.rawFeed.claim(); id != ids[1] {
		f.Fatalf("raw worker has %s, want %s", id, ids[1])
	}
	f.rawFeed.cancel(ids[0])

	settlements := f.verdicts(glue.Finish, ids...)
	settlements[2].Result = []byte("done")
	f.check("settle", f.feed.Settle(f.Context(), settlements))
	f.wantCounts(3, 3)
	f.rawFeed.finish(ids[1])
	f.wantCounts(3, 3)
	if jobs := f.claim(10); len(jobs) != 0 {
		f.Errorf("claimed %q again, which are done", jobIDs(jobs))
	}
	f.wantNothingLeft()
}

func testHoleOthers(f *feedTest) {
	ids := f.rawPut("finished", "cancelled", "stalled", "retracted")
	f.claim(4)
	f.rawFeed.finish(ids[0])
	f.rawFeed.cancel(ids[1])
	f.rawFeed.stall(ids[2])
	f.rawFeed.retract(ids[3])
	var before []place
	for _, id := range ids {
		before = append(before, f.rawFeed.find(id))
	}
	for _, v := range []glue.Verdict{glue.Cancel, glue.Stall, glue.Release} {
		f.settle(v, ids...)
		for i, id := range ids {
			f.wantPlace(id, before[i])
		}
	}
	f.wantCounts(4, 1)
	f.settle(glue.Finish, ids...)
	f.wantCounts(4, 3)
	f.claim(1)
	f.wantNothingLeft()
}

func testTakenOver(f *feedTest) {
	ids := f.rawPut("a", "b", "c", "d")
	f.claim(4)
	f.cancelOlder(0, 10)
	other := f.open()
	_, err := other.Claim(f.Context(), 3)
	f.check("claim", err)
	f.rawFeed.claim()
	// The claims are of another time for certain, however fast this test is.
	for _, id := range ids {
		f.check("move a claim", f.rdb.ZIncrBy(f.Context(), f.rawFeed.claimed, 5000, id).Err())
	}

	f.settle(glue.Cancel, ids[0])
	f.settle(glue.Stall, ids[1])
	f.settle(glue.Release, ids[2:]...)
	want := inClaims
	want.cancelled = 1
	for _, id := range ids {
		f.wantPlace(id, want)
	}
	f.settle(glue.Finish, ids...)
	f.wantCounts(4, 4)
	f.wantNothingLeft()
}

func testCopies(f *feedTest) {
	ids := f.rawPut("a", "b")
	for range 3 {
		f.check("copy", f.rdb.LPush(f.Context(), f.rawFeed.ids, ids[0]).Err())
	}
	// The first step of the claim pops two copies, the next one those of a job it holds already.
	f.wantIDs("claimed", jobIDs(f.claim(3)), ids...)
	f.wantQueue()

	// thoonk.py's retry puts a job on the queue in any state; here it is with a worker.
	f.check("retry", f.rdb.LPush(f.Context(), f.rawFeed.ids, ids[1], ids[0]).Err())
	f.settle(glue.Cancel, ids[0])
	f.settle(glue.Finish, ids[1])
	f.wantQueue(ids[1], ids[0], ids[0])
	f.wantIDs("claimed", jobIDs(f.claim(10)), ids[0])
	f.settle(glue.Finish, ids[0])
	f.wantCounts(2, 2)
	f.wantNothingLeft()
}

func testStalledCopy(f *feedTest) {
	ids := f.rawPut("a", "b")
	f.check("copy", f.rdb.LPush(f.Context(), f.rawFeed.ids, ids[0]).Err())
	f.claimOne()
	f.settle(glue.Stall, ids[0])
	f.wantIDs("claimed", jobIDs(f.claim(10)), ids[1])
	f.wantPlace(ids[0], inStall)
}

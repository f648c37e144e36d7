package conform

import (
	"strings"
	"time"

	"pushglue/glue"
	"pushglue/glue/thoonk"
)

var badHost = glue.Reason{Pipeline: "comments", Host: "http://h:9080", Error: "host http://h:9080: answered \"413\"\n", Attempts: 3}

// stallFor claims jobs and stalls them for a reason.
func (f *feedTest) stallFor(r glue.Reason, ids ...string) {
	f.Helper()
	f.claim(len(ids))
	settlements := f.verdicts(glue.Stall, ids...)
	for i := range settlements {
		settlements[i].Reason = &r
	}
	f.check("stall", f.feed.Settle(f.Context(), settlements))
}

// wantReason looks a job's reason up on all ways. No reason is nil.
func (f *feedTest) wantReason(id string, want *glue.Reason) {
	f.Helper()
	job, err := f.feed.Job(f.Context(), id)
	f.check("read a job", err)
	entries, err := f.feed.Describe(f.Context(), id)
	f.check("describe a job", err)
	for _, got := range []*glue.Reason{job.Reason, entries[0].Reason} {
		if (got == nil) != (want == nil) {
			f.Errorf("reason of %s is %+v, want %+v", id, got, want)
			continue
		}
		if got == nil {
			continue
		}
		without := *got
		without.Time = time.Time{}
		if age := f.rawFeed.now() - float64(got.Time.UnixMilli()); without != *want || age < 0 || age > 600_000 {
			f.Errorf("reason of %s is %+v, %f ms old, want %+v", id, got, age, want)
		}
	}
}

func testReasons(f *feedTest) {
	ids := f.rawPut(numbered(4)...)
	f.stallFor(badHost, ids[0])
	long := badHost
	long.Error = strings.Repeat("ä", 600)
	f.stallFor(long, ids[1])
	long.Error = strings.Repeat("ä", 500)
	f.claim(1)
	f.settle(glue.Stall, ids[2])
	f.wantReason(ids[0], &badHost)
	f.wantReason(ids[1], &long)
	f.wantReason(ids[2], nil)
	f.wantReason(ids[3], nil)

	// A settlement that comes late changes nothing.
	late := f.verdicts(glue.Stall, ids[0])
	late[0].Reason = &long
	f.check("settle late", f.feed.Settle(f.Context(), late))
	f.wantReason(ids[0], &badHost)

	// thoonk.py retries the job, and a worker of ours stalls it again: for no reason that is known.
	f.rawFeed.retry(ids[0])
	f.wantReason(ids[0], nil)
	f.claim(2)
	f.wantReason(ids[0], nil)
	f.settle(glue.Stall, ids[0])
	f.wantReason(ids[0], nil)

	f.check("spoil a reason", f.rdb.HSet(f.Context(), f.rawFeed.reasons, ids[1], "no JSON").Err())
	f.wantReason(ids[1], nil)
}

// testReasonsGo takes reasons away in all ways in which a job is stalled no more.
func testReasonsGo(f *feedTest) {
	ids := f.put(numbered(8)...)
	f.stallFor(badHost, ids...)
	_, err := f.feed.Retry(f.Context(), ids[0])
	f.check("retry", err)
	_, err = f.feed.Retract(f.Context(), ids[1])
	f.check("retract", err)
	f.settle(glue.Finish, ids[2])
	withResult := f.verdicts(glue.Finish, ids[3])
	withResult[0].Result = []byte("done")
	f.check("finish", f.feed.Settle(f.Context(), withResult))
	f.rawFeed.retry(ids[4])
	f.rawFeed.retry(ids[5])
	left := f.rdb.HKeys(f.Context(), f.rawFeed.reasons).Val()
	f.wantSameIDs("reasons", left, ids[4:]...)
	_, err = f.feed.Purge(f.Context(), thoonk.Queued, f.now().Add(time.Minute), 10)
	f.check("purge", err)
	f.wantSameIDs("reasons", f.rdb.HKeys(f.Context(), f.rawFeed.reasons).Val(), ids[6:]...)
	f.rawFeed.retract(ids[6])
	_, err = f.feed.Retract(f.Context(), ids[6:]...)
	f.check("retract", err)
	f.wantNothingLeft()

	// A reason that cannot be kept costs no job.
	id := f.put("x")[0]
	f.check("spoil a key", f.rdb.Set(f.Context(), f.rawFeed.reasons, "spoilt", 0).Err())
	f.stallFor(badHost, id)
	f.check("mend it", f.rdb.Del(f.Context(), f.rawFeed.reasons).Err())
	f.wantPlace(id, inStall)
}

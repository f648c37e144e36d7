package conform

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"

	"pushglue/glue"
	"pushglue/glue/thoonk"
)

func testCancel(f *feedTest) {
	ids := f.rawPut("a", "b")
	put := f.rdb.ZScore(f.Context(), f.rawFeed.published, ids[0]).Val()
	for attempt := range 3 {
		if job := f.claimOne(); job.ID != ids[attempt%2] || job.Cancelled != attempt/2 {
			f.Errorf("attempt %d: claimed %s, cancelled %d times", attempt, job.ID, job.Cancelled)
		}
		f.settle(glue.Cancel, ids[attempt%2])
	}
	f.wantQueue(ids[1], ids[0])
	want := inQueue
	want.cancelled = 2
	f.wantPlace(ids[0], want)
	if got := f.rdb.ZScore(f.Context(), f.rawFeed.published, ids[0]).Val(); got != put {
		f.Errorf("cancelling changed the time put from %f to %f", put, got)
	}

	// Raw workers see the count, and we see theirs.
	id, _ := f.rawFeed.claim()
	f.rawFeed.cancel(id)
	f.rawFeed.finish(first(f.rawFeed.claim()))
	if job := f.claimOne(); job.ID != ids[1] || job.Cancelled != 2 {
		f.Errorf("claimed %s, cancelled %d times, want %s and 2", job.ID, job.Cancelled, ids[1])
	}
	f.settle(glue.Finish, ids[1])
	f.wantNothingLeft()
}

func first(id, _ string) string { return id }

func testStall(f *feedTest) {
	ids := f.rawPut("a", "b")
	f.claimOne()
	f.settle(glue.Cancel, ids[0])
	f.claim(2)
	f.settle(glue.Stall, ids...)
	for _, id := range ids {
		f.wantPlace(id, inStall)
	}
	if jobs := f.claim(1); len(jobs) != 0 {
		f.Errorf("claimed a stalled job")
	}

	before := f.rawFeed.now()
	queued, err := f.feed.Retry(f.Context(), ids[0], "unknown", ids[0])
	f.check("retry", err)
	f.wantIDs("retried", queued, ids[0])
	f.rawFeed.retry(ids[1])
	f.wantQueue(ids...)
	for _, id := range ids {
		f.wantPlace(id, inQueue)
	}
	if score := f.rdb.ZScore(f.Context(), f.rawFeed.published, ids[0]).Val(); score < before || score > f.rawFeed.now() {
		f.Errorf("retried at %f, want ms from %f", score, before)
	}
	for _, job := range f.claim(2) {
		if job.Cancelled != 0 {
			f.Errorf("a retried job keeps its %d cancellations", job.Cancelled)
		}
	}
	f.settle(glue.Finish, ids...)
	f.wantNothingLeft()
}

func testRelease(f *feedTest) {
	ids := f.rawPut(numbered(5)...)
	f.claim(3)
	f.settle(glue.Release, ids[:3]...)
	f.wantQueue(ids...)
	for _, id := range ids {
		f.wantPlace(id, inQueue)
	}
	for _, job := range f.claim(5) {
		if job.Cancelled != 0 {
			f.Errorf("a release was counted as a cancellation")
		}
	}
}

func testReleaseMany(f *feedTest) {
	ids := f.rawPut(numbered(2600)...)
	f.claim(2500)
	f.settle(glue.Release, ids[:2500]...)
	f.wantQueue(ids...)
}

func testMixed(f *feedTest) {
	ids := f.rawPut(numbered(8)...)
	f.claim(7)
	f.check("settle", f.feed.Settle(f.Context(), []glue.Settlement{
		{JobID: ids[0], Verdict: glue.Release},
		{JobID: ids[1], Verdict: glue.Finish},
		{JobID: ids[2], Verdict: glue.Cancel, Reason: &glue.Reason{Error: "busy"}},
		{JobID: ids[3], Verdict: glue.Release},
		{JobID: ids[4], Verdict: glue.Stall, Reason: &glue.Reason{Error: "bad"}},
		{JobID: ids[5], Verdict: glue.Finish, Result: []byte("result")},
		{JobID: ids[6], Verdict: glue.Cancel},
	}))
	f.wantQueue(ids[0], ids[3], ids[7], ids[2], ids[6])
	f.wantPlace(ids[1], nowhere)
	f.wantPlace(ids[4], inStall)
	f.wantPlace(ids[5], nowhere)
	f.wantCounts(8, 2)
}

func testSettleTwice(f *feedTest) {
	for _, v := range []glue.Verdict{glue.Finish, glue.Cancel, glue.Stall, glue.Release} {
		ids := f.rawPut("a", "b", "c")
		f.claim(3)
		f.settle(v, ids...)
		var once []place
		for _, id := range ids {
			once = append(once, f.rawFeed.find(id))
		}
		queue := f.rawFeed.queue()
		put, finished := f.rawFeed.counts()

		f.settle(v, ids...)
		f.claims = map[string]any{}
		f.check("settle", f.open().Settle(f.Context(), f.verdicts(v, ids...)))
		for i, id := range ids {
			f.wantPlace(id, once[i])
		}
		f.wantQueue(queue...)
		f.wantCounts(put, finished)
		_, err := f.feed.Retract(f.Context(), ids...)
		f.check("retract", err)
	}
	f.wantNothingLeft()
}

// testSettleLate settles again, as after an answer that was lost, when the same feed has claimed the jobs anew.
func testSettleLate(f *feedTest) {
	ids := f.rawPut("a", "b", "c")
	f.claim(3)
	late := slices.Concat(f.verdicts(glue.Cancel, ids[0]), f.verdicts(glue.Release, ids[1]), f.verdicts(glue.Stall, ids[2]))
	f.check("settle", f.feed.Settle(f.Context(), late))
	_, err := f.feed.Retry(f.Context(), ids[2])
	f.check("retry", err)
	f.claim(3)
	for range 2 {
		f.check("settle again", f.feed.Settle(f.Context(), late))
		f.extend(0)
	}
	for i, id := range ids {
		want := inClaims
		want.cancelled = []int{1, 0, 0}[i]
		f.wantPlace(id, want)
	}
	f.settle(glue.Finish, ids...)
	f.wantNothingLeft()
}

func testSettleNone(f *feedTest) {
	f.check("settle", f.feed.Settle(f.Context(), nil))
	f.settle(glue.Cancel, "unknown")
	f.settle(glue.Stall, "unknown")
	f.settle(glue.Release, "unknown")
	f.settle(glue.Finish, "unknown")
	f.wantCounts(0, 0)
	f.wantNothingLeft()
}

func testNoVerdict(f *feedTest) {
	ids := f.rawPut("a", "b")
	f.claim(2)
	err := f.feed.Settle(f.Context(), []glue.Settlement{{JobID: ids[0], Verdict: glue.Finish}, {JobID: ids[1]}})
	want := fmt.Sprintf("settle feed %q: job %s has no verdict", f.rawFeed.name, ids[1])
	if err == nil || err.Error() != want {
		f.Errorf("error is %v, want %s", err, want)
	}
	f.wantPlace(ids[0], inClaims)
}

func testSettleMany(f *feedTest) {
	ids := f.rawPut(numbered(2222)...)
	f.claim(2222)
	settlements := f.verdicts(glue.Finish, ids...)
	for i := range settlements {
		if i%3 == 0 {
			settlements[i].Result = []byte{}
		}
	}
	f.check("settle", f.feed.Settle(f.Context(), settlements))
	f.wantCounts(2222, 2222)
	f.wantNothingLeft()
}

// subscribe returns what gives the next message on channels. It fails the test when none comes.
func (f *feedTest) subscribe(channels ...string) func() string {
	f.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	pubsub := f.rdb.Subscribe(ctx, channels...)
	f.Cleanup(func() {
		pubsub.Close()
		cancel()
	})
	for range channels {
		_, err := pubsub.Receive(ctx)
		f.check("subscribe", err)
	}
	return func() string {
		f.Helper()
		message, err := pubsub.ReceiveMessage(ctx)
		f.check("receive a message", err)
		return message.Payload
	}
}

func testResults(f *feedTest) {
	messages := f.subscribe(f.rawFeed.finishChannel)
	ids := f.rawPut(numbered(4)...)
	f.claim(4)
	settlements := []glue.Settlement{
		{JobID: ids[0], Verdict: glue.Finish},
		{JobID: ids[1], Verdict: glue.Finish, Result: []byte("one\x00two")},
		{JobID: ids[2], Verdict: glue.Cancel, Result: []byte("nobody hears this")},
		{JobID: ids[3], Verdict: glue.Finish, Result: []byte{}},
	}
	f.check("settle", f.feed.Settle(f.Context(), settlements))
	f.check("settle again", f.feed.Settle(f.Context(), settlements))
	f.check("publish", f.rdb.Publish(f.Context(), f.rawFeed.finishChannel, "end").Err())
	for _, want := range []string{ids[1] + "\x00one\x00two", ids[3] + "\x00", "end"} {
		if got := messages(); got != want {
			f.Errorf("message is %q, want %q", got, want)
		}
	}
	f.wantCounts(4, 3)
}

func testAwaited(f *feedTest) {
	f.put("nobody waits")
	if f.claimOne().Awaited {
		f.Error("a job is awaited by nobody")
	}
	if _, ok := f.rdb.(*redis.ClusterClient); ok {
		return // the subscription may be at another node, which the claim does not see
	}
	results, err := f.feed.Results(f.Context())
	f.check("subscribe", err)
	defer results.Close()
	id := f.put("a", "b")[1]
	for _, job := range f.claim(2) {
		if !job.Awaited {
			f.Error("a job is not awaited")
		}
	}
	f.check("publish what is no result", f.rdb.Publish(f.Context(), f.rawFeed.finishChannel, "nothing").Err())
	f.check("settle", f.feed.Settle(f.Context(), []glue.Settlement{{JobID: id, Verdict: glue.Finish, Result: []byte("one\x00two")}}))
	got, err := results.Next(f.Context())
	f.check("receive", err)
	if got.JobID != id || got.Text != "one\x00two" {
		f.Errorf("got %+v", got)
	}
}

func testNotices(f *feedTest) {
	if f.dialect == thoonk.ThoonkJS {
		_, err := thoonk.NewFeed(f.rdb, f.rawFeed.name, f.dialect, thoonk.WithNotices())
		want := fmt.Sprintf("feed %q: notices exist in the dialect thoonk.py only", f.rawFeed.name)
		if err == nil || err.Error() != want {
			f.Errorf("error is %v, want %s", err, want)
		}
		return
	}
	messages := f.subscribe(f.rawFeed.putChannel, f.rawFeed.claimChannel)
	f.put("silent")
	silent := f.claimOne()
	f.settle(glue.Finish, silent.ID)

	f.feed = f.open(thoonk.WithNotices())
	ids := f.put("a", "b\x00c")
	f.claim(2)
	for _, want := range []string{ids[0] + "\x00a", ids[1] + "\x00b\x00c", ids[0], ids[1]} {
		if got := messages(); got != want {
			f.Errorf("message is %q, want %q", got, want)
		}
	}
}

// Package conform holds suites that a real thing and its stand-in must both pass.
package conform

import (
	"fmt"
	"slices"
	"strconv"
	"testing"

	"github.com/redis/go-redis/v9"

	"pushglue/glue"
	"pushglue/glue/thoonk"
)

// Feed runs the suite of package thoonk against a Redis. The other side of each test, producer or
// worker, issues the commands of thoonk.py or thoonk.js by hand, as the dialect says.
//
// connect returns a client, which connect closes at the end of the test. Each test has a feed of
// its own, so all use one Redis at once.
func Feed(t *testing.T, connect func(testing.TB) redis.UniversalClient, d thoonk.Dialect) {
	runFeed(t, connect, d, append(feedCases(), longFeedCases()...))
}

// ShortFeed is Feed without what takes a stand-in minutes.
func ShortFeed(t *testing.T, connect func(testing.TB) redis.UniversalClient, d thoonk.Dialect) {
	runFeed(t, connect, d, feedCases())
}

type feedCase struct {
	name string
	run  func(*feedTest)
}

func feedCases() []feedCase {
	return []feedCase{
		{"our put is a raw job", testPutKeys},
		{"a raw worker does our jobs", testPutRawWorker},
		{"we do raw jobs", testClaimRaw},
		{"put no jobs", testPutNone},
		{"put many jobs", testPutMany},
		{"priority", testPriority},
		{"put creates the feed once", testCreate},
		{"put on a feed of another type", testOtherType},
		{"scripts are repeated", testRepeated},
		{"claims come in order and in any number", testClaimSizes},
		{"payloads are any bytes", testPayloads},
		{"cancel", testCancel},
		{"stall and retry", testStall},
		{"why a job is stalled", testReasons},
		{"reasons go with their jobs", testReasonsGo},
		{"release", testRelease},
		{"release many", testReleaseMany},
		{"a mixed settlement", testMixed},
		{"settle twice", testSettleTwice},
		{"settle nothing", testSettleNone},
		{"settle without a verdict", testNoVerdict},
		{"settle many", testSettleMany},
		{"results", testResults},
		{"somebody waits for results", testAwaited},
		{"notices", testNotices},
		{"retract", testRetract},
		{"retract many", testRetractMany},
		{"cancel what others claimed", testCancelOthers},
		{"cancel claims without payload", testCancelNoPayload},
		{"purge the queue", testPurgeQueue},
		{"purge until a time", testPurgeUntil},
		{"retract jobs of a state", testRetractIf},
		{"a count that is no number", testCancelledNoNumber},
		{"hole 1: a claim is one step", testHoleAtomicClaim},
		{"hole 1: lost jobs are found", testHoleLost},
		{"hole 2: waiting takes nothing", testHoleWait},
		{"hole 3: old claims end", testHoleReap},
		{"hole 3: old claims end in their order", testHoleReapOrder},
		{"hole 3: claims of the future", testHoleReapAhead},
		{"hole 3: a claimed job is put on the queue", testHoleMaintenance},
		{"hole 4: times in seconds", testHoleSeconds},
		{"hole 5: stalled jobs that look published", testHoleStalledPublished},
		{"hole 6: the payload is gone", testHoleNoPayload},
		{"hole 6: a claim without payload", testHoleClaimNoPayload},
		{"hole 7: finish without the claim", testHoleLateFinish},
		{"hole 8: others settle our jobs", testHoleOthers},
		{"a job that another worker took over", testTakenOver},
		{"a settlement that is repeated spares the next claim", testSettleLate},
		{"copies of an id", testCopies},
		{"a stalled id on the queue", testStalledCopy},
		{"extend", testExtend},
		{"extend many", testExtendMany},
		{"how long jobs waited", testWaited},
		{"wait", testWait},
		{"counts", testCounts},
		{"one job", testJob},
		{"old jobs", testOlder},
		{"describe jobs", testDescribe},
		{"walk by age", testWalkOlder},
		{"walk a queue whose jobs are retracted", testWalkRetracted},
		{"wrong type", testWrongType},
		{"wrong type: nothing is lost", testWrongTypeKeeps},
		{"workers share a feed", testShare},
	}
}

// longFeedCases put thousands of jobs on queues that are long. miniredis copies the whole queue for each job.
func longFeedCases() []feedCase {
	return []feedCase{
		{"purge a queue that others work on", testPurgeShared},
		{"purge claimed and stalled jobs", testPurgeOthers},
		{"purge behind many later jobs", testPurgeBehind},
		{"hole 1: what is on a long queue is not lost", testHoleNotLost},
		{"cancel old claims", testCancelOlder},
		{"walk", testWalk},
		{"walk by age, times in seconds", testWalkSeconds},
		{"walk while others work", testWalkShared},
		{"walk a queue that moves at both ends", testWalkMoving},
	}
}

func runFeed(t *testing.T, connect func(testing.TB) redis.UniversalClient, d thoonk.Dialect, cases []feedCase) {
	for i, test := range cases {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			rdb := connect(t)
			name := fmt.Sprintf("feed %d of %s", i, d)
			if _, ok := rdb.(*redis.ClusterClient); ok {
				name = "{" + name + "}"
			}
			f := &feedTest{T: t, rdb: rdb, dialect: d, rawFeed: newRawFeed(t, rdb, d, name), claims: map[string]any{}}
			f.feed = f.open()
			test.run(f)
		})
	}
}

// feedTest is one test's feed, from both sides.
type feedTest struct {
	*testing.T
	rdb     redis.UniversalClient
	dialect thoonk.Dialect
	feed    *thoonk.Feed
	rawFeed rawFeed
	claims  map[string]any // by job, of the claims that feed made
}

// open returns the feed as another process would open it.
func (f *feedTest) open(options ...thoonk.Option) *thoonk.Feed {
	f.Helper()
	feed, err := thoonk.NewFeed(f.rdb, f.rawFeed.name, f.dialect, options...)
	f.check("open the feed", err)
	return feed
}

func (f *feedTest) check(what string, err error) {
	f.Helper()
	if err != nil {
		f.Fatalf("%s: %v", what, err)
	}
}

func (f *feedTest) put(payloads ...string) []string {
	f.Helper()
	return f.putWith(thoonk.PutOptions{}, payloads...)
}

func (f *feedTest) putWith(options thoonk.PutOptions, payloads ...string) []string {
	f.Helper()
	data := make([][]byte, len(payloads))
	for i, payload := range payloads {
		data[i] = []byte(payload)
	}
	ids, err := f.feed.Put(f.Context(), data, options)
	f.check("put", err)
	return ids
}

// rawPut puts jobs as others do, in order.
func (f *feedTest) rawPut(payloads ...string) []string {
	f.Helper()
	ids, err := RawPut(f.Context(), f.rdb, f.dialect, f.rawFeed.name, payloads...)
	f.check("raw put", err)
	return ids
}

func (f *feedTest) claim(limit int) []glue.Job {
	f.Helper()
	jobs, err := f.feed.Claim(f.Context(), limit)
	f.check("claim", err)
	for _, job := range jobs {
		f.claims[job.ID] = job.Claim
	}
	return jobs
}

// claimOne claims a job that must be there.
func (f *feedTest) claimOne() glue.Job {
	f.Helper()
	jobs := f.claim(1)
	if len(jobs) != 1 {
		f.Fatalf("claimed %d jobs, want 1", len(jobs))
	}
	return jobs[0]
}

func (f *feedTest) settle(v glue.Verdict, ids ...string) {
	f.Helper()
	f.check("settle", f.feed.Settle(f.Context(), f.verdicts(v, ids...)))
}

// verdicts gives a verdict on the last claims that the feed made; of jobs that it did not claim, on whatever
// claim there is.
func (f *feedTest) verdicts(v glue.Verdict, ids ...string) []glue.Settlement {
	settlements := make([]glue.Settlement, len(ids))
	for i, id := range ids {
		settlements[i] = glue.Settlement{JobID: id, Claim: f.claims[id], Verdict: v}
	}
	return settlements
}

func (f *feedTest) wantPlace(id string, want place) {
	f.Helper()
	if got := f.rawFeed.find(id); got != want {
		f.Errorf("job %s is at %+v, want %+v", id, got, want)
	}
}

func (f *feedTest) wantQueue(want ...string) {
	f.Helper()
	if got := f.rawFeed.queue(); !slices.Equal(got, want) {
		f.Errorf("the queue is %q, want %q", short(got), short(want))
	}
}

func (f *feedTest) wantIDs(what string, got []string, want ...string) {
	f.Helper()
	if !slices.Equal(got, want) {
		f.Errorf("%s: %q, want %q", what, short(got), short(want))
	}
}

// wantSameIDs is wantIDs in any order.
func (f *feedTest) wantSameIDs(what string, got []string, want ...string) {
	f.Helper()
	f.wantIDs(what, slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(want))...)
}

func (f *feedTest) wantCounts(put, finished int) {
	f.Helper()
	gotPut, gotFinished := f.rawFeed.counts()
	if gotPut != put || gotFinished != finished {
		f.Errorf("counted %d put and %d finished, want %d and %d", gotPut, gotFinished, put, finished)
	}
}

func (f *feedTest) wantNothingLeft() {
	f.Helper()
	OnlyCounters(f, f.rdb, f.dialect, f.rawFeed.name)
}

// short keeps a failing test's output readable.
func short(ids []string) []string {
	const most = 12
	if len(ids) <= most {
		return ids
	}
	return append(slices.Clone(ids[:most]), fmt.Sprintf("… %d more", len(ids)-most))
}

func jobIDs(jobs []glue.Job) []string {
	ids := make([]string, len(jobs))
	for i := range jobs {
		ids[i] = jobs[i].ID
	}
	return ids
}

func numbered(n int) []string {
	payloads := make([]string, n)
	for i := range payloads {
		payloads[i] = "payload " + strconv.Itoa(i)
	}
	return payloads
}

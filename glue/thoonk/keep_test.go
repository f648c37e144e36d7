package thoonk_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"pushglue/glue"
	"pushglue/glue/gluetest/conform"
	"pushglue/glue/gluetest/service"
	"pushglue/glue/thoonk"
)

// patience is how long a test waits for what must come.
const patience = time.Minute

// keptFeed is a feed as one daemon has it, with what its keeper reported.
type keptFeed struct {
	*thoonk.Feed
	t   *testing.T
	end func() // of its keeper

	mu   sync.Mutex
	last glue.Kept
	sum  glue.Kept
	errs int
}

// keepFeed opens the feed "f" as a daemon of its own.
func keepFeed(t *testing.T, rdb redis.UniversalClient, options ...thoonk.Option) *keptFeed {
	t.Helper()
	feed, err := thoonk.NewFeed(rdb, "f", thoonk.ThoonkPy, options...)
	if err != nil {
		t.Fatal(err)
	}
	k := &keptFeed{Feed: feed, t: t}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		feed.Keep(ctx, k.report)
	}()
	k.end = func() { cancel(); <-ended }
	t.Cleanup(k.end)
	return k
}

func (k *keptFeed) report(kept glue.Kept, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err != nil {
		k.errs++
		return
	}
	k.last = kept
	k.sum.Ended += kept.Ended
	k.sum.TakenBack += kept.TakenBack
	k.sum.Reaped += kept.Reaped
	k.sum.Others += kept.Others
	k.sum.Recovered += kept.Recovered
}

func (k *keptFeed) kept() (sum, last glue.Kept) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.sum, k.last
}

func (k *keptFeed) put(n int) []string {
	k.t.Helper()
	ids, err := k.Put(context.Background(), make([][]byte, n), thoonk.PutOptions{})
	if err != nil {
		k.t.Fatal(err)
	}
	return ids
}

func (k *keptFeed) claim(n int) []glue.Job {
	k.t.Helper()
	jobs, err := k.Claim(context.Background(), n)
	if err != nil {
		k.t.Fatal(err)
	}
	return jobs
}

func (k *keptFeed) wantClaims(want []string, n int) {
	k.t.Helper()
	if got := jobIDs(k.claim(n)); !slices.Equal(got, want) {
		k.t.Errorf("claimed %d jobs, %.9s\nwant %d, %.9s", len(got), got, len(want), want)
	}
}

func (k *keptFeed) settle(v glue.Verdict, jobs ...glue.Job) {
	k.t.Helper()
	settlements := make([]glue.Settlement, len(jobs))
	for i, job := range jobs {
		settlements[i] = glue.Settlement{JobID: job.ID, Claim: job.Claim, Verdict: v}
	}
	if err := k.Settle(context.Background(), settlements); err != nil {
		k.t.Fatal(err)
	}
}

func jobIDs(jobs []glue.Job) []string {
	ids := make([]string, len(jobs))
	for i := range jobs {
		ids[i] = jobs[i].ID
	}
	return ids
}

// eventually polls until what is so.
func eventually(t *testing.T, what string, isSo func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); !isSo(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("it does not come about that %s", what)
		}
	}
}

// age makes all claims of the feed so much older.
func age(t *testing.T, rdb redis.UniversalClient, by time.Duration) {
	t.Helper()
	for _, z := range rdb.ZRangeWithScores(t.Context(), "feed.claimed:f", 0, -1).Val() {
		if err := rdb.ZIncrBy(t.Context(), "feed.claimed:f", -float64(by.Milliseconds()), z.Member.(string)).Err(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestKeepReaps has a daemon and a worker of thoonk.py that died an hour ago.
func TestKeepReaps(t *testing.T) {
	t.Parallel()
	rdb := service.StartRedis(t).Client(t)
	dead, err := thoonk.NewFeed(rdb, "f", thoonk.ThoonkPy)
	if err != nil {
		t.Fatal(err)
	}
	raw := conform.NewRawWorker(t, rdb, thoonk.ThoonkPy, "f")
	ids, err := dead.Put(t.Context(), make([][]byte, 20), thoonk.PutOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := dead.Claim(t.Context(), 10); err != nil {
		t.Fatal(err)
	}
	raw.Take(raw.Pop())
	age(t, rdb, time.Hour)

	k := keepFeed(t, rdb, thoonk.WithLease(time.Second, 0))
	eventually(t, "the daemon's claims end", func() bool { sum, _ := k.kept(); return sum.Reaped == 10 })
	jobs := k.claim(11)
	if want := slices.Concat(ids[:10], ids[11:12]); !slices.Equal(jobIDs(jobs), want) {
		t.Errorf("claimed %q, want %q", jobIDs(jobs), want)
	}
	for _, job := range jobs {
		if job.Cancelled != 0 {
			t.Errorf("a crash was counted as an attempt: %+v", job)
		}
	}
	if sum, _ := k.kept(); sum.Others != 0 {
		t.Errorf("claims of thoonk.py's worker ended: %+v", sum)
	}
	k.settle(glue.Finish, jobs...)

	other := keepFeed(t, rdb, thoonk.WithLease(time.Second, 30*time.Minute))
	eventually(t, "the worker's claim ends", func() bool { sum, _ := other.kept(); return sum.Others == 1 })
	other.wantClaims(ids[10:11], 1)
}

// TestKeepExtends holds claims while those of a dead daemon, which were made later, become too old.
func TestKeepExtends(t *testing.T) {
	t.Parallel()
	const lease = 4 * time.Second
	rdb := service.StartRedis(t).Client(t)
	alive := keepFeed(t, rdb, thoonk.WithLease(lease, 0))
	ids := alive.put(9)
	jobs := append(alive.claim(2), alive.claim(3)...)
	alive.settle(glue.Cancel, jobs[1])

	dead := keepFeed(t, rdb, thoonk.WithLease(lease, 0))
	dead.wantClaims(ids[5:8], 3)
	dead.end()

	eventually(t, "the dead daemon's claims end", func() bool { sum, _ := alive.kept(); return sum.Reaped == 3 })
	held := slices.Delete(slices.Clone(ids[:5]), 1, 2)
	if got := rdb.ZRange(t.Context(), "feed.claimed:f", 0, -1).Val(); !slices.Equal(got, held) {
		t.Errorf("claimed are %q, want %q", got, held)
	}
	alive.settle(glue.Release, slices.Delete(jobs, 1, 2)...)
	alive.wantClaims(slices.Concat(held, ids[5:9], ids[1:2]), 20)
	if sum, _ := alive.kept(); sum.Ended != 0 {
		t.Errorf("claims were ended by others: %+v", sum)
	}
}

// TestKeepTellsOfClaimsThatOthersEnd has an operator cancel a daemon's claims.
func TestKeepTellsOfClaimsThatOthersEnd(t *testing.T) {
	t.Parallel()
	rdb := service.StartRedis(t).Client(t)
	k := keepFeed(t, rdb, thoonk.WithLease(time.Second, 0))
	ids := k.put(3)
	jobs := k.claim(3)
	if _, err := k.Cancel(t.Context(), ids[1]); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the daemon notices", func() bool { sum, _ := k.kept(); return sum.Ended == 1 })
	k.settle(glue.Release, jobs...)
	k.wantClaims([]string{ids[0], ids[2], ids[1]}, 3)
}

// TestKeepAfterAnOutage has Redis away for longer than the lease: the one that comes back first must not
// end the other's claims.
func TestKeepAfterAnOutage(t *testing.T) {
	t.Parallel()
	const lease = 3 * time.Second
	store := service.StartRedis(t, "--appendonly", "yes", "--appendfsync", "always")
	rdb := store.Client(t)
	a, b := keepFeed(t, rdb, thoonk.WithLease(lease, 0)), keepFeed(t, rdb, thoonk.WithLease(lease, 0))
	ids := a.put(2)
	jobs := append(a.claim(1), b.claim(1)...)
	store.Kill()
	away := time.Now()
	eventually(t, "both notice, for more than a lease", func() bool {
		a.mu.Lock()
		b.mu.Lock()
		defer a.mu.Unlock()
		defer b.mu.Unlock()
		return a.errs > 0 && b.errs > 0 && time.Since(away) > lease+lease/2
	})
	store.Start()
	before := rdb.ZScore(t.Context(), "feed.claimed:f", ids[0]).Val()
	eventually(t, "the claims are extended", func() bool {
		scores := rdb.ZMScore(t.Context(), "feed.claimed:f", ids...).Val()
		return scores[0] > before && scores[1] > before
	})
	a.settle(glue.Release, jobs[0])
	b.settle(glue.Release, jobs[1])
	for _, k := range []*keptFeed{a, b} {
		if sum, _ := k.kept(); sum.Reaped != 0 || sum.Ended != 0 {
			t.Errorf("a claim of a daemon that lives was ended: %+v", sum)
		}
	}
}

func TestLeaseIsASecondAtLeast(t *testing.T) {
	_, err := thoonk.NewFeed(open(t, "redis://localhost"), "f", thoonk.ThoonkPy, thoonk.WithLease(999*time.Millisecond, 0))
	if got, want := errorText(err), `feed "f": a lease is less than 1s`; got != want {
		t.Errorf("error is %q, want %q", got, want)
	}
}

package thoonk_test

import (
	"context"
	"io"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"pushglue/glue"
	"pushglue/glue/gluetest/service"
	"pushglue/glue/thoonk"
)

func isActive(k *keptFeed) func() bool {
	return func() bool { _, last := k.kept(); return last.Role == glue.Active }
}

func isStandby(k *keptFeed) func() bool {
	return func() bool { _, last := k.kept(); return last.Role == glue.Standby }
}

func TestStandbyTakesOverAtOnceAfterAStop(t *testing.T) {
	t.Parallel()
	rdb := service.StartRedis(t).Client(t)
	a := keepFeed(t, rdb, thoonk.WithStandby())
	eventually(t, "a is active", isActive(a))
	b := keepFeed(t, rdb, thoonk.WithStandby())
	eventually(t, "b stands by", isStandby(b))
	ids := b.put(10)
	b.wantClaims(nil, 10)
	if err := b.Wait(t.Context()); err != nil {
		t.Error(err)
	}
	jobs := a.claim(4)
	a.settle(glue.Finish, jobs[:1]...)
	a.settle(glue.Release, jobs[1:]...)
	a.end()
	if n := rdb.Exists(t.Context(), "feed.pushglue.active:f").Val(); n != 0 {
		t.Error("who has stopped is the active one still")
	}
	eventually(t, "b is active", isActive(b))
	a.wantClaims(nil, 10)
	b.wantClaims(ids[1:], 10)
}

// TestStandbyTakesOverFromOneThatIsPaused has the active one away, its time over, and back.
func TestStandbyTakesOverFromOneThatIsPaused(t *testing.T) {
	t.Parallel()
	rdb := service.StartRedis(t).Client(t)
	a := keepFeed(t, rdb, thoonk.WithStandby())
	eventually(t, "a is active", isActive(a))
	ids := a.put(3000)
	jobs := slices.Concat(a.claim(10), a.claim(2490))
	a.settle(glue.Finish, jobs[5])

	a.paused.Lock()
	b := keepFeed(t, rdb, thoonk.WithStandby())
	eventually(t, "b is active", isActive(b))
	a.wantClaims(nil, 10) // it takes itself for the active one still
	a.paused.Unlock()
	eventually(t, "a stands by", isStandby(a))
	if sum, _ := b.kept(); sum.TakenBack != 2499 {
		t.Errorf("b took %d jobs back, want 2499", sum.TakenBack)
	}
	left := slices.Concat(ids[:5], ids[6:])
	b.wantClaims(left[:100], 100)
	a.wantClaims(nil, 10)

	// What a had in hand it settles now.
	a.settle(glue.Release, jobs[0])
	a.settle(glue.Cancel, jobs[1], jobs[2000])
	a.settle(glue.Stall, jobs[2], jobs[2001])
	a.settle(glue.Finish, jobs[3], jobs[150])
	counts, err := b.Counts(t.Context())
	if want := (thoonk.Counts{Queued: 2899, Claimed: 99, Put: 3000, Finished: 3}); err != nil || counts != want {
		t.Errorf("counts are %+v, %v, want %+v", counts, err, want)
	}
	b.wantClaims(slices.DeleteFunc(left[100:301], func(id string) bool { return id == ids[150] }), 200)
}

// TestTheActiveOneKeepsItsClaims has its time run out while nobody else is there: its own jobs do not
// come back to it.
func TestTheActiveOneKeepsItsClaims(t *testing.T) {
	t.Parallel()
	rdb := service.StartRedis(t).Client(t)
	a := keepFeed(t, rdb, thoonk.WithStandby())
	eventually(t, "a is active", isActive(a))
	ids := a.put(6)
	jobs := a.claim(3)
	lost, err := thoonk.NewFeed(rdb, "f", thoonk.ThoonkPy) // a claim whose answer was lost
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lost.Claim(t.Context(), 2); err != nil {
		t.Fatal(err)
	}
	if err := rdb.Del(t.Context(), "feed.pushglue.active:f").Err(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "what a does not know is back", func() bool { sum, _ := a.kept(); return sum.TakenBack == 2 })
	eventually(t, "a claims again", func() bool {
		jobs = append(jobs, a.claim(1)...)
		return len(jobs) == 4
	})
	a.settle(glue.Release, jobs...)
	a.wantClaims(ids, 10)
	if sum, _ := a.kept(); sum.Ended != 0 {
		t.Errorf("own claims were ended: %+v", sum)
	}
}

// lossyHook loses the answers to those scripts that take so many keys, the first of which is this one.
type lossyHook struct {
	keys, first string
	losing      atomic.Bool
	lost        atomic.Int64
}

func (h *lossyHook) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		args := cmd.Args()
		if err != nil || cmd.Name() != "evalsha" || args[2] != h.keys || args[3] != h.first || !h.losing.Load() {
			return err
		}
		h.lost.Add(1)
		cmd.SetErr(io.ErrUnexpectedEOF)
		return io.ErrUnexpectedEOF
	}
}

func (h *lossyHook) DialHook(next redis.DialHook) redis.DialHook { return next }

func (h *lossyHook) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

// TestLostAnswersKeepTheOrder has an extension and then a claim get no answer: what was claimed then comes first.
func TestLostAnswersKeepTheOrder(t *testing.T) {
	t.Parallel()
	rdb := service.StartRedis(t).Client(t)
	extensions := &lossyHook{keys: "1", first: "feed.claimed:f"}
	claims := &lossyHook{keys: "7", first: "feed.ids:f"}
	rdb.AddHook(extensions)
	rdb.AddHook(claims)
	a := keepFeed(t, rdb, thoonk.WithStandby(), thoonk.WithLease(3*time.Second, 0))
	eventually(t, "a is active", isActive(a))
	ids := a.put(6)
	jobs := a.claim(2)

	extensions.losing.Store(true)
	eventually(t, "an extension gets no answer", func() bool { return extensions.lost.Load() > 0 })
	claims.losing.Store(true)
	if _, err := a.Claim(t.Context(), 2); err == nil {
		t.Fatal("the claim has an answer")
	}
	claims.losing.Store(false)
	extensions.losing.Store(false)
	eventually(t, "a claims again", func() bool {
		jobs = append(jobs, a.claim(2)...)
		return len(jobs) > 2
	})
	if got := jobIDs(jobs); !slices.Equal(got, ids[:4]) {
		t.Errorf("claimed %.9s, want %.9s", got, ids[:4])
	}
	eventually(t, "the lost claims are reported", func() bool { sum, _ := a.kept(); return sum.TakenBack == 2 })
	if sum, _ := a.kept(); sum.Ended != 0 {
		t.Errorf("own claims were ended: %+v", sum)
	}
}

package thoonk_test

import (
	"context"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"pushglue/glue/gluetest/service"
	"pushglue/glue/thoonk"
)

// steppingHook sets the clock of Redis just before a claim can be ended for its age, once.
type steppingHook struct {
	step    func()
	after   func() // is called behind the call before which the clock was set
	armed   atomic.Bool
	stepped atomic.Bool
}

func (h *steppingHook) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		args := cmd.Args()
		if cmd.Name() != "evalsha" || args[2] != "5" || args[3] != "feed.ids:f" || !h.armed.CompareAndSwap(true, false) {
			return next(ctx, cmd)
		}
		h.step()
		err := next(ctx, cmd)
		h.after()
		h.stepped.Store(true)
		return err
	}
}

func (h *steppingHook) DialHook(next redis.DialHook) redis.DialHook { return next }

func (h *steppingHook) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

// TestAClockThatIsSetInARoundEndsNoClaim sets Redis's clock when the keeper has looked at it already.
func TestAClockThatIsSetInARoundEndsNoClaim(t *testing.T) {
	t.Parallel()
	for name, offset := range map[string]string{"forth": "+3600", "back": "-3600"} {
		t.Run(name, func(t *testing.T) {
			clock := filepath.Join(t.TempDir(), "clock")
			set := func(offset string) {
				// Redis reads it at any time: it must not find it empty.
				if err := os.WriteFile(clock+".new", []byte(offset), 0o600); err != nil {
					t.Error(err)
				}
				if err := os.Rename(clock+".new", clock); err != nil {
					t.Error(err)
				}
			}
			set("+0")
			library := service.NeedFile(t, "/usr/lib/*/faketime/libfaketimeMT.so.1", "libfaketime")
			store := service.StartRedisUnder(t, []string{
				"env", "LD_PRELOAD=" + library + " libc.so.6", "FAKETIME_TIMESTAMP_FILE=" + clock, "FAKETIME_NO_CACHE=1", "DONT_FAKE_MONOTONIC=1",
			})
			rdb, looker := store.Client(t), store.Client(t)
			hook := &steppingHook{
				step: func() { set(offset) },
				after: func() {
					if n := looker.ZCard(t.Context(), "feed.claimed:f").Val(); n != 3 {
						t.Errorf("%d claims stand, want 3", n)
					}
				},
			}
			rdb.AddHook(hook)
			keepFeed(t, rdb, thoonk.WithLease(6*time.Second, 0))
			other, err := thoonk.NewFeed(looker, "f", thoonk.ThoonkPy)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := other.Put(t.Context(), make([][]byte, 3), thoonk.PutOptions{}); err != nil {
				t.Fatal(err)
			}
			if jobs, err := other.Claim(t.Context(), 3); err != nil || len(jobs) != 3 {
				t.Fatalf("claimed %d jobs, %v", len(jobs), err)
			}
			if _, err := other.Reap(t.Context(), time.Hour, 0); err != nil { // so that Redis knows the script
				t.Fatal(err)
			}
			hook.armed.Store(true)
			eventually(t, "the keeper has looked for old claims", hook.stepped.Load)
		})
	}
}

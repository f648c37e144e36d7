package thoonk_test

import (
	"testing"

	"github.com/redis/go-redis/v9"

	"pushglue/glue"
	"pushglue/glue/gluetest/service"
	"pushglue/glue/thoonk"
)

// claimOneOfTwo empties rdb, puts two jobs and claims the first one.
func claimOneOfTwo(t *testing.T, rdb redis.UniversalClient) (*thoonk.Feed, glue.Job) {
	t.Helper()
	if err := rdb.FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	feed, err := thoonk.NewFeed(rdb, "f", thoonk.ThoonkPy)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := feed.Put(t.Context(), [][]byte{{'1'}, {'2'}}, thoonk.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	jobs, err := feed.Claim(t.Context(), 1)
	if err != nil || len(jobs) != 1 {
		t.Fatalf("claimed %d jobs, %v", len(jobs), err)
	}
	return feed, jobs[0]
}

// TestASettlementThatFailsLosesNothing has a key of the wrong type, one after the other, for each verdict: the job stays
// claimed, and the verdict takes effect once when it is repeated.
func TestASettlementThatFailsLosesNothing(t *testing.T) {
	t.Parallel()
	rdb := service.StartRedis(t).Client(t)
	for name, verdict := range map[string]glue.Settlement{
		"finish":             {Verdict: glue.Finish},
		"finish with result": {Verdict: glue.Finish, Result: []byte("done")},
		"cancel":             {Verdict: glue.Cancel},
		"stall":              {Verdict: glue.Stall},
		"release":            {Verdict: glue.Release},
	} {
		for _, key := range []string{"feed.ids:f", "feed.items:f", "feed.published:f", "feed.cancelled:f", "feed.stalled:f"} {
			t.Run(name+" "+key, func(t *testing.T) {
				feed, job := claimOneOfTwo(t, rdb)
				s := verdict
				s.JobID, s.Claim = job.ID, job.Claim
				_ = rdb.Rename(t.Context(), key, "aside").Err() // where there is one
				if err := rdb.Set(t.Context(), key, "x", 0).Err(); err != nil {
					t.Fatal(err)
				}
				failed := feed.Settle(t.Context(), []glue.Settlement{s})
				if failed == nil && s.Verdict != glue.Finish {
					t.Error("the settlement has no error")
				}
				if failed != nil && rdb.ZScore(t.Context(), "feed.claimed:f", s.JobID).Err() != nil {
					t.Errorf("%v, and the job is claimed no more", failed)
				}
				if err := rdb.Del(t.Context(), key).Err(); err != nil {
					t.Fatal(err)
				}
				_ = rdb.Rename(t.Context(), "aside", key).Err()
				if err := feed.Settle(t.Context(), []glue.Settlement{s}); err != nil {
					t.Fatal(err)
				}
				counts, err := feed.Counts(t.Context())
				want := map[glue.Verdict]thoonk.Counts{
					glue.Finish:  {Queued: 1, Put: 2, Finished: 1},
					glue.Cancel:  {Queued: 2, Cancelled: 1, Put: 2},
					glue.Stall:   {Queued: 1, Stalled: 1, Put: 2},
					glue.Release: {Queued: 2, Put: 2},
				}[s.Verdict]
				if err != nil || counts != want {
					t.Errorf("the feed holds %+v, %v, want %+v", counts, err, want)
				}
			})
		}
	}
}

package thoonk_test

import (
	"testing"

	"pushglue/glue/gluetest/service"
	"pushglue/glue/thoonk"
)

// A script that fails takes nothing back of what it has done.
func TestAClaimThatFailsLosesNothing(t *testing.T) {
	rdb := service.StartRedis(t).Client(t)
	feed, err := thoonk.NewFeed(rdb, "f", thoonk.ThoonkPy)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := feed.Put(t.Context(), [][]byte{{'1'}, {'2'}, {'3'}}, thoonk.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"feed.stalled:f", "feed.cancelled:f", "feed.claimed:f"} {
		if err := rdb.Set(t.Context(), key, "x", 0).Err(); err != nil {
			t.Fatal(err)
		}
		if jobs, err := feed.Claim(t.Context(), 2); err == nil {
			t.Errorf("with a text under %s, %d jobs were claimed", key, len(jobs))
		}
		if err := rdb.Del(t.Context(), key).Err(); err != nil {
			t.Fatal(err)
		}
	}
	jobs, err := feed.Claim(t.Context(), 10)
	if err != nil || len(jobs) != 3 || string(jobs[0].Payload) != "1" {
		t.Errorf("%d jobs are left, %v", len(jobs), err)
	}
}

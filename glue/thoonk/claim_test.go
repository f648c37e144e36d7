package thoonk_test

import (
	"testing"

	"github.com/redis/go-redis/v9"

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

// TestAClusterRepeatsNoClaim loses the answer to a claim within the cluster's client.
func TestAClusterRepeatsNoClaim(t *testing.T) {
	t.Parallel()
	rdb, is := open(t, startCluster(t).URL()+"?cluster=true").(*redis.ClusterClient)
	if !is {
		t.Fatal("the client is not a cluster's")
	}
	claims := &lossyHook{keys: "7", first: "feed.ids:{f}"}
	rdb.OnNewNode(func(node *redis.Client) { node.AddHook(claims) })
	feed, err := thoonk.NewFeed(rdb, "{f}", thoonk.ThoonkPy)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := feed.Put(t.Context(), make([][]byte, 4), thoonk.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	if jobs, err := feed.Claim(t.Context(), 1); err != nil || len(jobs) != 1 { // so that the node knows the script
		t.Fatalf("claimed %d jobs, %v", len(jobs), err)
	}
	claims.losing.Store(true)
	if jobs, err := feed.Claim(t.Context(), 1); err == nil {
		t.Errorf("a claim without an answer gave %d jobs and no error", len(jobs))
	}
	counts, err := feed.Counts(t.Context())
	if err != nil || counts.Claimed != 2 || claims.lost.Load() != 1 {
		t.Errorf("%d answers were lost, and the feed holds %+v, %v", claims.lost.Load(), counts, err)
	}
}

package thoonk

import (
	"testing"

	"github.com/alicebob/miniredis/v2"

	"pushglue/glue"
)

// TestClaimsAreForgotten looks for a leak: a daemon settles millions of jobs.
func TestClaimsAreForgotten(t *testing.T) {
	rdb, err := Open("redis://" + miniredis.RunT(t).Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer rdb.Close()
	feed, err := NewFeed(rdb, "comments", ThoonkPy)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := feed.Put(t.Context(), make([][]byte, 4), PutOptions{}); err != nil {
		t.Fatal(err)
	}
	jobs, err := feed.Claim(t.Context(), 4)
	if err != nil {
		t.Fatal(err)
	}
	if len(feed.held()) != 4 {
		t.Errorf("%d claims are known, want 4", len(feed.held()))
	}
	for i, v := range []glue.Verdict{glue.Finish, glue.Cancel, glue.Stall, glue.Release} {
		if err := feed.Settle(t.Context(), []glue.Settlement{{JobID: jobs[i].ID, Claim: jobs[i].Claim, Verdict: v}}); err != nil {
			t.Fatal(err)
		}
		if len(feed.held()) != 3-i {
			t.Errorf("%d claims are known, want %d", len(feed.held()), 3-i)
		}
	}
	if len(feed.leases) != 0 {
		t.Errorf("%d leases of settled jobs are known", len(feed.leases))
	}
}

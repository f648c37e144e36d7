package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pushglue/glue/gluetest/conform"
	"pushglue/glue/thoonk"
)

func TestJobsRetry(t *testing.T) {
	dialects(t, func(o *operator) {
		ids := o.put("1", "2", "3", "4", "5")
		o.claim(4)
		o.worker.Stall(ids[0])
		o.worker.Stall(ids[1])
		o.worker.Stall(ids[2])
		o.want(1, "retried 2 jobs\n", fmt.Sprintf("pushglue: job %s is claimed, not stalled\njob %s is queued, not stalled\njob x: no such job\n", ids[3], ids[4]),
			"retry", ids[0], ids[3], ids[1], ids[4], ids[0], "x")
		o.wantCounts(thoonk.Counts{Queued: 3, Claimed: 1, Stalled: 1, Put: 5})
		r := o.change(1, "retry", ids[2], ids[0], "x")
		if r.Feed != "f" || r.Command != "retry" || r.Changed != 1 || !r.Complete || len(r.Refused) != 2 {
			o.t.Errorf("retry gives %+v", r)
		}
		if a, b := r.Refused[0], r.Refused[1]; a.ID != ids[0] || *a.State != "queued" || b.ID != "x" || b.State != nil {
			o.t.Errorf("refused are %+v", r.Refused)
		}
		o.want(0, "retried 0 jobs\n", "", "retry", "--all", "--yes")
		o.claim(4)
		for _, id := range ids {
			o.worker.Stall(id)
		}
		o.want(0, "retried 5 jobs\n", "", "retry", "--all", "--yes")
		o.wantCounts(thoonk.Counts{Queued: 5, Put: 5})
	})
}

func TestJobsCancel(t *testing.T) {
	dialects(t, func(o *operator) {
		ids := o.put("1", "2", "3", "4", "5", "6")
		o.claim(5)
		o.worker.Stall(ids[0])
		o.want(1, "cancelled 1 job\n", fmt.Sprintf("pushglue: job %s is stalled, not claimed\njob %s is queued, not claimed\n", ids[0], ids[5]),
			"cancel", ids[0], ids[1], ids[5])
		o.wantCounts(thoonk.Counts{Queued: 2, Claimed: 3, Stalled: 1, Cancelled: 1, Put: 6})
		o.want(0, "cancelled 0 jobs\n", "", "cancel", "--all", "--older", "1h", "--yes")

		// One worker is dead for long.
		o.age("claimed", 120, ids[3])
		o.want(0, "cancelled 1 job\n", "", "cancel", "--all", "--older", "1h", "--yes")
		if l := o.list("queued"); !slices.Equal(l.ids(), []string{ids[5], ids[1], ids[3]}) {
			o.t.Errorf("queued are %q", l.ids())
		}
		if r := o.change(0, "cancel", "--all", "--yes"); r.Changed != 2 || r.Command != "cancel" || r.Refused == nil || !r.Complete {
			o.t.Errorf("cancel gives %+v", r)
		}
		o.wantCounts(thoonk.Counts{Queued: 5, Stalled: 1, Cancelled: 4, Put: 6})
	})
}

func TestJobsRetract(t *testing.T) {
	dialects(t, func(o *operator) {
		ids := o.put("1", "2", "3", "4", "5", "6", "7", "8", "9")
		o.claim(6)
		o.worker.Stall(ids[0])
		o.worker.Stall(ids[1])
		o.worker.Cancel(ids[5])
		o.want(1, "retracted 3 jobs\n", "pushglue: job x: no such job\n", "retract", ids[0], ids[2], ids[8], "x")
		o.wantCounts(thoonk.Counts{Queued: 3, Claimed: 2, Stalled: 1, Cancelled: 1, Put: 9})
		o.want(0, "retracted 1 job\n", "", "retract", "--all", "--state", "stalled", "--yes")
		o.want(0, "retracted 2 jobs\n", "", "retract", "--all", "--state", "claimed", "--yes")
		if r := o.change(0, "retract", "--all", "--state", "queued", "--yes"); r.Changed != 3 || r.Command != "retract" {
			o.t.Errorf("retract gives %+v", r)
		}
		conform.OnlyCounters(o.t, o.rdb, o.dialect, "f")
	})
}

// TestJobsMany has --all go through many pages, beside a producer that never stops.
func TestJobsMany(t *testing.T) {
	o := newOperator(t, thoonk.ThoonkPy)
	const total = 12_000
	fill := func() {
		t.Helper()
		if _, err := o.feed.Put(t.Context(), make([][]byte, total), thoonk.PutOptions{}); err != nil {
			t.Fatal(err)
		}
		if jobs, err := o.feed.Claim(t.Context(), total); err != nil || len(jobs) != total {
			t.Fatal(err)
		}
	}
	fill()
	o.want(0, "cancelled 12,000 jobs\n", "", "cancel", "--all", "--yes")
	if _, err := o.feed.Purge(t.Context(), thoonk.Queued, time.Now(), total); err != nil {
		t.Fatal(err)
	}
	fill()
	if err := o.rdb.Rename(t.Context(), "feed.claimed:f", "claims").Err(); err != nil {
		t.Fatal(err)
	}
	for _, id := range o.rdb.ZRange(t.Context(), "claims", 0, -1).Val() {
		if err := o.rdb.SAdd(t.Context(), "feed.stalled:f", id).Err(); err != nil {
			t.Fatal(err)
		}
	}
	o.want(0, "retried 12,000 jobs\n", "", "retry", "--all", "--yes")

	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
				if _, err := o.feed.Put(t.Context(), make([][]byte, 1000), thoonk.PutOptions{}); err != nil {
					t.Error(err)
					return
				}
			}
		}
	}()
	r := o.change(0, "retract", "--all", "--state", "queued", "--yes")
	close(stop)
	<-stopped
	if r.Changed < total || !r.Complete {
		t.Errorf("retract gives %+v", r)
	}
}

// TestJobsProgress has pages that take 600 ms each: a word about them comes once a second.
func TestJobsProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var progress strings.Builder
		c := changing{change: change{past: "retried"}, progress: &progress}
		steps := rounds(5000, func(limit int) ([]string, error) {
			time.Sleep(600 * time.Millisecond)
			return make([]string, limit), nil
		})
		if err := c.work(t.Context(), steps, 5000); err != nil {
			t.Error(err)
		}
		if got := progress.String(); got != "retried 2,000 jobs so far\nretried 4,000 jobs so far\n" {
			t.Errorf("got\n%s", got)
		}
	})
}

// TestJobsSignalledAtTheEnd has a signal come while the last page is changed: all was done.
func TestJobsSignalledAtTheEnd(t *testing.T) {
	signalled, signal := context.WithCancel(t.Context())
	c := changing{change: change{past: "retried"}}
	pages := 0
	// Others were faster with some of the jobs.
	steps := rounds(3000, func(int) ([]string, error) {
		if pages++; pages == 3 {
			signal()
		}
		return make([]string, 900), nil
	})
	if err := c.work(signalled, steps, 3000); err != nil || c.done != 2700 {
		t.Errorf("%d jobs, %v", c.done, err)
	}
	// What went back to the feed, and was changed twice, hides no signal.
	if err := c.work(signalled, steps, 3000); err == nil || err.Error() != "interrupted; retried 2,700 of 3,000 jobs" {
		t.Errorf("error is %v", err)
	}
}

// TestJobsRetryLost brings back what thoonk.py has lost, and leaves what is far down the queue.
func TestJobsRetryLost(t *testing.T) {
	dialects(t, func(o *operator) {
		ids, err := o.feed.Put(o.t.Context(), make([][]byte, 11_000), thoonk.PutOptions{})
		if err != nil {
			o.t.Fatal(err)
		}
		lost := o.worker.Pop()
		o.claim(2)
		o.worker.Stall(ids[1])
		queued := ids[len(ids)-1]
		o.want(1, "retried 2 jobs\n", fmt.Sprintf("pushglue: job %s is queued, not stalled\njob %s is claimed, not stalled\njob x: no such job\n", queued, ids[2]),
			"retry", queued, lost, ids[2], ids[1], "x")
		want := slices.Concat([]string{lost}, ids[3:], ids[1:2])
		if l := o.list("queued", "--limit", "0"); !slices.Equal(l.ids(), want) {
			o.t.Errorf("%d jobs are queued, want %d, the lost one first", l.Listed, len(want))
		}
	})
}

// TestJobsCancelAhead has a worker whose clock is ahead of Redis's.
func TestJobsCancelAhead(t *testing.T) {
	dialects(t, func(o *operator) {
		ids := o.put("1", "2")
		o.claim(2)
		o.age("claimed", -60, ids[0])
		o.want(0, "cancelled 1 job\n", "", "cancel", "--all", "--older", "0s", "--yes")
		o.want(0, "cancelled 1 job\n", "", "cancel", "--all", "--yes")
		o.wantCounts(thoonk.Counts{Queued: 2, Cancelled: 2, Put: 2})
	})
}

func TestJobsRetractOfAState(t *testing.T) {
	dialects(t, func(o *operator) {
		ids := o.put("stalled", "claimed", "queued")
		o.claim(2)
		o.worker.Stall(ids[0])
		o.want(1, "retracted 1 job\n", fmt.Sprintf("pushglue: job %s is stalled, not claimed\njob %s is queued, not claimed\n", ids[0], ids[2]),
			"retract", ids[0], ids[1], ids[2], "--state", "claimed")
		o.wantCounts(thoonk.Counts{Queued: 1, Stalled: 1, Put: 3})
	})
}

// TestJobsJSONIsPrintable has what would move a terminal's cursor or turn its text in an id and a
// payload: JSON escapes it, and says the same.
func TestJobsJSONIsPrintable(t *testing.T) {
	o := newOperator(t, thoonk.ThoonkPy)
	const text = "\u009b2J\u007f\u202e\U000e0041ä<"
	const escaped = `\u009b2J\u007f\u202e\udb40\udc41ä\u003c`
	if err := o.rdb.HSet(t.Context(), "feed.items:f", text, text).Err(); err != nil {
		t.Fatal(err)
	}
	o.age("published", 1, text)
	for _, args := range [][]string{{"list", "queued", "--older", "0s"}, {"show", text}, {"retry", text}, {"cancel", text}} {
		_, stdout, _ := o.run(append(args, "--json")...)
		if strings.ContainsAny(stdout, "\u009b\u007f\u202e\U000e0041") || args[0] != "retry" && !strings.Contains(stdout, escaped) {
			t.Errorf("%q: got\n%q", args, stdout)
		}
	}
	var r jobReport
	o.decode(&r, 0, "show", text)
	if r.ID != text || *r.Payload != text {
		t.Errorf("got %q, %q", r.ID, *r.Payload)
	}
}

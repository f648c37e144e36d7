package main

import (
	"fmt"
	"iter"
	"os"
	"os/exec"
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
	if _, err := o.feed.Purge(t.Context(), thoonk.Queued, total); err != nil {
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

// TestJobsInterrupted signals a retract in its first page: it brings that to its end and says so.
func TestJobsInterrupted(t *testing.T) {
	o := newOperator(t, thoonk.ThoonkPy)
	if _, err := o.feed.Put(t.Context(), make([][]byte, 30_000), thoonk.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	// Redis holds back what writes until it is told to go on.
	if err := o.rdb.Do(t.Context(), "CLIENT", "PAUSE", patience.Milliseconds(), "WRITE").Err(); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0], "jobs", "f", "retract", "--all", "--state", "queued", "--yes")
	cmd.Env = append(slices.Clone(o.env), "PUSHGLUE_REDIS_URL=redis://"+o.rdb.Options().Addr+"?read_timeout=60s")
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the first page waits", func() bool {
		return strings.Contains(o.rdb.ClientList(t.Context()).Val(), "flags=b")
	})
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the signal has arrived", func() bool {
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", cmd.Process.Pid))
		return err != nil || strings.Contains(string(status), "\nShdPnd:\t0000000000000000\n")
	})
	if err := o.rdb.Do(t.Context(), "CLIENT", "UNPAUSE").Err(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // its exit code is looked at
	if code := cmd.ProcessState.ExitCode(); code != 1 {
		t.Errorf("exit code %d", code)
	}
	counts, err := o.feed.Counts(t.Context())
	done := 30_000 - int(counts.Queued)
	if err != nil || done == 0 || done == 30_000 {
		t.Errorf("%d jobs were retracted, %v", done, err)
	}
	if want := fmt.Sprintf("pushglue: interrupted; retracted %s of 30,000 jobs\n", thousands(done)); stderr.String() != want || stdout.String() != "retracted "+jobCount(done)+"\n" {
		t.Errorf("got\n%s%swant %s", stdout.String(), stderr.String(), want)
	}
}

// TestJobsProgress has pages that take 600 ms each: a word about them comes once a second.
func TestJobsProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var progress strings.Builder
		c := changing{change: change{past: "retried"}, progress: &progress}
		var pages iter.Seq2[[]string, error] = func(yield func([]string, error) bool) {
			for range 5 {
				time.Sleep(600 * time.Millisecond)
				if !yield(make([]string, 1000), nil) {
					return
				}
			}
		}
		if err := c.work(t.Context(), pages, 5000); err != nil {
			t.Error(err)
		}
		if got := progress.String(); got != "retried 2,000 jobs so far\nretried 4,000 jobs so far\n" {
			t.Errorf("got\n%s", got)
		}
	})
}

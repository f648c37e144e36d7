package main

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"pushglue/glue/gluetest/conform"
	"pushglue/glue/thoonk"
)

// thoonkWorkers are workers of thoonk.py that fail in all ways they know.
type thoonkWorkers struct {
	worker  conform.RawWorker
	healthy atomic.Bool // from now on they finish what they get
	stop    atomic.Bool
	wg      sync.WaitGroup

	mu       sync.Mutex
	n        int
	finished map[string]bool
	finishes int      // with those of jobs that were retracted between the two halves of the claim
	lost     []string // popped, and never claimed
}

func (w *thoonkWorkers) work() {
	for !w.stop.Load() {
		if id := w.worker.Pop(); id != "" {
			w.do(id)
		}
	}
}

// do does what a worker does with a job that it has popped, with each one something else.
func (w *thoonkWorkers) do(id string) {
	w.mu.Lock()
	w.n++
	n := w.n
	if w.healthy.Load() {
		n = 0
	}
	if n%100 == 99 { // the worker dies here, and its job is in no state
		w.lost = append(w.lost, id)
	}
	w.mu.Unlock()
	if n%100 == 99 {
		return
	}
	_, found := w.worker.Take(id)
	switch {
	case !found:
		if w.worker.Finish(id) {
			w.mu.Lock()
			w.finishes++
			w.mu.Unlock()
		}
	case n%100 == 49: // the worker dies here, and its claim stands
	case n%10 == 3:
		w.worker.Stall(id)
	case n%10 == 5:
		w.worker.Cancel(id)
	default:
		if w.worker.Finish(id) {
			w.mu.Lock()
			w.finished[id] = true
			w.finishes++
			w.mu.Unlock()
		}
	}
}

// TestJobsBesideAThoonkWorker has an operator use every command again and again while workers of
// thoonk.py work on the feed. In the end each job was finished or retracted.
func TestJobsBesideAThoonkWorker(t *testing.T) {
	o := newOperator(t, thoonk.ThoonkPy)
	payloads := slices.Repeat([]string{`{"id":"secret"}`}, 2000)
	ids := o.put(payloads...)
	w := &thoonkWorkers{worker: o.worker, finished: map[string]bool{}}
	for range 2 {
		w.wg.Go(w.work)
	}
	defer w.wg.Wait()
	defer w.stop.Store(true)

	retracted := map[string]bool{}
	for range 10 {
		o.operate(retracted)
		ids = append(ids, o.put(payloads[:300]...)...)
	}

	// The operator cleans up: dead workers' claims, what is stalled, and what is lost.
	w.healthy.Store(true)
	w.mu.Lock()
	lost := slices.Clone(w.lost)
	w.mu.Unlock()
	eventually(t, "all jobs are done but those that are lost", func() bool {
		o.change(0, "cancel", "--all", "--older", "50ms", "--yes")
		o.change(0, "retry", "--all", "--yes")
		counts, err := o.feed.Counts(t.Context())
		return err == nil && counts.Queued+counts.Claimed+counts.Stalled == 0
	})
	w.stop.Store(true)
	w.wg.Wait()
	l := o.list("queued", "--older", "0s", "--limit", "0")
	for _, id := range l.ids() {
		if !slices.Contains(lost, id) {
			t.Errorf("job %s is on no list, and no worker has lost it", id)
		}
	}
	o.retract(retracted, l.ids())

	for _, id := range ids {
		if !w.finished[id] && !retracted[id] {
			t.Errorf("job %s was neither finished nor retracted", id)
		}
	}
	conform.OnlyCounters(t, o.rdb, o.dialect, "f")
	o.wantCounts(thoonk.Counts{Put: int64(len(ids)), Finished: int64(w.finishes)})
	t.Logf("%d finished, %d retracted, %d were lost on the way", len(w.finished), len(retracted), len(lost))
	if len(w.finished) == 0 || len(retracted) == 0 || len(lost) == 0 {
		t.Error("this was no test")
	}
}

// operate runs every command once. None fails because the workers go on meanwhile.
func (o *operator) operate(retracted map[string]bool) {
	o.t.Helper()
	stalled := o.list("stalled", "--limit", "40")
	queued := o.list("queued", "--limit", "5")
	old := o.list("queued", "--older", "1ms", "--limit", "20")
	claimed := o.list("claimed", "--limit", "0")
	for _, state := range []string{"queued", "claimed", "stalled"} {
		if code, stdout, stderr := o.run("list", state); code != 0 || stderr != "" || strings.Contains(stdout, "secret") {
			o.t.Errorf("list %s: exit code %d\n%s%s", state, code, stdout, stderr)
		}
	}
	for _, id := range slices.Concat(queued.ids(), claimed.ids())[:min(2, len(queued.Jobs)+len(claimed.Jobs))] {
		code, stdout, stderr := o.run("show", id)
		gone := fmt.Sprintf("pushglue: job %q of feed \"f\": no such job\n", id)
		if (code != 0 || !strings.Contains(stdout, "secret")) && (code != 1 || stderr != gone) {
			o.t.Errorf("show: exit code %d\n%s%s", code, stdout, stderr)
		}
	}
	o.accepts("retry", stalled.ids()[:len(stalled.Jobs)/2])
	o.accepts("cancel", claimed.ids())
	half := stalled.ids()[len(stalled.Jobs)/2:]
	o.retract(retracted, slices.Concat(half, queued.ids(), old.ids()[:len(old.Jobs)/2], claimed.ids()[:len(claimed.Jobs)/2]))
	o.change(0, "cancel", "--all", "--older", "20ms", "--yes")
	o.decode(new(feedReport), 0, "--over", "1ms")
}

// accepts runs a command on jobs, some of which others may have changed before.
func (o *operator) accepts(verb string, ids []string) {
	o.t.Helper()
	if len(ids) == 0 {
		return
	}
	code, stdout, stderr := o.run(append([]string{verb}, ids...)...)
	if code > 1 || !regexp.MustCompile(`^(retried|cancelled) \d+ jobs?\n$`).MatchString(stdout) || (code == 0) != (stderr == "") {
		o.t.Errorf("%s: exit code %d\n%s%s", verb, code, stdout, stderr)
	}
}

// retract retracts jobs and notes those that existed.
func (o *operator) retract(retracted map[string]bool, ids []string) {
	o.t.Helper()
	if len(ids) == 0 {
		return
	}
	var r changeReport
	code, stderr := o.read(&r, append([]string{"retract"}, ids...)...)
	if !r.Complete || code != min(1, len(r.Refused)) {
		o.t.Fatalf("retract: exit code %d, %+v\n%s", code, r, stderr)
	}
	for _, id := range ids {
		if !slices.ContainsFunc(r.Refused, func(f refusal) bool { return f.ID == id }) {
			retracted[id] = true
		}
	}
}

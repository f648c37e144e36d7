package faults

import (
	"encoding/json"
	"sync"
	"testing"

	"pushglue/glue/gluetest/conform"
	"pushglue/glue/thoonk"
)

// rawWorker is a worker of another program, as thoonk.py has it. It does nothing with its jobs but finish them,
// and dies now and then: between the two halves of a claim, when its job is in no state, or with the claim.
type rawWorker struct {
	r      *round
	worker conform.RawWorker
	stop   chan struct{}
	wg     sync.WaitGroup

	finished []string // payloads
	deaths   int
	held     int // claims with which it died
}

func startRawWorker(r *round, feed string) *rawWorker {
	w := &rawWorker{r: r, worker: conform.NewRawWorker(r.T, r.rdb, thoonk.ThoonkPy, feed), stop: make(chan struct{})}
	w.wg.Go(w.work)
	return w
}

func (w *rawWorker) work() {
	for n := 1; ; n++ {
		select {
		case <-w.stop:
			return
		default:
		}
		id := w.worker.Pop()
		if id == "" {
			continue
		}
		if n%20 == 0 {
			w.deaths++
			continue
		}
		payload, found := w.worker.Take(id)
		if n%20 == 10 {
			w.held++
			continue
		}
		if found && w.worker.Finish(id) {
			w.finished = append(w.finished, payload)
		}
	}
}

// end ends the worker. Readers need not get what it has finished.
func (w *rawWorker) end() {
	close(w.stop)
	w.wg.Wait()
	for _, payload := range w.finished {
		var message struct{ ID string }
		if err := json.Unmarshal([]byte(payload), &message); err != nil {
			w.r.Error(err)
		}
		w.r.excused[message.ID] = true
	}
	if len(w.finished) == 0 || w.deaths == 0 || w.held == 0 {
		w.r.Errorf("the other worker has finished %d jobs, died %d times, and with a claim %d times", len(w.finished), w.deaths, w.held)
	}
}

// TestWorkers has two daemons and a worker of another program on one feed.
func TestWorkers(t *testing.T) {
	t.Parallel()
	run(t, func() scenario {
		return scenario{
			name: "workers compete", crash: true, settings: []string{"LEASE_OTHERS=2s"},
			fault: func(r *round) {
				r.anyOrder = true
				r.startDaemon()
				raw := startRawWorker(r, feeds[0])
				for range r.times(2, 10) {
					r.progress(300 + r.rng.IntN(1000))
					r.killDaemon()
					r.progress(100 + r.rng.IntN(300))
					r.startDaemon()
				}
				r.progress(500)
				raw.end()
			},
		}
	})
}

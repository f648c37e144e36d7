package main

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"sync"
	"time"

	"pushglue/glue"
	"pushglue/glue/thoonk"
)

// vigil waits for the outcomes of jobs that are being put.
type vigil struct {
	feed    *thoonk.Feed
	results *thoonk.Results
	cancel  context.CancelFunc
	done    chan struct{} // closed when nobody reads results any more

	mu      sync.Mutex
	jobs    []string          // in the order in which they were put
	open    map[string]bool   // those of which nothing is known yet
	told    map[string]string // id -> result, also of jobs of others
	changed chan struct{}     // holds something when told has grown
}

// What vigil says of jobs, besides what a glue.Outcome does.
const (
	outcomeStalled = "stalled"
	outcomeResult  = "finished" // by another worker, with a result that is none of ours
	outcomeGone    = "gone"     // finished without a result, or retracted
	outcomeOpen    = "open"     // not done in time
)

// startVigil subscribes to results. From then on add takes jobs.
func startVigil(ctx context.Context, feed *thoonk.Feed) (*vigil, error) {
	results, err := feed.Results(ctx)
	if err != nil {
		return nil, err
	}
	v := &vigil{feed: feed, results: results, open: map[string]bool{}, told: map[string]string{}, done: make(chan struct{}), changed: make(chan struct{}, 1)}
	ctx, v.cancel = context.WithCancel(ctx)
	go v.listen(ctx)
	return v, nil
}

func (v *vigil) end() {
	v.cancel()
	v.results.Close()
	<-v.done
}

func (v *vigil) listen(ctx context.Context) {
	defer close(v.done)
	for ctx.Err() == nil {
		result, err := v.results.Next(ctx)
		if err != nil {
			glue.Sleep(ctx, listenPause) // it connects again; what is missed meanwhile, look finds out
			continue
		}
		v.mu.Lock()
		v.told[result.JobID] = result.Text
		delete(v.open, result.JobID)
		v.mu.Unlock()
		select {
		case v.changed <- struct{}{}:
		default:
		}
	}
}

// add notes jobs to wait for. A result may have come before.
func (v *vigil) add(ids []string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, id := range ids {
		if id == "" {
			continue
		}
		v.jobs = append(v.jobs, id)
		if _, told := v.told[id]; !told {
			v.open[id] = true
		}
	}
}

const (
	lookInterval = time.Second            // how often the feed is asked for jobs that nobody tells about
	listenPause  = 100 * time.Millisecond // after the connection for results broke
)

// await waits until all jobs are done or the time is over, and reports what became of them.
func (v *vigil) await(ctx context.Context, limit time.Duration) *vigilReport {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	look := time.NewTicker(lookInterval)
	defer look.Stop()
	seen := map[string]sighting{} // stalled and gone jobs
	missing := map[string]bool{}
	for ctx.Err() == nil && v.waits() {
		select {
		case <-v.changed:
		case <-look.C:
			v.look(ctx, seen, missing)
		case <-ctx.Done():
		}
	}
	return v.report(seen)
}

// sighting is what the feed shows of a job that is done without a result.
type sighting struct {
	outcome string       // outcomeStalled or outcomeGone
	reason  *glue.Reason // why it is stalled, if that is known
}

// waits reports whether there are jobs of which nothing is known yet.
func (v *vigil) waits() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return len(v.open) > 0
}

// look asks the feed for the jobs that are open, and notes those that are done in seen. One that is missing for the first
// time may just have finished: its result may be on its way.
func (v *vigil) look(ctx context.Context, seen map[string]sighting, missing map[string]bool) {
	v.mu.Lock()
	open := slices.Collect(maps.Keys(v.open))
	v.mu.Unlock()
	entries, err := v.feed.Describe(ctx, open...)
	if err != nil {
		return // Redis is away; it is asked again
	}
	found := map[string]bool{}
	for _, entry := range entries {
		found[entry.ID] = true
		if entry.State == thoonk.Stalled {
			seen[entry.ID] = sighting{outcomeStalled, entry.Reason}
		}
	}
	for _, id := range open {
		switch {
		case found[id]:
		case missing[id]:
			seen[id] = sighting{outcome: outcomeGone}
		default:
			missing[id] = true
		}
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	for id := range seen {
		delete(v.open, id)
	}
}

// jobOutcome is what became of one job.
type jobOutcome struct {
	Job string `json:"job"`
	glue.Outcome
	Result string       `json:"result,omitempty"` // of another worker
	Reason *glue.Reason `json:"reason,omitempty"` // why it is stalled
}

func (v *vigil) report(seen map[string]sighting) *vigilReport {
	v.mu.Lock()
	defer v.mu.Unlock()
	r := &vigilReport{Feed: v.feed.Name(), Put: len(v.jobs), Outcomes: map[string]int{}, Jobs: []jobOutcome{}}
	var times []float64
	for _, id := range v.jobs {
		o := jobOutcome{Job: id}
		text, told := v.told[id]
		switch {
		case told && (json.Unmarshal([]byte(text), &o.Outcome) != nil || o.Outcome.Outcome == ""):
			o.Outcome, o.Result = glue.Outcome{Outcome: outcomeResult}, text
		case told:
			times = append(times, o.MS)
		case seen[id].outcome != "":
			o.Outcome.Outcome, o.Reason = seen[id].outcome, seen[id].reason
		default:
			o.Outcome.Outcome = outcomeOpen
		}
		r.Outcomes[o.Outcome.Outcome]++
		r.Jobs = append(r.Jobs, o)
	}
	if len(times) > 0 {
		slices.Sort(times)
		r.P50, r.P99 = quantile(times, 0.5), quantile(times, 0.99)
	}
	return r
}

// quantile returns the least of sorted times that a share q of them does not exceed.
func quantile(sorted []float64, q float64) *float64 {
	i := min(int(q*float64(len(sorted))), len(sorted)-1)
	return &sorted[i]
}

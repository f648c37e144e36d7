package live

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"slices"
	"strconv"
	"sync"
	"time"

	"pushglue/glue"
	"pushglue/glue/metrics"
	"pushglue/glue/push"
	"pushglue/glue/thoonk"
)

// Times of a panel.
const (
	fresh   = 800 * time.Millisecond // how long a status is handed out: others ask Redis and the push hosts no more often, however many look
	recent  = time.Minute            // what spans are about
	askTime = 2 * time.Second        // for what Redis is asked
)

// Limits of what is told of stalled jobs of one feed.
const (
	mostStalled = 20
	mostLooked  = 500 // of which these are the newest
)

// Config is what a Panel shows.
type Config struct {
	Version   string
	Ledger    *glue.Ledger
	Feeds     []*thoonk.Feed
	Pipelines []glue.Pipeline
	Hosts     *push.Publisher  // nil for none
	Sampler   *metrics.Sampler // nil for none
	Log       *Log
	Changes   bool // see Status

	// The map of traffic.
	Counting *Counting
	Channel  string // where it is published; empty for nowhere
	Stream   string // the URL of that for browsers; empty if they read it in the Status
}

// Panel shows a daemon. It is safe for concurrent use.
type Panel struct {
	config  Config
	started time.Time
	daemon  string

	mu     sync.Mutex // while a status is made, too
	status Status
	past   []past // the oldest first
}

// past are the sums of a moment.
type past struct {
	at   time.Time
	sums glue.Sums
}

// New returns a Panel.
func New(c Config) *Panel {
	started := time.Now()
	return &Panel{config: c, started: started, daemon: rand.Text()[:8], past: []past{{at: started}}}
}

// Run tells every second which channels are hot, until ctx is done.
func (p *Panel) Run(ctx context.Context) {
	told := false
	for glue.Sleep(ctx, time.Second) {
		p.config.Counting.tick()
		hot := p.config.Counting.hot()
		if p.config.Channel == "" || p.config.Hosts == nil || len(hot) == 0 && !told {
			continue // also a standby, lest it speaks where another daemon does
		}
		p.tell(context.WithoutCancel(ctx), hot) // to break it off would cost jobs' messages their connection
		told = len(hot) > 0
	}
}

func (p *Panel) tell(ctx context.Context, hot []Hot) {
	body, _ := json.Marshal(Traffic{p.daemon, hot}) // of texts and numbers it cannot fail
	m := glue.NewMessage("traffic-"+p.daemon+"-"+strconv.FormatInt(time.Now().UnixMilli(), 10), body)
	m.Type, m.Channels = "traffic", []string{p.config.Channel}
	p.config.Hosts.Publish(ctx, []*glue.Message{m}, make([]error, 1)) // the next one comes in a second
}

// Status returns the daemon as it is now, or was a moment ago.
func (p *Panel) Status(ctx context.Context) Status {
	p.mu.Lock()
	defer p.mu.Unlock()
	if time.Since(p.status.At) > fresh {
		p.status = p.look(ctx)
	}
	return p.status
}

// look asks everybody at once. The caller holds p.mu.
func (p *Panel) look(ctx context.Context) Status {
	ctx = context.WithoutCancel(ctx) // others wait for the same answer
	s := Status{Version: p.config.Version, Started: p.started, Changes: p.config.Changes, Feeds: make([]Feed, len(p.config.Feeds)), Hosts: []Host{}}
	var asked sync.WaitGroup
	for i, feed := range p.config.Feeds {
		asked.Go(func() { s.Feeds[i] = p.askFeed(ctx, feed) })
	}
	var hosts []push.HostReport
	if p.config.Hosts != nil {
		hosts = p.config.Hosts.Survey(ctx)
	}
	asked.Wait()
	s.At = time.Now()
	sums := p.config.Ledger.Sums()
	s.Pipelines = sums.Pipelines
	for _, h := range hosts {
		s.Hosts = append(s.Hosts, Host{h, sums.Host(h.Name)})
	}
	before := p.before(s.At, sums)
	for i := range s.Feeds {
		f := &s.Feeds[i]
		f.Ledger = sums.Feed(f.Name)
		old := before.Feed(f.Name)
		f.Wait, f.Took = newSpan(f.Ledger.Waited.Since(old.Waited)), newSpan(f.Ledger.Took.Since(old.Took))
	}
	s.Discrepancies = []metrics.Discrepancy{}
	if p.config.Sampler != nil {
		s.Discrepancies = append(s.Discrepancies, p.config.Sampler.Discrepancies()...)
	}
	s.Log = p.config.Log.Lines()
	s.Traffic = Map{p.config.Stream, Traffic{p.daemon, p.config.Counting.hot()}}
	return s
}

// before returns the sums from which spans are counted, and keeps now's.
func (p *Panel) before(at time.Time, now glue.Sums) glue.Sums {
	for len(p.past) > 1 && at.Sub(p.past[1].at) >= recent {
		p.past = slices.Delete(p.past, 0, 1)
	}
	p.past = append(p.past, past{at, now})
	return p.past[0].sums
}

func newSpan(t glue.Times) Span {
	return Span{t.Count, t.Quantile(0.5).Seconds(), t.Quantile(0.99).Seconds()}
}

func (p *Panel) askFeed(ctx context.Context, feed *thoonk.Feed) Feed {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	f := Feed{Name: feed.Name(), Way: p.way(feed.Name()), StalledJobs: []Job{}}
	if err := f.ask(ctx, feed); err != nil {
		f.Error = err.Error()
	}
	return f
}

func (f *Feed) ask(ctx context.Context, feed *thoonk.Feed) error {
	counts, err := feed.Counts(ctx)
	if err != nil {
		return err
	}
	f.Queued, f.Claimed, f.Stalled, f.Lost, f.Put, f.Finished = counts.Queued, counts.Claimed, counts.Stalled, counts.Lost, counts.Put, counts.Finished
	oldest, err := feed.OldestAge(ctx)
	if err != nil {
		return err
	}
	f.OldestSeconds = oldest.Seconds()
	if f.Stalled > 0 {
		f.StalledJobs, err = stalledJobs(ctx, feed)
	}
	return err
}

// stalledJobs returns the newest stalled jobs of a feed. Those without a time are the oldest.
func stalledJobs(ctx context.Context, feed *thoonk.Feed) ([]Job, error) {
	var ids []string
	for page, err := range feed.Walk(ctx, thoonk.Stalled) {
		if err != nil {
			return []Job{}, err
		}
		if ids = append(ids, page...); len(ids) >= mostLooked {
			ids = ids[:mostLooked]
			break
		}
	}
	entries, err := feed.Describe(ctx, ids...)
	if err != nil {
		return []Job{}, err
	}
	entries = slices.DeleteFunc(entries, func(e thoonk.Entry) bool { return e.State != thoonk.Stalled })
	slices.SortFunc(entries, func(a, b thoonk.Entry) int {
		return cmp.Or(stalledAt(b).Compare(stalledAt(a)), cmp.Compare(a.ID, b.ID))
	})
	jobs := []Job{}
	for _, e := range entries[:min(len(entries), mostStalled)] {
		job := Job{ID: e.ID, Bytes: e.Size}
		if r := e.Reason; r != nil {
			job.Stalled, job.Pipeline, job.Host, job.Error, job.Attempts = &r.Time, r.Pipeline, r.Host, r.Error, r.Attempts
		}
		jobs = append(jobs, job)
	}
	return jobs, nil
}

func stalledAt(e thoonk.Entry) time.Time {
	if e.Reason == nil {
		return time.Time{}
	}
	return e.Reason.Time
}

// way returns the way from a feed.
func (p *Panel) way(feed string) Way {
	var pipelines []*glue.Pipeline
	for i := range p.config.Pipelines {
		if p.config.Pipelines[i].Feed == feed {
			pipelines = append(pipelines, &p.config.Pipelines[i])
		}
	}
	return newWay(pipelines, glue.BranchesOf(pipelines))
}

func newWay(pipelines []*glue.Pipeline, b glue.Branch) Way {
	first := pipelines[b.Pipelines[0]]
	w := Way{Stages: []Place{}}
	for i, s := range b.Stages {
		w.Stages = append(w.Stages, Place{Name: s.Name, Pipeline: first.Name, Stage: b.First + i})
	}
	if len(b.Branches) == 0 {
		w.Publisher = &Place{Name: first.Target, Pipeline: first.Name, Stage: len(first.Stages), Shadow: first.Shadow}
		return w
	}
	for _, branch := range b.Branches {
		w.Branches = append(w.Branches, newWay(pipelines, branch))
	}
	return w
}

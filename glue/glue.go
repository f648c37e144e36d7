package glue

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"
)

// ErrAborted is what Run returns after Abort.
var ErrAborted = errors.New("aborted")

// Config is what a Glue is made of. The zero value of a number selects its default.
type Config struct {
	Feeds     []Feed
	Pipelines []Pipeline
	Ledger    *Ledger // where to count; nil for one of its own
	Traces    *Traces // nil keeps none
	Log       zerolog.Logger

	Batch       int           // most jobs of one claim; default 256
	InFlight    int           // most jobs of one feed in this process; at least 4 batches, which is the default
	RetryBudget time.Duration // how long a job that failed for now is retried before it is cancelled; default 5s
	Attempts    int           // times a job is tried before it is stalled; default 5
	Drain       time.Duration // how long Run goes on publishing what is claimed when it is told to stop; default 10s

	// Flush, unless it is nil, is called when all jobs are settled and nothing is published any more, while the feeds are
	// still kept: where another daemon stands by, it publishes nothing before Flush returns. It has publishers hand over
	// what they hold, until its context is done, which is when the drain time is over or after Abort. They send nothing
	// after it.
	Flush func(context.Context)
}

// Glue is the engine: it moves jobs from feeds through pipelines to publishers.
type Glue struct {
	lines []*line
	drain time.Duration
	flush func(context.Context)

	abort     context.Context
	abortWith context.CancelCauseFunc
}

// errDrained ends publishing when the time to drain is over. It is no failure of Run.
var errDrained = errors.New("drain time is over")

// New returns a Glue that does nothing yet. It fails when feeds and pipelines do not fit.
func New(c Config) (*Glue, error) {
	c = c.withDefaults()
	if c.InFlight < 4*c.Batch {
		return nil, fmt.Errorf("jobs in flight (%d) must be at least 4 batches of %d", c.InFlight, c.Batch)
	}
	g := &Glue{drain: c.Drain, flush: c.Flush}
	g.abort, g.abortWith = context.WithCancelCause(context.Background())
	seen := map[string]bool{}
	for i := range c.Pipelines {
		p := &c.Pipelines[i]
		if seen[p.Name] {
			return nil, fmt.Errorf("two pipelines are called %s", p.Name)
		}
		seen[p.Name] = true
		c.Ledger.AddPipeline(newPipelineSums(p))
		if !slices.ContainsFunc(c.Feeds, func(f Feed) bool { return f.Name() == p.Feed }) {
			return nil, fmt.Errorf("pipeline %s has no feed %s", p.Name, p.Feed)
		}
	}
	for i, feed := range c.Feeds {
		if slices.ContainsFunc(c.Feeds[:i], func(f Feed) bool { return f.Name() == feed.Name() }) {
			return nil, fmt.Errorf("feed %s is given twice", feed.Name())
		}
		l, err := newLine(c, feed)
		if err != nil {
			return nil, err
		}
		g.lines = append(g.lines, l)
	}
	return g, nil
}

func (c Config) withDefaults() Config {
	if c.Ledger == nil {
		c.Ledger = new(Ledger)
	}
	if c.Traces == nil {
		c.Traces = NewTraces(TraceConfig{Keep: KeepNone})
	}
	c.Batch = orDefault(c.Batch, 256)
	c.InFlight = orDefault(c.InFlight, 4*c.Batch)
	c.Attempts = orDefault(c.Attempts, 5)
	c.RetryBudget = orDefault(c.RetryBudget, 5*time.Second)
	c.Drain = orDefault(c.Drain, 10*time.Second)
	if c.Flush == nil {
		c.Flush = func(context.Context) {}
	}
	return c
}

func orDefault[T comparable](v, def T) T {
	if v == *new(T) {
		return def
	}
	return v
}

func newLine(c Config, feed Feed) (*line, error) {
	log := c.Log.With().Str("feed", feed.Name()).Logger()
	repeats := newRepeats(log)
	var pipelines []*Pipeline
	var shadows []*shadow
	for i := range c.Pipelines {
		switch p := &c.Pipelines[i]; {
		case p.Feed != feed.Name():
		case p.Shadow:
			shadows = append(shadows, &shadow{newTransformer([]*Pipeline{p}, c.Ledger, repeats), semaphore.NewWeighted(1)})
		default:
			pipelines = append(pipelines, p)
		}
	}
	if len(pipelines) == 0 {
		return nil, fmt.Errorf("feed %s has no pipeline that is not a shadow: its jobs would be finished by nobody", feed.Name())
	}
	window, err := windowOf(pipelines)
	if err != nil {
		return nil, err
	}
	c.Ledger.AddFeed(FeedSums{Name: feed.Name()})
	works := newWorks(feed.Name())
	return &line{
		nozzle: &nozzle{
			feed: feed, limit: c.Batch, ledger: c.Ledger, works: works, traces: c.Traces, log: log,
			room: semaphore.NewWeighted(int64(c.InFlight)),
		},
		transformer: newTransformer(pipelines, c.Ledger, repeats),
		works:       works,
		shadows:     shadows,
		ledger:      c.Ledger,
		log:         log,
		repeats:     repeats,
		attempts:    c.Attempts,
		budget:      c.RetryBudget,
		window:      window,
		gathered:    c.InFlight / 2,
		// A batch that was gathered may hold half of what is in flight, and one claim more.
		retryRoom: semaphore.NewWeighted(int64(c.InFlight/2 + c.Batch)),
	}, nil
}

// Run works until ctx is done. Then it claims no more, publishes and settles what it has within
// the drain time, gives the rest back to the feeds uncounted, flushes, and returns nil. It returns
// ErrAborted after Abort, and an error when jobs could not be settled. Run can be called once.
func (g *Glue) Run(ctx context.Context) error {
	defer g.abortWith(nil)
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	defer context.AfterFunc(g.abort, stop)()
	stopDraining := context.AfterFunc(ctx, func() {
		if Sleep(g.abort, g.drain) {
			g.abortWith(errDrained)
		}
	})
	defer stopDraining()

	defer g.keep()()
	var lines errgroup.Group
	for _, l := range g.lines {
		lines.Go(func() error { return l.run(ctx, g.abort) })
	}
	err := lines.Wait()
	g.flush(g.abort)
	if errors.Is(context.Cause(g.abort), ErrAborted) {
		err = errors.Join(ErrAborted, err)
	}
	return err
}

// keep looks after all feeds until end is called.
func (g *Glue) keep() (end func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var keepers sync.WaitGroup
	for _, l := range g.lines {
		keepers.Go(func() { l.nozzle.keep(ctx) })
	}
	return func() {
		cancel()
		keepers.Wait()
	}
}

// Abort makes Run stop without draining: what is not published goes back to the feeds at once.
func (g *Glue) Abort() { g.abortWith(ErrAborted) }

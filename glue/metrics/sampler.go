package metrics

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"pushglue/glue"
	"pushglue/glue/push"
	"pushglue/glue/thoonk"
)

// Sources is what is shown.
type Sources struct {
	Ledger *glue.Ledger
	Feeds  []*thoonk.Feed
	Hosts  *push.Publisher // nil if nothing is published to push hosts
}

// Sampler asks Redis and the push hosts at intervals, and compares what they say with the ledger. Its methods are safe for concurrent
// use.
type Sampler struct {
	sources  Sources
	interval time.Duration
	log      zerolog.Logger
	accounts accounts

	mu     sync.Mutex
	sample sample
}

// sample is what was said at one moment.
type sample struct {
	at            time.Time // zero if nobody was asked yet
	feeds         []feedSample
	hosts         []push.HostReport
	discrepancies []Discrepancy
}

// feedSample is what Redis says of a feed.
type feedSample struct {
	name   string
	err    error // it did not answer, and says nothing
	counts thoonk.Counts
	oldest time.Duration // since the job was put that has waited for longest
	ledger bounds        // of what the ledger said then
}

// bounds are the sums of a feed before and after Redis was asked.
type bounds struct{ before, after glue.FeedSums }

// askTime bounds what Redis is asked in one round.
const askTime = 2 * time.Second

// NewSampler returns a Sampler that has asked nobody yet.
func NewSampler(s Sources, interval time.Duration, log zerolog.Logger) *Sampler {
	return &Sampler{sources: s, interval: interval, log: log, accounts: newAccounts()}
}

// Run asks until ctx is done.
func (s *Sampler) Run(ctx context.Context) {
	for ctx.Err() == nil {
		s.Ask(ctx)
		glue.Sleep(ctx, s.interval)
	}
}

// Ask asks all at once.
func (s *Sampler) Ask(ctx context.Context) {
	now := sample{at: time.Now(), feeds: make([]feedSample, len(s.sources.Feeds))}
	var asked sync.WaitGroup
	for i, feed := range s.sources.Feeds {
		asked.Go(func() { now.feeds[i] = s.askFeed(ctx, feed) })
	}
	if s.sources.Hosts != nil {
		now.hosts = s.sources.Hosts.Survey(ctx)
	}
	asked.Wait()
	if ctx.Err() != nil {
		return // what was not answered says nothing
	}
	now.discrepancies = s.accounts.compare(s.sources.Ledger.Sums(), now)
	s.mu.Lock()
	defer s.mu.Unlock()
	report(s.log, s.sample.discrepancies, now.discrepancies)
	s.sample = now
}

func (s *Sampler) askFeed(ctx context.Context, feed *thoonk.Feed) feedSample {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	f := feedSample{name: feed.Name()}
	f.ledger.before = s.sources.Ledger.Sums().Feed(f.name)
	f.counts, f.err = feed.Counts(ctx)
	f.ledger.after = s.sources.Ledger.Sums().Feed(f.name)
	if f.err == nil {
		f.oldest, f.err = feed.OldestAge(ctx)
	}
	return f
}

// last returns what was said last.
func (s *Sampler) last() sample {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sample
}

// Discrepancies returns what did not agree when all were asked last.
func (s *Sampler) Discrepancies() []Discrepancy { return s.last().discrepancies }

var _ prometheus.Collector = (*Sampler)(nil)

// Unready returns why the daemon cannot work, by what Redis and the push hosts said when they were asked last.
func (s *Sampler) Unready() (reasons []string) {
	now := s.last()
	if now.at.IsZero() {
		return []string{"Redis and the push hosts are being asked for the first time"}
	}
	for _, f := range now.feeds {
		if f.err != nil {
			reasons = append(reasons, fmt.Sprintf("feed %s: %v", f.name, f.err))
		}
	}
	if s.sources.Hosts != nil {
		if err := s.sources.Hosts.Ready(now.hosts); err != nil {
			reasons = append(reasons, err.Error())
		}
	}
	return reasons
}

package glue

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"text/tabwriter"
)

// Ledger counts what goes in and what comes out, everywhere. Its sums must balance.
// It is safe for concurrent use; callers add for whole batches, not for single messages.
type Ledger struct {
	mu   sync.Mutex
	sums Sums
}

// Sums is what a ledger holds at one moment. Accounts stand in the order of their first use.
type Sums struct {
	Feeds     []FeedSums     `json:"feeds"`
	Pipelines []PipelineSums `json:"pipelines"`
	Hosts     []HostSums     `json:"hosts"`
}

// FeedSums counts jobs: claimed = finished + cancelled + stalled + released + in flight.
type FeedSums struct {
	Name      string `json:"name"`
	Claimed   int64  `json:"claimed"`
	Finished  int64  `json:"finished"`
	Cancelled int64  `json:"cancelled"`
	Stalled   int64  `json:"stalled"`
	Released  int64  `json:"released"`
	InFlight  int64  `json:"inFlight"`

	Waited Times `json:"-"` // of jobs that were claimed: since they were put, if the feed knows
	Took   Times `json:"-"` // of jobs that finished: the same, until then
}

// PipelineSums counts messages in one pipeline, stage by stage and at its publisher.
type PipelineSums struct {
	Name    string      `json:"name"`
	Stages  []StageSums `json:"stages"`
	Publish PublishSums `json:"publish"`
}

// StageSums counts messages in one stage: in + added = out + dropped + failed.
type StageSums struct {
	Name    string `json:"name"`
	In      int64  `json:"in"`
	Added   int64  `json:"added"` // when one was split: its parts but one
	Out     int64  `json:"out"`
	Dropped int64  `json:"dropped"`
	Failed  int64  `json:"failed"`  // for now and for good, with what was split from the same job; a retry comes in again
	Flagged int64  `json:"flagged"` // and passed on

	Took Times `json:"-"` // of one job of sampled: with all its messages
}

// PublishSums counts messages at a publisher: in = published + replaced + failed + returned + in flight.
type PublishSums struct {
	In        int64 `json:"in"`
	Published int64 `json:"published"`
	Replaced  int64 `json:"replaced"` // by a newer one, which was published
	Failed    int64 `json:"failed"`   // for good
	Returned  int64 `json:"returned"` // failed for now until the job went back to its feed
	InFlight  int64 `json:"inFlight"`
	Retries   int64 `json:"retries"` // attempts after a message's first

	Took Times `json:"-"` // of batches
}

// HostSums counts requests to one push host: sent = accepted + rejected + unanswered. No request was sent for
// what was skipped, so that is in no sum.
type HostSums struct {
	Name       string `json:"name"`
	Sent       int64  `json:"sent"`
	Accepted   int64  `json:"accepted"`   // answered with 2xx
	Rejected   int64  `json:"rejected"`   // answered with anything else
	Unanswered int64  `json:"unanswered"` // connection or time ran out
	Skipped    int64  `json:"skipped"`    // messages that nobody listened to there; published all the same
	Missed     int64  `json:"missed"`     // messages published elsewhere that it did not get, and will not

	Took Times `json:"-"` // of what was sent at once, up to its last answer
}

// AddFeed adds the counts in d to the feed that d names.
func (l *Ledger) AddFeed(d FeedSums) {
	l.mu.Lock()
	defer l.mu.Unlock()
	i := slices.IndexFunc(l.sums.Feeds, func(s FeedSums) bool { return s.Name == d.Name })
	if i < 0 {
		l.sums.Feeds = append(l.sums.Feeds, d)
		return
	}
	s := &l.sums.Feeds[i]
	s.Claimed += d.Claimed
	s.Finished += d.Finished
	s.Cancelled += d.Cancelled
	s.Stalled += d.Stalled
	s.Released += d.Released
	s.InFlight += d.InFlight
	s.Waited.add(&d.Waited)
	s.Took.add(&d.Took)
}

// AddPipeline adds the counts in d to the pipeline that d names. The stages of d are none, or
// all stages of the pipeline in order.
func (l *Ledger) AddPipeline(d PipelineSums) {
	l.mu.Lock()
	defer l.mu.Unlock()
	i := slices.IndexFunc(l.sums.Pipelines, func(s PipelineSums) bool { return s.Name == d.Name })
	if i < 0 {
		d.Stages = slices.Clone(d.Stages)
		l.sums.Pipelines = append(l.sums.Pipelines, d)
		return
	}
	l.sums.Pipelines[i].add(d)
}

// newPipelineSums returns an account of p with nothing in it.
func newPipelineSums(p *Pipeline) PipelineSums {
	s := PipelineSums{Name: p.Name, Stages: make([]StageSums, len(p.Stages))}
	for i, stage := range p.Stages {
		s.Stages[i].Name = stage.Name
	}
	return s
}

func (s *PipelineSums) add(d PipelineSums) {
	for i := range d.Stages {
		s.Stages[i].add(&d.Stages[i])
	}
	s.Publish.In += d.Publish.In
	s.Publish.Published += d.Publish.Published
	s.Publish.Replaced += d.Publish.Replaced
	s.Publish.Failed += d.Publish.Failed
	s.Publish.Returned += d.Publish.Returned
	s.Publish.InFlight += d.Publish.InFlight
	s.Publish.Retries += d.Publish.Retries
	s.Publish.Took.add(&d.Publish.Took)
}

func (s *StageSums) add(d *StageSums) {
	s.In += d.In
	s.Added += d.Added
	s.Out += d.Out
	s.Dropped += d.Dropped
	s.Failed += d.Failed
	s.Flagged += d.Flagged
	s.Took.add(&d.Took)
}

// AddHost adds the counts in d to the push host that d names.
func (l *Ledger) AddHost(d HostSums) {
	l.mu.Lock()
	defer l.mu.Unlock()
	i := slices.IndexFunc(l.sums.Hosts, func(s HostSums) bool { return s.Name == d.Name })
	if i < 0 {
		l.sums.Hosts = append(l.sums.Hosts, d)
		return
	}
	s := &l.sums.Hosts[i]
	s.Sent += d.Sent
	s.Accepted += d.Accepted
	s.Rejected += d.Rejected
	s.Unanswered += d.Unanswered
	s.Skipped += d.Skipped
	s.Missed += d.Missed
	s.Took.add(&d.Took)
}

// Sums returns the counts as they stand.
func (l *Ledger) Sums() Sums {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := Sums{
		// An empty list is [] in JSON, and no list null.
		Feeds:     append([]FeedSums{}, l.sums.Feeds...),
		Pipelines: append([]PipelineSums{}, l.sums.Pipelines...),
		Hosts:     append([]HostSums{}, l.sums.Hosts...),
	}
	for i := range s.Pipelines {
		s.Pipelines[i].Stages = slices.Clone(s.Pipelines[i].Stages)
	}
	return s
}

// Feed returns the account of a feed; one with nothing in it if there is none.
func (s Sums) Feed(name string) FeedSums {
	i := slices.IndexFunc(s.Feeds, func(f FeedSums) bool { return f.Name == name })
	if i < 0 {
		return FeedSums{Name: name}
	}
	return s.Feeds[i]
}

// Host returns the account of a push host; one with nothing in it if there is none.
func (s Sums) Host(name string) HostSums {
	i := slices.IndexFunc(s.Hosts, func(h HostSums) bool { return h.Name == name })
	if i < 0 {
		return HostSums{Name: name}
	}
	return s.Hosts[i]
}

// Balance returns nil when every account balances, else an error with a line for each that does not.
func (s Sums) Balance() error {
	var errs []error
	check := func(what string, in, out int64) {
		if in != out {
			errs = append(errs, fmt.Errorf("%s: %d in, %d accounted for", what, in, out))
		}
	}
	for _, f := range s.Feeds {
		check("feed "+f.Name, f.Claimed, f.Finished+f.Cancelled+f.Stalled+f.Released+f.InFlight)
	}
	for _, p := range s.Pipelines {
		for i, st := range p.Stages {
			check("stage "+p.Name+"/"+st.Name, st.In+st.Added, st.Out+st.Dropped+st.Failed)
			if i > 0 {
				check("joint before "+p.Name+"/"+st.Name, p.Stages[i-1].Out, st.In)
			}
		}
		if n := len(p.Stages); n > 0 {
			check("joint before the publisher of "+p.Name, p.Stages[n-1].Out, p.Publish.In)
		}
		check("publisher of "+p.Name, p.Publish.In, p.Publish.Published+p.Publish.Replaced+p.Publish.Failed+p.Publish.Returned+p.Publish.InFlight)
	}
	for _, h := range s.Hosts {
		check("host "+h.Name, h.Sent, h.Accepted+h.Rejected+h.Unanswered)
	}
	return errors.Join(errs...)
}

// Write writes the sums as a table for people.
func (s Sums) Write(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, f := range s.Feeds {
		fmt.Fprintf(t, "feed %s\tclaimed %d\tfinished %d\tcancelled %d\tstalled %d\treleased %d\tin flight %d\n",
			f.Name, f.Claimed, f.Finished, f.Cancelled, f.Stalled, f.Released, f.InFlight)
	}
	for _, p := range s.Pipelines {
		for _, st := range p.Stages {
			fmt.Fprintf(t, "stage %s/%s\tin %d\tadded %d\tout %d\tdropped %d\tfailed %d\tflagged %d\n",
				p.Name, st.Name, st.In, st.Added, st.Out, st.Dropped, st.Failed, st.Flagged)
		}
		fmt.Fprintf(t, "publisher of %s\tin %d\tpublished %d\treplaced %d\tfailed %d\treturned %d\tin flight %d\tretries %d\n",
			p.Name, p.Publish.In, p.Publish.Published, p.Publish.Replaced, p.Publish.Failed, p.Publish.Returned, p.Publish.InFlight, p.Publish.Retries)
	}
	for _, h := range s.Hosts {
		fmt.Fprintf(t, "host %s\tsent %d\taccepted %d\trejected %d\tunanswered %d\tskipped %d\tmissed %d\n",
			h.Name, h.Sent, h.Accepted, h.Rejected, h.Unanswered, h.Skipped, h.Missed)
	}
	return t.Flush()
}

package glue

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sync/semaphore"
)

// storeTimeout bounds one claim or settlement. Both run to their end when the daemon stops:
// a claim whose answer nobody reads would leave its jobs with nobody.
const storeTimeout = 5 * time.Second

// nozzle claims jobs from one feed and settles them.
type nozzle struct {
	feed   Feed
	limit  int // jobs of one claim
	ledger *Ledger
	works  *works
	log    zerolog.Logger
	traces *Traces

	room *semaphore.Weighted // for jobs in flight
	seq  uint64              // jobs claimed so far

	empty bool // the feed seemed to be after the last claim

	mu       sync.Mutex
	released []released // what goes back untried, at the end
	lost     int        // jobs whose settlement failed to the end
}

// released is a job that goes back to the head of the feed, with its place in the order of claims.
type released struct {
	seq   uint64
	jobID string
	claim any
}

// claim returns the next jobs and the place of the first one in the order of claims. It blocks
// until there are some, and returns none when stop is done.
func (n *nozzle) claim(stop context.Context) ([]Job, uint64) {
	if n.room.Acquire(stop, int64(n.limit)) != nil {
		return nil, 0
	}
	pause := newPause()
	failing := false
	for stop.Err() == nil {
		jobs, err := n.tryClaim(stop)
		switch {
		case err == nil && failing:
			failing = false
			pause.Reset()
			n.log.Info().Msg("claiming again")
		case err != nil && stop.Err() == nil:
			if !failing {
				failing = true
				n.log.Error().Err(err).Msg("cannot claim; trying again until it works")
			}
			Sleep(stop, pause.NextBackOff())
		}
		if len(jobs) > 0 {
			n.room.Release(int64(n.limit - len(jobs)))
			sums := FeedSums{Name: n.feed.Name(), Claimed: int64(len(jobs)), InFlight: int64(len(jobs))}
			now := time.Now()
			for i := range jobs {
				jobs[i].claimedAt = now
				if !jobs[i].Put.IsZero() {
					sums.Waited.Note(jobs[i].Waited)
				}
			}
			n.traces.begin(jobs)
			n.ledger.AddFeed(sums)
			first := n.seq
			n.seq += uint64(len(jobs))
			return jobs, first
		}
	}
	n.room.Release(int64(n.limit))
	return nil, 0
}

// tryClaim claims what there is. It waits first if the last claim took all that there was.
func (n *nozzle) tryClaim(stop context.Context) ([]Job, error) {
	defer n.works.begin("claim")()
	if n.empty {
		if err := n.feed.Wait(stop); err != nil {
			return nil, err
		}
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(stop), storeTimeout)
	defer cancel()
	jobs, err := n.feed.Claim(ctx, n.limit)
	n.empty = err == nil && len(jobs) < n.limit
	return jobs, err
}

// settle applies verdicts, and reports whether it did. When the store does not answer it tries again
// until abort is done, and once more then.
func (n *nozzle) settle(abort context.Context, settlements []Settlement) bool {
	if len(settlements) == 0 {
		return true
	}
	defer n.room.Release(int64(len(settlements)))
	pause := newPause()
	for failing := false; ; failing = true {
		last := abort.Err() != nil
		err := n.trySettle(settlements)
		if err == nil {
			if failing {
				n.log.Info().Msg("settling again")
			}
			n.book(settlements)
			return true
		}
		if last {
			n.log.Error().Err(err).Int("jobs", len(settlements)).Msg("cannot settle; the jobs stay claimed")
			n.mu.Lock()
			n.lost += len(settlements)
			n.mu.Unlock()
			return false
		}
		if !failing {
			n.log.Error().Err(err).Msg("cannot settle; trying again until it works")
		}
		Sleep(abort, pause.NextBackOff())
	}
}

func (n *nozzle) trySettle(settlements []Settlement) error {
	defer n.works.begin("settle")()
	ctx, cancel := context.WithTimeout(context.Background(), storeTimeout)
	defer cancel()
	return n.feed.Settle(ctx, settlements)
}

// book enters settled jobs into the ledger.
func (n *nozzle) book(settlements []Settlement) {
	sums := FeedSums{Name: n.feed.Name(), InFlight: -int64(len(settlements))}
	now := time.Now()
	for _, s := range settlements {
		switch s.Verdict {
		case Finish:
			sums.Finished++
			if !s.put.IsZero() {
				sums.Took.Note(now.Sub(s.put))
			}
		case Cancel:
			sums.Cancelled++
		case Stall:
			sums.Stalled++
		case Release:
			sums.Released++
		}
	}
	n.ledger.AddFeed(sums)
}

// release keeps the jobs of b for flush.
func (n *nozzle) release(b *batch) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for i, job := range b.jobs {
		n.released = append(n.released, released{b.seqs[i], job.ID, job.Claim})
	}
	b.bookReturned(n.ledger)
	settlements := make([]Settlement, len(b.jobs))
	for i := range settlements {
		settlements[i].Verdict = Release
	}
	n.traces.end(b, settlements, time.Now(), true)
}

// flush gives the released jobs back to the head of the feed, so that they come out again in
// the order in which they were claimed.
func (n *nozzle) flush(abort context.Context) error {
	slices.SortFunc(n.released, func(a, b released) int { return cmp.Compare(a.seq, b.seq) })
	settlements := make([]Settlement, len(n.released))
	for i, r := range n.released {
		settlements[i] = Settlement{JobID: r.jobID, Claim: r.claim, Verdict: Release}
	}
	n.settle(abort, settlements)
	if n.lost > 0 {
		return fmt.Errorf("feed %s: %d jobs stay claimed because they could not be settled", n.feed.Name(), n.lost)
	}
	return nil
}

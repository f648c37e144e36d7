package faults

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"pushglue/glue/gluetest/conform"
	"pushglue/glue/thoonk"
)

// loss is what was claimed when a worker was lost, or an answer of Redis to one. Only these messages may come late, and
// those that do come in the order of their claims.
type loss struct {
	feed  string
	jobs  []string       // ids in Redis
	place map[string]int // of each message among the claims
}

// anyClaimed tells whether a worker has a job.
func (r *round) anyClaimed() bool {
	for _, feed := range feeds {
		if c, ok := r.census(feed); ok && len(c.Claimed) > 0 {
			return true
		}
	}
	return false
}

// lose notes what is claimed after a daemon was killed. Until another one ends them nothing changes these claims.
func (r *round) lose() {
	r.Helper()
	for _, feed := range feeds {
		c, ok := r.census(feed)
		if !ok {
			r.Fatalf("feed %s: Redis does not answer", feed)
		}
		if err := r.noteLoss(r.Context(), feed, c.Claimed); err != nil {
			r.Fatal(err)
		}
	}
}

func (r *round) noteLoss(ctx context.Context, feed string, jobs []string) error {
	payloads, err := conform.Payloads(ctx, r.rdb, thoonk.ThoonkPy, feed, jobs...)
	if err != nil || len(payloads) == 0 {
		return err
	}
	lost := loss{feed: feed, jobs: jobs, place: map[string]int{}}
	for i, id := range jobs {
		var message struct{ ID string }
		if json.Unmarshal([]byte(payloads[id]), &message) == nil { // what has no payload any more is settled
			lost.place[message.ID] = i
		}
	}
	r.losses = append(r.losses, lost)
	return nil
}

// lost returns how many jobs all losses had together.
func (r *round) lost() (n int) {
	for _, lost := range r.losses {
		n += len(lost.place)
	}
	return n
}

// recovered waits until all that was lost is done.
func (r *round) recovered() {
	r.Helper()
	r.eventually("what was lost is done", func() bool {
		for _, lost := range r.losses {
			c, ok := r.census(lost.feed)
			if !ok || slices.ContainsFunc(lost.jobs, func(id string) bool { return slices.Contains(c.Items, id) }) {
				return false
			}
		}
		return true
	})
}

// press lets a backlog grow while the daemons hang, for less than they may as active ones, and does something just
// before they go on: they claim one batch after the other then, so that whatever happens to Redis happens to a claim.
func (r *round) press(do func()) {
	r.Helper()
	for _, d := range r.daemons {
		d.Pause()
	}
	r.eventually("the feeds are behind", func() bool {
		for _, feed := range feeds {
			if c, ok := r.census(feed); !ok || len(c.Queued) < 3*batch {
				return false
			}
		}
		return true
	})
	do()
	for _, d := range r.daemons {
		d.Continue()
	}
}

// longLease is that of daemons that may not get an answer of Redis. They extend what they have in hand when it is a
// third of that old.
const longLease = 3 * time.Second

// checkLost requires that something was lost at all.
func (r *round) checkLost() {
	r.Helper()
	if r.lost() == 0 {
		r.Error("nothing was claimed at any loss")
	}
}

// watchClaims notes jobs that nobody extends though their claims end soon: those that were claimed when Redis's answer
// was lost. It looks often enough to see each before it is given back. What the daemons have in hand while they cannot
// speak to Redis is among them.
func (r *round) watchClaims(ctx context.Context) {
	noted := map[string]float64{} // when each was claimed
	ticker := time.NewTicker(longLease / 60)
	defer ticker.Stop()
	for ; ctx.Err() == nil; <-ticker.C {
		for _, feed := range feeds {
			c, err := conform.TakeCensus(ctx, r.rdb, thoonk.ThoonkPy, feed)
			if err != nil || len(c.Claimed) == 0 {
				continue
			}
			now, err := r.rdb.Time(ctx).Result()
			if err != nil {
				continue
			}
			var old []string
			var at []float64
			for i, id := range c.Claimed {
				if float64(now.UnixMilli())-c.ClaimedAt[i] > float64(longLease.Milliseconds())/2 && noted[id] != c.ClaimedAt[i] {
					old, at = append(old, id), append(at, c.ClaimedAt[i])
				}
			}
			if r.noteLoss(ctx, feed, old) == nil {
				for i, id := range old {
					noted[id] = at[i]
				}
			}
		}
	}
}

// startWatch starts watchClaims, and returns what ends it.
func (r *round) startWatch() (end func()) {
	ctx, cancel := context.WithCancel(r.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.watchClaims(ctx)
	}()
	end = func() { cancel(); <-done }
	r.Cleanup(end)
	return end
}

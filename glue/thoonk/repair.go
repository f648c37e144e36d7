package thoonk

import (
	"context"
	"slices"
	"time"
)

// Bounds of what one look for lost jobs costs.
const (
	walksPerLook = 10        // over the queue
	longestPause = time.Hour // between two walks for one job
)

// suspect is a job that seems to be lost: no worker has it, and it is not near the head of the queue.
type suspect struct {
	lost  bool      // it was nowhere on the queue either
	next  time.Time // when to walk over the queue for it
	pause time.Duration
}

// repair puts lost jobs back at the head of the feed. Nothing tells a job that was lost from one that a
// worker of another implementation is just claiming, but time: so it must seem lost at every look
// for as long as a lease, and be nowhere on the queue at the first one and at the last. One that is on the
// queue, but far from its head, is looked for ever more seldom: each time costs a walk over the queue.
func (k *keeper) repair(ctx context.Context) (recovered int, err error) {
	now := time.Now()
	ids, err := k.Lost(ctx, k.lease, chunk)
	if err != nil {
		return 0, err
	}
	for _, id := range k.due(ids, now) {
		s := k.suspects[id]
		found, err := k.recover(ctx, s.lost, id)
		if err != nil {
			return recovered, err
		}
		switch {
		case len(found) == 0:
			s.lost = false
			s.pause = min(longestPause, max(k.lease, 2*s.pause))
			s.next = now.Add(s.pause)
		case s.lost:
			recovered++
			delete(k.suspects, id)
		default:
			s.lost = true
			s.next = now.Add(k.lease)
		}
	}
	return recovered, nil
}

// due keeps of the suspects those that seem to be lost still, adds the others that do, and returns those to
// walk over the queue for: first those that were not on it a lease ago, then those that have waited
// for longest.
func (k *keeper) due(ids []string, now time.Time) []string {
	suspects := make(map[string]*suspect, len(ids))
	for _, id := range ids {
		suspects[id] = k.suspects[id]
		if suspects[id] == nil {
			suspects[id] = new(suspect)
		}
	}
	k.suspects = suspects
	due := slices.DeleteFunc(ids, func(id string) bool { return now.Before(suspects[id].next) })
	slices.SortStableFunc(due, func(a, b string) int {
		x, y := suspects[a], suspects[b]
		if x.lost != y.lost {
			if x.lost {
				return -1
			}
			return 1
		}
		return x.next.Compare(y.next)
	})
	return due[:min(len(due), walksPerLook)]
}

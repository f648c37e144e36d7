package thoonk

import (
	"context"
	"slices"
	"strconv"
	"time"
)

// Reaped is what Reap did.
type Reaped struct {
	Jobs   []string // ids of the jobs that are back on the feed, the next one first
	Own    int      // claims of pushglue that ended
	Others int      // claims of other workers that ended
}

// reapPage is how many claims one call of the reap script looks at. What is claimed while it is
// between two calls comes out of order, so it is more than a daemon has in flight as a rule.
const reapPage = 5 * chunk

// Reap ends the claims of workers that are dead: those of pushglue that are older than own, and those
// of others that are older than others, unless that is 0. AnyAge ends all of them. Their jobs go back to the
// head of the feed in the order in which they were claimed, uncounted: only a verdict counts as an
// attempt, and a worker that died gave none. With an error, it returns what it did so far.
//
// A claim of pushglue that is as far ahead of Redis's clock ends too: the clock was set back. thoonk.py's
// workers note their own time, and their claims end only when that is past.
//
// Source: contract.txt, "Maintenance", which leaves it open.
func (f *Feed) Reap(ctx context.Context, own, others time.Duration) (Reaped, error) {
	return f.reapAged(ctx, own, others, "")
}

// reapAged is Reap. It ends nothing if Redis's clock is not near the time at, unless that is empty.
func (f *Feed) reapAged(ctx context.Context, own, others time.Duration, at string) (Reaped, error) {
	theirs := "never"
	if others > 0 || others == AnyAge {
		theirs = ageArg(others)
	}
	r, err := f.reap(ctx, ageArg(own), theirs, "+inf", at)
	if err != nil {
		return r, f.failed("reap claims of", err)
	}
	return r, nil
}

// reap runs the reap script, which documents its arguments, until it has seen all.
func (f *Feed) reap(ctx context.Context, own, others, from, at string) (r Reaped, err error) {
	k := &f.keys
	defer func() { slices.Reverse(r.Jobs) }()
	for from != "" {
		args := reapScript.call(5, k.ids, k.items, k.published, k.claimed, k.cancelled)
		reply, err := reapScript.strings(ctx, f.rdb, append(args, own, others, from, strconv.Itoa(reapPage), at))
		if err != nil {
			return r, err
		}
		from = reply[0]
		for i, n := range []*int{&r.Own, &r.Others} {
			ended, err := strconv.Atoi(reply[1+i])
			if err != nil {
				return r, err
			}
			*n += ended
		}
		r.Jobs = append(r.Jobs, reply[3:]...)
	}
	return r, nil
}

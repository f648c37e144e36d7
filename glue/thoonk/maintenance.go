package thoonk

import (
	"context"
	"math"
	"slices"
	"strconv"
	"time"
)

// headSize is how many ids at the head of the queue Lost looks at. Old jobs are there.
const headSize = 10 * chunk

// Cancel ends the claims of these jobs, whoever made them, and returns the ids of those that were
// claimed and went back to the end of the feed, with one more cancellation. Settle with the
// verdict Cancel is for the worker that made the claim. With an error, the ids put back so far are
// returned too.
//
// A client of a Redis Cluster repeats a script whose answer was lost. Then Cancel returns none of that
// page, though its jobs went back: the repetition finds no claims. The same holds for Retry, Retract
// and RetractIf; nothing is done twice.
//
// Source: contract.txt, "Cancel".
func (f *Feed) Cancel(ctx context.Context, ids ...string) (queued []string, err error) {
	for part := range slices.Chunk(ids, chunk) {
		_, back, err := f.endClaims(ctx, "ids", anySlice(part)...)
		queued = append(queued, back...)
		if err != nil {
			return queued, f.failed("cancel jobs of", err)
		}
	}
	return queued, nil
}

// CancelOlder is Cancel for up to limit claims that are older than age, oldest first. Their jobs go to the
// end of the feed in the order in which they were put.
//
// thoonk.py's workers note their own time. A claim of one whose clock is ahead of Redis's is younger
// than 0, and only AnyAge ends it.
func (f *Feed) CancelOlder(ctx context.Context, age time.Duration, limit int) (queued []string, err error) {
	for limit > 0 {
		want := min(limit, chunk)
		ended, back, err := f.endClaims(ctx, ageArg(age), strconv.Itoa(want))
		queued = append(queued, back...)
		if err != nil {
			return queued, f.failed("cancel jobs of", err)
		}
		if ended < want {
			break
		}
		limit -= want
	}
	return queued, nil
}

// endClaims runs the cancel script, which documents its arguments. It returns how many claims ended
// and the ids of the jobs that went back to the feed.
func (f *Feed) endClaims(ctx context.Context, how string, which ...any) (ended int, queued []string, err error) {
	k := &f.keys
	args := cancelScript.call(1+len(which), k.ids, k.items, k.published, k.claimed, k.cancelled)
	args = append(args, how)
	return cancelScript.counted(ctx, f.rdb, append(args, which...))
}

// Lost returns the ids of up to limit jobs, at most 1,000, that were put longer than age ago, are
// neither claimed nor stalled, and are not near the head of the queue, where jobs of their age
// belong. They were lost by a worker of another implementation that died between popping and
// claiming them. Or one is just now between the two: so wait a little and call Recover with them.
//
// Source: contract.txt, "Maintenance"; bounded, since that reads the whole feed.
func (f *Feed) Lost(ctx context.Context, age time.Duration, limit int) ([]string, error) {
	// The queue is read after the jobs, so a job that goes back to it between the two is seen.
	ids, err := f.Older(ctx, Queued, age, limit)
	if err != nil || len(ids) == 0 {
		return nil, err
	}
	head, err := f.rdb.LRange(ctx, f.keys.ids, -headSize, -1).Result()
	if err != nil {
		return nil, f.failed("look for lost jobs of", err)
	}
	queued := make(map[string]bool, len(head))
	for _, id := range head {
		queued[id] = true
	}
	return slices.DeleteFunc(ids, func(id string) bool { return queued[id] }), nil
}

// Recover puts those of the jobs that are still lost back at the head of the feed and returns
// their ids. With an error, the ids put back so far are returned too.
//
// Each job that is queued or lost costs a walk over the queue, in a call of its own.
func (f *Feed) Recover(ctx context.Context, ids ...string) (queued []string, err error) {
	return f.recover(ctx, true, ids...)
}

// recover is Recover; without putBack it only returns the ids of the jobs that are lost.
func (f *Feed) recover(ctx context.Context, putBack bool, ids ...string) (lost []string, err error) {
	k := &f.keys
	do := "look"
	if putBack {
		do = "put"
	}
	for len(ids) > 0 {
		part := ids[:min(len(ids), chunk)]
		args := append(recoverScript.call(1+len(part), k.ids, k.items, k.claimed, k.stalled), do)
		done, found, err := recoverScript.counted(ctx, f.rdb, append(args, anySlice(part)...))
		lost = append(lost, found...)
		if err != nil {
			return lost, f.failed("recover jobs of", err)
		}
		ids = ids[done:]
	}
	return lost, nil
}

// AnyAge is an age that every job and every claim has, also one with a time in the future.
const AnyAge time.Duration = math.MinInt64

// ageArg is an age as scripts read it: in ms, or an empty string for any.
func ageArg(age time.Duration) string {
	if age == AnyAge {
		return ""
	}
	return strconv.FormatInt(age.Milliseconds(), 10)
}

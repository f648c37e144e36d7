package thoonk

import (
	"context"
	"fmt"
	"strconv"
	"time"
)

// Retract deletes jobs, whatever their state, and returns the ids of those that existed.
// A worker that has claimed one can still publish it, and its verdict changes nothing then.
//
// A queued job costs a walk over the queue. Each of them is a call of its own, so that others get
// their turn meanwhile. With an error, the ids retracted so far are returned too.
//
// Source: contract.txt, "Retract".
func (f *Feed) Retract(ctx context.Context, ids ...string) (retracted []string, err error) {
	return f.retract(ctx, "", ids)
}

// RetractIf is Retract for those of the jobs that are in this state, as Describe tells it.
func (f *Feed) RetractIf(ctx context.Context, state State, ids ...string) (retracted []string, err error) {
	return f.retract(ctx, state.String(), ids)
}

func (f *Feed) retract(ctx context.Context, state string, ids []string) (retracted []string, err error) {
	for len(ids) > 0 {
		part := ids[:min(len(ids), chunk)]
		done, gone, err := f.remove(ctx, retractScript, append([]any{state}, anySlice(part)...))
		retracted = append(retracted, gone...)
		if err != nil {
			return retracted, f.failed("retract from", err)
		}
		ids = ids[done:]
	}
	return retracted, nil
}

// Now returns the time of the feed's server, which puts and claims are dated by: what was counted
// behind it and has a later time was put or claimed since.
func (f *Feed) Now(ctx context.Context) (time.Time, error) {
	s, err := f.span(ctx, f.keys.published, ageArg(0))
	if err != nil {
		return time.Time{}, f.failed("look at the time of", err)
	}
	return time.UnixMilli(int64(s.latest)), nil
}

// Purge deletes jobs of one state that have a time no later than until, up to limit of them, and
// returns their ids: Queued ones that were put till then, from the head of the queue, and Claimed
// ones that were claimed till then, oldest claim first. It costs no walk over the queue. What it finds
// on the queue that is no queued job, such as a copy of a claimed one, goes too and counts in limit.
// With an error, the ids of the jobs so far are returned too.
//
// Later jobs keep their places, also at the head, where those of high priority are; behind more than
// 10,000 of them it finds nothing. A job of a producer whose clock is ahead of Redis's is a later
// one. One that a worker of another implementation has popped and not yet claimed is in no state, and
// Purge leaves it. Stalled jobs have no time: see Walk and RetractIf.
//
// A client of a Redis Cluster repeats a script whose answer was lost. Then a page more than limit
// can go, of jobs that are old enough, and the ids of the first one are returned nowhere.
func (f *Feed) Purge(ctx context.Context, state State, until time.Time, limit int) (retracted []string, err error) {
	if state != Queued && state != Claimed {
		return nil, fmt.Errorf("purge feed %q: a %s job has no time", f.name, state)
	}
	latest := strconv.FormatInt(until.UnixMilli(), 10)
	for limit > 0 {
		want := min(limit, chunk)
		taken, gone, err := f.remove(ctx, purgeScript, []any{state.String(), latest, strconv.Itoa(want)})
		retracted = append(retracted, gone...)
		if err != nil {
			return retracted, f.failed("purge", err)
		}
		if taken < want {
			break
		}
		limit -= want
	}
	return retracted, nil
}

// remove runs a script that deletes jobs. It returns how many ids the script dealt with and those
// whose jobs it deleted.
func (f *Feed) remove(ctx context.Context, s script, args []any) (done int, gone []string, err error) {
	k := &f.keys
	call := s.call(len(args), k.ids, k.items, k.published, k.claimed, k.cancelled, k.stalled, k.reasons)
	return s.counted(ctx, f.rdb, append(call, args...))
}

package thoonk

import (
	"context"
	"fmt"
	"strconv"
)

// Retract deletes jobs, whatever their state, and returns the ids of those that existed.
// A worker that has claimed one can still publish it, and its verdict changes nothing then.
//
// A queued job costs a walk over the queue. Each of them is a call of its own, so that others get
// their turn meanwhile. With an error, the ids retracted so far are returned too.
//
// Source: contract.txt, "Retract".
func (f *Feed) Retract(ctx context.Context, ids ...string) (retracted []string, err error) {
	for len(ids) > 0 {
		part := ids[:min(len(ids), chunk)]
		done, gone, err := f.remove(ctx, retractScript, anySlice(part))
		retracted = append(retracted, gone...)
		if err != nil {
			return retracted, f.failed("retract from", err)
		}
		ids = ids[done:]
	}
	return retracted, nil
}

// Purge deletes jobs of one state, up to limit of them, and returns their ids: queued ones from the
// head of the queue, claimed ones oldest claim first, stalled ones in no order. It costs no
// walk over the queue. What it finds on the queue that is no queued job, such as a copy of a
// claimed one, goes too and counts in limit. With an error, the ids of the jobs so far are
// returned too.
//
// A job that a worker of another implementation has popped and not yet claimed is in no state:
// Purge leaves it.
func (f *Feed) Purge(ctx context.Context, state State, limit int) (retracted []string, err error) {
	if state != Queued && state != Claimed && state != Stalled {
		return nil, fmt.Errorf("purge feed %q: no job is in the state %s", f.name, state)
	}
	for limit > 0 {
		want := min(limit, chunk)
		taken, gone, err := f.remove(ctx, purgeScript, []any{state.String(), strconv.Itoa(want)})
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
	call := s.call(len(args), k.ids, k.items, k.published, k.claimed, k.cancelled, k.stalled)
	return s.counted(ctx, f.rdb, append(call, args...))
}

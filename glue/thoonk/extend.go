package thoonk

import (
	"context"
	"slices"
	"time"
)

// Extend renews all claims of this Feed, in their order, so that Reap leaves their jobs alone. It returns
// how many of them it found ended by others since it looked last.
//
// The contract has no such operation. To others it looks like claims made now.
func (f *Feed) Extend(ctx context.Context) (ended int, err error) {
	now, err := f.Now(ctx)
	if err != nil {
		return 0, err
	}
	return f.extend(ctx, now)
}

// extend gives all claims that stand times just before now. All, since one that is left behind
// would change its place among them. Claims and verdicts wait meanwhile: one comes before, or after it.
func (f *Feed) extend(ctx context.Context, now time.Time) (ended int, err error) {
	f.moving.Lock()
	defer f.moving.Unlock()
	held := f.move(now)
	// From the end, so that they keep their order also if it stops in the middle.
	for last := len(held); last > 0; {
		part := held[max(0, last-chunk):last]
		gone, err := f.extendPart(ctx, part)
		if err != nil {
			return ended, f.failed("extend claims of", err)
		}
		ended += gone
		last -= len(part)
	}
	return ended, nil
}

// move notes where the claims move. When an extension got no answer, that one is repeated: where its claims
// are is not known else.
func (f *Feed) move(now time.Time) []*claim {
	f.mu.Lock()
	defer f.mu.Unlock()
	held := f.held()
	unanswered := slices.DeleteFunc(slices.Clone(held), func(c *claim) bool { return c.moving == 0 })
	if len(unanswered) > 0 {
		return unanswered
	}
	to := now.UnixMilli() * ticks
	for _, c := range slices.Backward(held) {
		if to--; to%ticks == 0 {
			to--
		}
		c.moving = to
	}
	return held
}

// extendPart runs the extend script, which documents its arguments.
func (f *Feed) extendPart(ctx context.Context, part []*claim) (ended int, err error) {
	args := extendScript.call(3*len(part), f.keys.claimed)
	for _, c := range part {
		args = append(args, c.id, formatTicks(c.at), formatTicks(c.moving))
	}
	ids, err := extendScript.strings(ctx, f.rdb, args)
	if err != nil {
		return 0, err
	}
	gone := make(map[string]bool, len(ids))
	for _, id := range ids {
		gone[id] = true
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range part {
		c.at, c.moving = c.moving, 0
		if gone[c.id] && !c.settled {
			c.ended = true
			ended++
		}
	}
	return ended, nil
}

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
	_, ended, err = f.extend(ctx)
	return ended, err
}

// extend gives all claims that stand times just before now, which it returns. All, since one that is left behind
// would change its place among them. Claims and verdicts wait meanwhile: one comes before, or after it.
func (f *Feed) extend(ctx context.Context) (now time.Time, ended int, err error) {
	f.moving.Lock()
	defer f.moving.Unlock()
	now, err = f.Now(ctx)
	if err != nil {
		return now, 0, err
	}
	// Where claims are whose extension got no answer is not known before it is repeated.
	if unanswered := f.unanswered(); len(unanswered) > 0 {
		if ended, err = f.extendAll(ctx, unanswered); err != nil {
			return now, ended, err
		}
	}
	more, err := f.extendAll(ctx, f.move(now))
	return now, ended + more, err
}

// extendAll moves claims to where they are noted to move.
func (f *Feed) extendAll(ctx context.Context, held []*claim) (ended int, err error) {
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

// unanswered returns the claims that stand whose extension got no answer.
func (f *Feed) unanswered() []*claim {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.DeleteFunc(f.held(), func(c *claim) bool { return c.moving == 0 })
}

// move notes where the claims move: just before now.
func (f *Feed) move(now time.Time) []*claim {
	f.mu.Lock()
	defer f.mu.Unlock()
	held := f.held()
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

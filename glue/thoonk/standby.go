package thoonk

import (
	"context"
	"strconv"
	"sync/atomic"
	"time"

	"pushglue/glue"
)

// activeTime is how long a daemon stays the active one without saying that it lives.
const activeTime = 5 * time.Second

// WithStandby lets only one of the daemons that have this option claim jobs of the feed: the active one. The
// others wait, and one of them takes over when it is gone. Keep does all of that, so without it such a
// Feed claims nothing.
//
// The claim script itself looks who is the active one: a daemon that was paused, or cut off, and does not
// know yet that another one took over, gets no job.
func WithStandby() Option {
	return func(f *Feed) error {
		f.standby = &standby{name: newID(), woken: make(chan struct{}, 1)}
		return nil
	}
}

// standby is what a Feed with this option knows of its role.
type standby struct {
	name   string
	active atomic.Bool   // it may claim, as far as it knows
	woken  chan struct{} // holds something after it became active
}

// mayClaim reports whether there is any use in claiming.
func (f *Feed) mayClaim() bool { return f.standby == nil || f.standby.active.Load() }

// waitForRole waits until this daemon is the active one, for a second at most.
func (s *standby) waitForRole(ctx context.Context) error {
	timer := time.NewTimer(blockTime)
	defer timer.Stop()
	select {
	case <-s.woken:
	case <-timer.C:
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

// claimant is who claims, as the claim script reads it.
func (f *Feed) claimant() string {
	if f.standby == nil {
		return ""
	}
	return f.standby.name
}

// stand asks for the role of the active daemon. Who gets it, or was not sure to have it, takes back first
// what is claimed and not by itself: nobody works on that but dead daemons, and such as do not know
// yet that they are not active any more.
func (k *keeper) stand(ctx context.Context, kept *glue.Kept) error {
	s := k.standby
	args := electScript.call(2, k.keys.active)
	result, err := electScript.text(ctx, k.rdb, append(args, s.name, strconv.FormatInt(activeTime.Milliseconds(), 10)))
	if err != nil {
		return k.failed("ask for the active role on", err)
	}
	kept.Role = glue.Active
	switch {
	case result == "other":
		kept.Role = glue.Standby
		s.active.Store(false)
		return nil
	case result == "kept" && s.active.Load():
		return nil
	}
	s.active.Store(false)
	if err := k.takeBack(ctx, kept); err != nil {
		return err
	}
	s.active.Store(true)
	select {
	case s.woken <- struct{}{}:
	default:
	}
	return nil
}

// takeBack ends all claims of pushglue but those of this Feed, which it extends, so that all others are
// older.
func (k *keeper) takeBack(ctx context.Context, kept *glue.Kept) error {
	now, ended, err := k.extend(ctx)
	kept.Ended += ended
	if err != nil {
		return err
	}
	before := now.UnixMilli() * ticks
	k.mu.Lock()
	if held := k.held(); len(held) > 0 {
		before = min(before, held[0].at)
	}
	k.mu.Unlock()
	reaped, err := k.reap(ctx, ageArg(AnyAge), "never", "("+formatTicks(before), "")
	kept.TakenBack += reaped.Own
	if err != nil {
		return k.failed("take back claims of", err)
	}
	return nil
}

// resign lets another daemon take over at once. When Redis does not answer, that one waits until this
// one's time is over.
func (k *keeper) resign() {
	if k.standby == nil {
		return
	}
	k.standby.active.Store(false)
	ctx, cancel := context.WithTimeout(context.Background(), keepTimeout)
	defer cancel()
	_, _ = resignScript.integer(ctx, k.rdb, append(resignScript.call(1, k.keys.active), k.standby.name))
}

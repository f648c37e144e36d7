package thoonk

import (
	"context"
	"errors"
	"strconv"
	"time"

	"pushglue/glue"
)

// keepTimeout bounds one round of a keeper.
const keepTimeout = 5 * time.Second

var _ glue.Keeper = (*Feed)(nil)

// WithLease sets how old a claim may become before its worker counts as dead: own for claims of pushglue,
// whose daemons extend theirs in time, 30 seconds by default and one at least; others for those of other workers,
// who do not, 0 to leave them alone. All daemons of a feed should have the same.
func WithLease(own, others time.Duration) Option {
	return func(f *Feed) error {
		if own < time.Second {
			return errors.New("a lease is less than 1s")
		}
		f.lease, f.othersLease = own, max(0, others)
		return nil
	}
}

// keeper is one run of Keep.
type keeper struct {
	*Feed
	reapFrom time.Time // not before, so that others can extend their claims first

	server, local time.Time // at the last round

	lookFrom time.Time // for lost jobs and old reasons, not before
	suspects map[string]*suspect
	sweepAt  string // where sweep goes on
}

// Keep implements glue.Keeper. Claims of this Feed are extended when the oldest is older than a third of the
// lease. Those of dead workers end (Reap), and lost jobs come back (repair), but not while this daemon
// stands by. After Redis was away, and when its clock was set, it ends no claim for a lease: others may have
// been kept from extending theirs. At its begin it waits for a third of one.
func (f *Feed) Keep(ctx context.Context, report func(glue.Kept, error)) {
	k := keeper{Feed: f}
	k.giveOthersTime(f.lease / 3)
	defer k.resign()
	period := f.lease / 6
	if f.standby != nil {
		period = min(period, time.Second)
	}
	for {
		kept, err := k.round(ctx)
		if ctx.Err() != nil {
			return
		}
		report(kept, err)
		pause := period
		if err != nil {
			pause = min(period, time.Second) // be back before others may end claims
		}
		if !glue.Sleep(ctx, pause) {
			return
		}
	}
}

// giveOthersTime keeps k from ending claims for d, and from calling jobs lost that it could not look at.
func (k *keeper) giveOthersTime(d time.Duration) {
	k.reapFrom = time.Now().Add(d)
	k.suspects = nil
}

func (k *keeper) round(ctx context.Context) (kept glue.Kept, err error) {
	ctx, cancel := context.WithTimeout(ctx, keepTimeout)
	defer cancel()
	defer func() {
		if err != nil {
			k.giveOthersTime(k.lease)
		}
	}()
	now, err := k.Now(ctx)
	if err != nil {
		return kept, err
	}
	k.watchClock(now)
	if k.standby != nil {
		if err := k.stand(ctx, &kept); err != nil {
			return kept, err
		}
	}
	if k.hasOld(now) {
		_, ended, err := k.extend(ctx)
		kept.Ended += ended
		if err != nil {
			return kept, err
		}
	}
	if kept.Role == glue.Standby || time.Now().Before(k.reapFrom) {
		return kept, nil
	}
	// The clock may be set since watchClock looked.
	reaped, err := k.reapAged(ctx, k.lease, k.othersLease, strconv.FormatInt(now.UnixMilli(), 10))
	kept.Reaped, kept.Others = reaped.Own, reaped.Others
	if err != nil || time.Now().Before(k.lookFrom) {
		return kept, err
	}
	k.lookFrom = time.Now().Add(k.lease / 2)
	if kept.Recovered, err = k.repair(ctx); err != nil {
		return kept, err
	}
	return kept, k.sweep(ctx)
}

// watchClock notices when Redis's clock is set, or its machine was suspended.
func (k *keeper) watchClock(now time.Time) {
	local := time.Now()
	if step := now.Sub(k.server) - local.Sub(k.local); !k.server.IsZero() && step.Abs() > k.lease/3 {
		k.giveOthersTime(k.lease)
	}
	k.server, k.local = now, local
}

// hasOld reports whether a claim of this Feed is older than a third of the lease, or as far ahead of a
// clock that was set back.
func (f *Feed) hasOld(now time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range f.held() {
		age := now.Sub(time.UnixMilli(c.at / ticks))
		if age.Abs() > f.lease/3 {
			return true
		}
	}
	return false
}

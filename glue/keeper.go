package glue

import (
	"context"

	"github.com/rs/zerolog"
)

// Keeper is a Feed that has to be looked after as long as this process may have jobs of it.
type Keeper interface {
	// Keep extends this process's claims and ends those of dead workers, until ctx is done: then all its
	// jobs are settled and publishers are flushed, and it gives up what it holds. It reports each of its rounds, with what it did or
	// why it could not, from one goroutine.
	Keep(ctx context.Context, report func(Kept, error))
}

// Kept is what a Keeper did in one round.
type Kept struct {
	Role      Role
	Ended     int // claims of this process that others have ended, so that others do these jobs too
	TakenBack int // jobs of the daemon that was active before, which are back on the feed
	Reaped    int // claims of dead daemons that it has ended
	Others    int // claims of dead workers of another kind that it has ended
	Recovered int // jobs that a dead worker had lost
}

// Role is what a daemon is to its feed.
type Role uint8

const (
	// Alone claims jobs, whatever others do.
	Alone Role = iota
	// Active claims jobs, and no other daemon with this option does.
	Active
	// Standby waits until the active daemon is gone.
	Standby
)

// keep looks after the feed, if it is one to look after, until ctx is done.
func (n *nozzle) keep(ctx context.Context) {
	if keeper, is := n.feed.(Keeper); is {
		k := keeping{log: n.log}
		keeper.Keep(ctx, k.report)
	}
}

// keeping logs what a Keeper reports.
type keeping struct {
	log     zerolog.Logger
	failing bool
	role    Role
}

func (k *keeping) report(kept Kept, err error) {
	switch {
	case err != nil && !k.failing:
		k.log.Error().Err(err).Msg("cannot look after the feed; trying again until it works")
	case err == nil && k.failing:
		k.log.Info().Msg("looking after the feed again")
	}
	k.failing = err != nil
	k.logRole(kept.Role, err)
	for _, done := range []struct {
		n    int
		text string
	}{
		{kept.Ended, "claims of this daemon were ended by others, so these jobs may be published twice"},
		{kept.TakenBack, "jobs of the daemon that was active before are back on the feed, in order"},
		{kept.Reaped, "claims of dead daemons ended; their jobs are back on the feed, in order"},
		{kept.Others, "claims of dead workers ended; their jobs are back on the feed"},
		{kept.Recovered, "jobs that a dead worker had lost are back on the feed"},
	} {
		if done.n > 0 {
			k.log.Warn().Int("jobs", done.n).Msg(done.text)
		}
	}
}

// logRole logs when the role is another one. A round that failed does not know.
func (k *keeping) logRole(role Role, err error) {
	if err != nil || role == k.role {
		return
	}
	switch {
	case role == Active:
		k.log.Info().Msg("this daemon is the active one")
	case k.role == Active:
		k.log.Warn().Msg("another daemon is the active one now: this one was away for too long; it stands by")
	default:
		k.log.Info().Msg("another daemon is the active one; this one stands by")
	}
	k.role = role
}

package thoonk

import (
	"cmp"
	"slices"
	"strconv"

	"pushglue/glue"
)

// A Feed remembers its claims until they are settled. When a job was claimed tells its claim from a
// later one of the same job: a worker that was slow, whose claim was ended and whose job another worker has
// now, must not cancel the job under that one's hands; nor must a worker that settles again because it
// got no answer end the next claim of its own. The contract has no better mark of who holds a claim.

// ticks is how many places a millisecond has for the jobs of a claim: as many as there are numbers in a
// score between two milliseconds, until 2039.
const ticks = 4096

// claim is one claim of one job, and glue.Job.Claim. The Feed's mu guards it.
type claim struct {
	id      string
	lease   *lease
	at      int64 // when it was made or extended, in 1/4096 ms: its score in Redis
	moving  int64 // another time that it may have, by an extension whose answer was lost; 0 for none
	settled bool
	ended   bool // by somebody else
}

// lease is what one call of the claim script claimed.
type lease struct {
	claims []claim
	open   int // claims that are not settled
}

// remember notes claims that were made from a time on, in 1/4096 ms, and marks their jobs. The claim script
// tells when each was made.
func (f *Feed) remember(from int64, jobs []glue.Job) {
	if len(jobs) == 0 {
		return
	}
	l := &lease{claims: make([]claim, len(jobs)), open: len(jobs)}
	whole := (from/ticks + 1) * ticks
	for i := range jobs {
		at := from + 1 + int64(i)
		if at >= whole {
			at++
		}
		l.claims[i] = claim{id: jobs[i].ID, lease: l, at: at}
		jobs[i].Claim = &l.claims[i]
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.leases = append(f.leases, l)
}

// forget drops the claims of jobs that are settled.
func (f *Feed) forget(settlements []glue.Settlement) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range settlements {
		c, ours := settlements[i].Claim.(*claim)
		if !ours || c.settled {
			continue
		}
		c.settled = true
		if c.lease.open--; c.lease.open == 0 {
			f.leases = slices.DeleteFunc(f.leases, func(l *lease) bool { return l == c.lease })
		}
	}
}

// held returns the claims that stand, as far as this Feed knows, oldest first. The caller holds f.mu.
func (f *Feed) held() []*claim {
	var held []*claim
	for _, l := range f.leases {
		for i := range l.claims {
			if c := &l.claims[i]; !c.settled && !c.ended {
				held = append(held, c)
			}
		}
	}
	slices.SortFunc(held, func(a, b *claim) int { return cmp.Compare(a.at, b.at) })
	return held
}

// score returns a settlement's claim as the settle script reads it. The caller holds f.mu.
func score(s *glue.Settlement) string {
	c, ok := s.Claim.(*claim)
	switch {
	case !ok:
		return ""
	case c.moving != 0:
		return formatTicks(c.at) + " " + formatTicks(c.moving)
	}
	return formatTicks(c.at)
}

// formatTicks writes a time in 1/4096 ms in ms.
func formatTicks(t int64) string {
	return strconv.FormatFloat(float64(t)/ticks, 'f', -1, 64)
}

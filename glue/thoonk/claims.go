package thoonk

import (
	"strconv"

	"pushglue/glue"
)

// A Feed remembers when it claimed each job that it has not settled. The time tells its claim from
// a later one of the same job: a worker that was slow, whose claim was ended and whose job another
// worker has now, must not cancel the job under that one's hands. The contract has no better
// mark of who holds a claim.

// remember notes claims made at a time in ms.
func (f *Feed) remember(at int64, jobs []glue.Job) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range jobs {
		f.claims[jobs[i].ID] = at
	}
}

// renew notes that claims of this Feed were extended at a time in ms.
func (f *Feed) renew(at int64, ids []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, id := range ids {
		if _, ours := f.claims[id]; ours {
			f.claims[id] = at
		}
	}
}

// forget drops the claims of jobs that are settled.
func (f *Feed) forget(settlements []glue.Settlement) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range settlements {
		delete(f.claims, settlements[i].JobID)
	}
}

// appendClaims appends ids and the times of their claims to a script's arguments.
func (f *Feed) appendClaims(args call, ids []string) call {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, id := range ids {
		args = append(args, id, f.claimTime(id))
	}
	return args
}

// claimTime returns the time of this Feed's claim in ms, or "" when it did not claim the job.
// The caller holds f.mu.
func (f *Feed) claimTime(id string) string {
	at, ours := f.claims[id]
	if !ours {
		return ""
	}
	return strconv.FormatInt(at, 10)
}

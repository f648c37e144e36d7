package glue

import (
	"context"
	"time"
)

// Job is one claimed entry of a feed.
type Job struct {
	ID        string
	Feed      string
	Payload   []byte    // as the producer put it; never modified
	Cancelled int       // times it went back to the feed after a failure
	Put       time.Time // when the producer put it; zero if the feed does not know

	// Waited is how long the job was on the feed when it was claimed, by the feed's clock; 0 if the
	// feed does not know.
	Waited time.Duration

	// Awaited is whether somebody may wait for the outcome, who is then told it (Settlement.Result).
	Awaited bool

	// Claim is the feed's mark of this claim, of no meaning to others.
	Claim any

	claimedAt time.Time // by the engine's clock
	trace     *trace    // nil if it is not traced
}

// putAt returns when the job was put, by the engine's clock; zero if the feed does not know.
func (j *Job) putAt() time.Time {
	if j.Put.IsZero() {
		return time.Time{}
	}
	return j.claimedAt.Add(-j.Waited)
}

// Verdict says where a claimed job goes when its outcome is known.
type Verdict uint8

const (
	// Finish removes the job: it was published, or a stage dropped it.
	Finish Verdict = iota + 1
	// Cancel puts the job back on the feed and counts the attempt.
	Cancel
	// Stall takes the job out of the running and keeps it for an operator.
	Stall
	// Release puts the job back at the head of the feed and counts nothing:
	// the daemon stops and nobody tried the job.
	Release
)

func (v Verdict) String() string {
	switch v {
	case Finish:
		return "finish"
	case Cancel:
		return "cancel"
	case Stall:
		return "stall"
	case Release:
		return "release"
	}
	return "none"
}

func (v Verdict) isTrouble() bool { return v == Cancel || v == Stall }

// Settlement is the verdict on one job.
type Settlement struct {
	JobID   string
	Claim   any // the job's; nil for whatever claim there is
	Verdict Verdict
	Reason  *Reason // why a job was cancelled or stalled; kept with one that is stalled
	Result  []byte  // told to whoever waits for a finished job; nil tells nobody

	put time.Time // when the job was put, by the engine's clock; zero if the feed does not know
}

// Reason is why a job was cancelled or stalled. It never holds payload.
type Reason struct {
	Pipeline string    `json:"pipeline"`
	Host     string    `json:"host,omitempty"` // the push host that is to blame, if it is one
	Error    string    `json:"error"`
	Attempts int       `json:"attempts"`
	Time     time.Time `json:"-"` // when the job stalled: set by the feed, and by its clock, when it is asked
}

// String returns the pipeline and the error. No reason is an empty string.
func (r *Reason) String() string {
	if r == nil {
		return ""
	}
	return r.Pipeline + ": " + r.Error
}

// Feed is a job queue: where jobs are claimed and settled.
// Its methods are safe for concurrent use.
type Feed interface {
	// Name returns the feed's name, without any prefix of the store.
	Name() string

	// Wait blocks until the feed may hold a job, a bounded time has passed, or ctx is done.
	// It claims nothing. It returns nil in the first two cases.
	Wait(ctx context.Context) error

	// Claim takes up to limit jobs, oldest first, and never blocks for one:
	// an empty feed gives no jobs and no error. The caller owns the result.
	Claim(ctx context.Context, limit int) ([]Job, error)

	// Settle applies all verdicts. It can be repeated after an error: a verdict that was
	// applied already, or whose claim is not the one that stands, changes nothing,
	// but for Finish: a job that was published is done, whoever holds its claim.
	Settle(ctx context.Context, settlements []Settlement) error
}

package thoonk

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unsafe"

	"pushglue/glue"
)

// blockTime is how long Redis holds a Wait. A Wait is not interrupted, so a stopping daemon waits
// for this long at most.
const blockTime = time.Second

// Wait implements glue.Feed: it blocks until the feed holds a queued id, a second has passed, or
// ctx is done, which it notices within a second. It occupies one connection meanwhile.
//
// A script cannot block. Moving the next id from the head of the list to the head of the same list
// can, changes nothing, and so holds no job that could be lost.
//
// A daemon that stands by waits for its turn.
func (f *Feed) Wait(ctx context.Context) error {
	if !f.mayClaim() {
		return f.standby.waitForRole(ctx)
	}
	err := f.rdb.BLMove(ctx, f.keys.ids, f.keys.ids, "RIGHT", "RIGHT", blockTime).Err()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	// The connection has the deadline of ctx and may notice it first.
	if deadline, ok := ctx.Deadline(); ok && !time.Now().Before(deadline) {
		return context.DeadlineExceeded
	}
	if err != nil && !isNil(err) {
		return f.failed("wait for", err)
	}
	return nil
}

// Claim implements glue.Feed: it takes up to limit jobs, next one first, in one atomic step and
// round trip for each 1,000. An id that is a copy, or whose job is gone, is dropped from the feed.
//
// If a later step fails, the jobs of the earlier ones are returned without an error: they are
// claimed, and the error will come back at the next call. A claim whose answer is lost on the way
// stays until Reap ends it. A daemon that stands by claims nothing.
//
// Source: contract.txt, "Get".
func (f *Feed) Claim(ctx context.Context, limit int) ([]glue.Job, error) {
	var jobs []glue.Job
	for len(jobs) < limit {
		want := min(limit-len(jobs), chunk)
		more, popped, err := f.claim(ctx, want)
		if err != nil && len(jobs) == 0 {
			return nil, f.failed("claim from", err)
		}
		if err != nil {
			return jobs, nil
		}
		if jobs == nil {
			jobs = more
		} else {
			jobs = append(jobs, more...)
		}
		if popped < want {
			break
		}
	}
	return jobs, nil
}

// claim runs the claim script once. It also returns how many ids were popped: fewer than limit
// mean that the queue is empty, or that this daemon stands by.
func (f *Feed) claim(ctx context.Context, limit int) (jobs []glue.Job, popped int, err error) {
	k := &f.keys
	f.moving.RLock()
	defer f.moving.RUnlock()
	if !f.mayClaim() { // asked here, so that no claim is on its way when the keeper takes back
		return nil, 0, nil
	}
	args := claimScript.call(4, k.ids, k.items, k.published, k.claimed, k.cancelled, k.stalled, k.active)
	reply, err := claimScript.stringsOnce(ctx, f.rdb, append(args, strconv.Itoa(limit), f.notices.claim, f.claimant(), k.results))
	if f.standby != nil && (err != nil || reply[0] == "refused") {
		// The keeper finds out who is the active one. If the answer to a claim was lost, it also takes
		// back what was claimed, before more is: so that its place in the order is kept.
		f.standby.active.Store(false)
		return nil, 0, err
	}
	if err != nil {
		return nil, 0, err
	}
	head, entries := strings.Fields(reply[0]), reply[1:]
	now, err := strconv.ParseInt(head[0], 10, 64)
	if err != nil {
		return nil, 0, err
	}
	popped, err = strconv.Atoi(head[1])
	if err != nil {
		return nil, 0, err
	}
	from, err := strconv.ParseInt(head[2], 10, 64)
	if err != nil {
		return nil, 0, err
	}
	jobs = make([]glue.Job, len(entries)/2)
	for i := range jobs {
		jobs[i] = f.job(entries[2*i], entries[2*i+1], head[3+2*i], head[4+2*i])
		jobs[i].Awaited = head[len(head)-1] != "0"
		if !jobs[i].Put.IsZero() {
			jobs[i].Waited = max(0, time.UnixMilli(now).Sub(jobs[i].Put))
		}
	}
	f.remember(from, jobs)
	return jobs, popped, nil
}

// job makes a job of what Redis holds. A count or time that is no number is none: it is no reason
// to hold up the job.
func (f *Feed) job(id, payload, cancelled, put string) glue.Job {
	job := glue.Job{ID: id, Feed: f.name}
	// Nobody else knows the string and nobody writes into a payload, so it needs no copy.
	job.Payload = unsafe.Slice(unsafe.StringData(payload), len(payload))
	job.Cancelled = cancellations(cancelled)
	if score, err := strconv.ParseFloat(put, 64); err == nil {
		job.Put = scoreTime(score)
	}
	return job
}

// secondsEnd ends the scores that are times in s: thoonk.py's retry forgets the factor, and as ms,
// whatever is under it would be a time in or before 1973.
const secondsEnd = 1e11

// scoreTime reads a score that is a time.
func scoreTime(score float64) time.Time {
	if score <= 0 {
		return time.Time{}
	}
	if score < secondsEnd {
		score *= 1000
	}
	return time.UnixMicro(int64(score * 1000))
}

// Settle implements glue.Feed, in one atomic step and round trip for each 1,000 settlements.
//
// Finish removes the job, whoever holds its claim now, and counts it once. A copy of its id may
// stay on the queue; the claim that pops it drops it. Cancel, Stall and Release end the claim that
// the settlement names, and change nothing if it was ended or replaced by another; without a Claim
// they end whatever claim there is. Released jobs come out again in the
// order of settlements, before all that is queued. The reason of a job that stalls is kept until it is
// stalled no more; see Describe and Job.
//
// Source: contract.txt, "Finish", "Cancel" and "Stall".
func (f *Feed) Settle(ctx context.Context, settlements []glue.Settlement) error {
	f.moving.RLock()
	defer f.moving.RUnlock()
	finished, others, err := f.plan(settlements)
	if err != nil {
		return f.failed("settle", err)
	}
	k := &f.keys
	for len(finished)+len(others) > 0 {
		n := min(len(finished), chunk)
		m := min(len(others), (chunk-n)*verdictArgs)
		args := settleScript.call(2+n+m, k.ids, k.items, k.published, k.claimed, k.cancelled, k.stalled, k.finishes, k.reasons)
		args = append(args, k.results, strconv.Itoa(n))
		args = append(args, finished[:n]...)
		args = append(args, others[:m]...)
		if _, err := settleScript.integer(ctx, f.rdb, args); err != nil {
			return f.failed("settle", err)
		}
		finished, others = finished[n:], others[m:]
	}
	f.forget(settlements)
	return nil
}

// verdictArgs is how many of the settle script's arguments make one verdict that is not a plain
// finish: verdict, id, a result or the time of the claim, and why.
const verdictArgs = 4

// plan sorts settlements into the settle script's arguments: ids of jobs that finish without a
// result, and other verdicts. The job to be released first is last, for it goes on top.
func (f *Feed) plan(settlements []glue.Settlement) (finished, others []any, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	finished = make([]any, 0, len(settlements))
	for i := range settlements {
		s := &settlements[i]
		switch {
		case s.Verdict == glue.Finish && s.Result == nil:
			finished = append(finished, s.JobID)
		case s.Verdict == glue.Finish:
			others = append(others, "finish", s.JobID, s.Result, "")
		case s.Verdict == glue.Cancel:
			others = append(others, "cancel", s.JobID, score(s), "")
		case s.Verdict == glue.Stall:
			others = append(others, "stall", s.JobID, score(s), encodeReason(s.Reason))
		case s.Verdict != glue.Release:
			return nil, nil, fmt.Errorf("job %s has no verdict", s.JobID)
		}
	}
	for i := range slices.Backward(settlements) {
		if s := &settlements[i]; s.Verdict == glue.Release {
			others = append(others, "release", s.JobID, score(s), "")
		}
	}
	return finished, others, nil
}

// Retry puts stalled jobs back at the end of the feed, as if they were put now, and returns the
// ids of those that were stalled. With an error, the ids put back so far are returned too.
//
// Source: contract.txt, "Retry".
func (f *Feed) Retry(ctx context.Context, ids ...string) (queued []string, err error) {
	k := &f.keys
	for part := range slices.Chunk(ids, chunk) {
		args := retryScript.call(len(part), k.ids, k.items, k.published, k.stalled, k.reasons)
		reply, err := retryScript.strings(ctx, f.rdb, append(args, anySlice(part)...))
		if err != nil {
			return queued, f.failed("retry jobs of", err)
		}
		queued = append(queued, reply...)
	}
	return queued, nil
}

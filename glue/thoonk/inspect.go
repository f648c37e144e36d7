package thoonk

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"pushglue/glue"
)

// State is where a job is on its way.
type State uint8

const (
	// Queued jobs wait to be claimed.
	Queued State = iota + 1
	// Claimed jobs are with a worker.
	Claimed
	// Stalled jobs are out of the running until they are retried.
	Stalled
)

// String returns the state's name.
func (s State) String() string {
	switch s {
	case Queued:
		return "queued"
	case Claimed:
		return "claimed"
	case Stalled:
		return "stalled"
	}
	return "unknown"
}

// ErrNoJob says that a feed holds no job of this id: it never did, or it finished or was retracted.
var ErrNoJob = errors.New("no such job")

// Counts is how many jobs a feed holds in each state, and how many it ever held.
type Counts struct {
	Queued, Claimed, Stalled int64

	Lost      int64 // jobs in no state, at least: see the method Lost. A worker of thoonk.py has a job there for a moment when it claims it.
	Cancelled int64 // jobs in the feed that were cancelled at least once
	Put       int64 // jobs ever put
	Finished  int64 // jobs ever finished
}

// Counts returns the feed's counts, all of one moment, at constant cost. A feed that does not exist
// has none of anything. Queued counts ids on the queue, and so copies too.
func (f *Feed) Counts(ctx context.Context) (Counts, error) {
	k := &f.keys
	tx := f.rdb.TxPipeline()
	queued := tx.LLen(ctx, k.ids)
	claimed := tx.ZCard(ctx, k.claimed)
	stalled := tx.SCard(ctx, k.stalled)
	held := tx.HLen(ctx, k.items)
	cancelled := tx.HLen(ctx, k.cancelled)
	put := tx.Get(ctx, k.publishes)
	finished := tx.Get(ctx, k.finishes)
	if err := execute(ctx, tx); err != nil {
		return Counts{}, f.failed("count jobs of", err)
	}
	counts := Counts{Queued: queued.Val(), Claimed: claimed.Val(), Stalled: stalled.Val(), Cancelled: cancelled.Val()}
	counts.Lost = max(0, held.Val()-counts.Queued-counts.Claimed-counts.Stalled)
	var err error
	if counts.Put, err = counter(put); err != nil {
		return Counts{}, f.failed("count jobs of", err)
	}
	if counts.Finished, err = counter(finished); err != nil {
		return Counts{}, f.failed("count jobs of", err)
	}
	return counts, nil
}

func counter(cmd *redis.StringCmd) (int64, error) {
	if isNil(cmd.Err()) {
		return 0, nil
	}
	return cmd.Int64()
}

// execute runs a transaction of reads. That there is nothing under a key is no error here.
func execute(ctx context.Context, tx redis.Pipeliner) error {
	cmds, err := tx.Exec(ctx)
	if err == nil {
		return nil
	}
	for _, cmd := range cmds {
		if err := cmd.Err(); err != nil && !isNil(err) {
			return err
		}
	}
	if isNil(err) {
		return nil
	}
	return err
}

func isNil(err error) bool { return errors.Is(err, redis.Nil) }

// Record is a job and where it is.
type Record struct {
	glue.Job
	State     State
	ClaimedAt time.Time    // zero unless the job is claimed
	Reason    *glue.Reason // why the job is stalled, and since when; nil if it is not, or was stalled by another worker
}

// Job returns one job. The error is ErrNoJob if the feed does not hold it. A lost job (see Lost)
// counts as queued: to find its id on the queue would cost a walk over it.
func (f *Feed) Job(ctx context.Context, id string) (Record, error) {
	k := &f.keys
	tx := f.rdb.TxPipeline()
	payload := tx.HGet(ctx, k.items, id)
	cancelled := tx.HGet(ctx, k.cancelled, id)
	put := tx.ZScore(ctx, k.published, id)
	claimed := tx.ZScore(ctx, k.claimed, id)
	stalled := tx.SIsMember(ctx, k.stalled, id)
	reason := tx.HGet(ctx, k.reasons, id)
	if err := execute(ctx, tx); err != nil {
		return Record{}, f.failed("read a job of", err)
	}
	if isNil(payload.Err()) {
		return Record{}, fmt.Errorf("job %q of feed %q: %w", id, f.name, ErrNoJob)
	}
	record := Record{Job: glue.Job{ID: id, Feed: f.name, Payload: []byte(payload.Val()), Cancelled: cancellations(cancelled.Val()), Put: scoreTime(put.Val())}}
	record.State, record.ClaimedAt = place(stalled.Val(), claimed)
	if record.State == Stalled {
		record.Reason = decodeReason(reason.Val())
	}
	return record, nil
}

// place returns a job's state and the time of its claim, from what the sets of stalled and claimed
// ids say of it.
func place(stalled bool, claimed *redis.FloatCmd) (state State, claimedAt time.Time) {
	switch {
	case stalled:
		return Stalled, time.Time{}
	case claimed.Err() == nil:
		return Claimed, scoreTime(claimed.Val())
	}
	return Queued, time.Time{}
}

// cancellations reads how often a job was cancelled. What is no number is none: it hides no job.
func cancellations(stored string) int {
	n, err := strconv.ParseUint(stored, 10, 50) // 15 digits, as in the scripts
	if err != nil {
		return 0
	}
	return int(n)
}

// Entry is a job and where it is, without its payload.
type Entry struct {
	ID        string
	State     State
	Put       time.Time    // zero for a stalled job, as a rule: its time is taken away
	ClaimedAt time.Time    // zero unless the job is claimed
	Cancelled int          // times the job went back to the feed
	Size      int          // of the payload, in bytes
	Reason    *glue.Reason // as in Record
}

// Describe returns what the feed holds of these jobs, in their order, and leaves out those that it
// does not hold. Up to 1,000 are of one moment, and one round trip; it reads no payload. A lost job
// counts as queued, as with Job.
func (f *Feed) Describe(ctx context.Context, ids ...string) ([]Entry, error) {
	entries := make([]Entry, 0, len(ids))
	for part := range slices.Chunk(ids, chunk) {
		var err error
		if entries, err = f.describe(ctx, entries, part); err != nil {
			return nil, f.failed("describe jobs of", err)
		}
	}
	return entries, nil
}

func (f *Feed) describe(ctx context.Context, entries []Entry, ids []string) ([]Entry, error) {
	k := &f.keys
	exists, size, claimed := make([]*redis.BoolCmd, len(ids)), make([]*redis.IntCmd, len(ids)), make([]*redis.FloatCmd, len(ids))
	tx := f.rdb.TxPipeline()
	for i, id := range ids {
		exists[i] = tx.HExists(ctx, k.items, id)
		size[i] = tx.HStrLen(ctx, k.items, id)
		claimed[i] = tx.ZScore(ctx, k.claimed, id)
	}
	put := tx.ZMScore(ctx, k.published, ids...)
	cancelled := tx.HMGet(ctx, k.cancelled, ids...)
	stalled := tx.SMIsMember(ctx, k.stalled, anySlice(ids)...)
	reasons := tx.HMGet(ctx, k.reasons, ids...)
	if err := execute(ctx, tx); err != nil {
		return nil, err
	}
	for i, id := range ids {
		if !exists[i].Val() {
			continue
		}
		entry := Entry{ID: id, Put: scoreTime(put.Val()[i]), Size: int(size[i].Val())}
		entry.State, entry.ClaimedAt = place(stalled.Val()[i], claimed[i])
		if times, ok := cancelled.Val()[i].(string); ok {
			entry.Cancelled = cancellations(times)
		}
		if reason, ok := reasons.Val()[i].(string); ok && entry.State == Stalled {
			entry.Reason = decodeReason(reason)
		}
		entries = append(entries, entry)
	}
	return entries, nil
}

// OldestPut returns when the job was put that has waited for longest of those that are queued or
// claimed: how far the feed is behind. The zero time means that there is none.
func (f *Feed) OldestPut(ctx context.Context) (time.Time, error) {
	return f.oldest(ctx, f.keys.published)
}

// OldestAge returns how long that job has waited, by the clock of Redis, which has given its time; 0 if there is none.
func (f *Feed) OldestAge(ctx context.Context) (time.Duration, error) {
	oldest, err := f.OldestPut(ctx)
	if err != nil || oldest.IsZero() {
		return 0, err
	}
	now, err := f.Now(ctx)
	if err != nil {
		return 0, err
	}
	return max(0, now.Sub(oldest)), nil
}

// OldestClaim returns when the claim was made that has stood for longest. The zero time means that
// there is none.
func (f *Feed) OldestClaim(ctx context.Context) (time.Time, error) {
	return f.oldest(ctx, f.keys.claimed)
}

func (f *Feed) oldest(ctx context.Context, times string) (time.Time, error) {
	found, err := f.older(ctx, times, "", 1, false)
	if err != nil || len(found) == 0 {
		return time.Time{}, err
	}
	return time.UnixMilli(found[0].at), nil
}

// Older returns the ids of up to limit jobs, at most 1,000, that were put (Queued) or claimed
// (Claimed) longer than age ago, the oldest first. It is no answer for Stalled: nobody notes when a
// job stalls; see Walk.
//
// It looks at the 10,000 oldest jobs at most, so that it costs no more on a long feed. Behind
// more jobs than that in another state it finds nothing.
func (f *Feed) Older(ctx context.Context, state State, age time.Duration, limit int) ([]string, error) {
	times, skipClaimed := f.keys.published, true
	switch state {
	case Queued:
	case Claimed:
		times, skipClaimed = f.keys.claimed, false
	default:
		return nil, fmt.Errorf("look at old jobs of feed %q: a %s job has no age", f.name, state)
	}
	found, err := f.older(ctx, times, ageArg(age), limit, skipClaimed)
	if err != nil {
		return nil, err
	}
	return agedIDs(found), nil
}

// aged is a job's id with a time in ms.
type aged struct {
	id string
	at int64
}

// older runs the script of this name, which documents the arguments, and sorts what it finds.
func (f *Feed) older(ctx context.Context, times, age string, limit int, skipClaimed bool) ([]aged, error) {
	limit = min(limit, chunk)
	if limit <= 0 {
		return nil, nil
	}
	skip := "0"
	if skipClaimed {
		skip = "1"
	}
	args := olderScript.call(3, times, f.keys.claimed, f.keys.stalled)
	reply, err := olderScript.strings(ctx, f.rdb, append(args, age, strconv.Itoa(limit), skip))
	if err != nil {
		return nil, f.failed("look at old jobs of", err)
	}
	found := make([]aged, len(reply)/2)
	for i := range found {
		found[i].id = reply[2*i]
		if found[i].at, err = strconv.ParseInt(reply[2*i+1], 10, 64); err != nil {
			return nil, f.failed("look at old jobs of", err)
		}
	}
	slices.SortStableFunc(found, func(a, b aged) int { return cmp.Compare(a.at, b.at) })
	return found[:min(len(found), limit)], nil
}

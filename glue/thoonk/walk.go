package thoonk

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"time"
)

// overlap is how many places of a page are read again with the next one. Of a set of times, others
// take what is in front, and all that is behind moves up: without it, as many jobs would be skipped.
const overlap = chunk / 5

// Walk yields the ids of the jobs in a state, in pages of up to 1,000: Queued ones in the order of
// the queue, the next one first, Claimed ones oldest claim first, Stalled ones in no order. It
// reads no further than as many as there were at its start.
//
// The feed is not held up meanwhile, so a job can be in another state when its page comes; what
// acts on a page asks again: Describe, Cancel, Retry. A page can hold an id that is none of a job in
// this state, such as a copy on the queue, and an id can come twice.
//
// On the queue, no job that stays there is missed, however many are put at its end or its head, and
// taken from its head, between two pages. There is one exception: all jobs that the walk has passed
// were taken and given back to the end meanwhile. When more than some hundred of the oldest claims
// end between two pages, some claims behind them can be missed.
func (f *Feed) Walk(ctx context.Context, state State) iter.Seq2[[]string, error] {
	switch state {
	case Queued:
		return f.walkQueue(ctx)
	case Claimed:
		return f.walkTimes(ctx, f.keys.claimed, "")
	case Stalled:
		return f.walkStalled(ctx)
	}
	return failing(fmt.Errorf("list jobs of feed %q: no job is in the state %s", f.name, state))
}

// WalkOlder yields, like Walk, the ids of jobs that were put (Queued) or claimed (Claimed) longer
// than age ago, the oldest first. Pages of Queued ones hold ids of claimed jobs too, which have a
// time put as well; and of jobs that were lost, which Walk does not see. Stalled jobs have no age,
// see Older.
func (f *Feed) WalkOlder(ctx context.Context, state State, age time.Duration) iter.Seq2[[]string, error] {
	ms := ageArg(age)
	switch state {
	case Queued:
		return f.walkTimes(ctx, f.keys.published, ms)
	case Claimed:
		return f.walkTimes(ctx, f.keys.claimed, ms)
	}
	return failing(fmt.Errorf("look at old jobs of feed %q: a %s job has no age", f.name, state))
}

// OldClaims returns how many claims are older than age.
func (f *Feed) OldClaims(ctx context.Context, age time.Duration) (int, error) {
	s, err := f.span(ctx, f.keys.claimed, ageArg(age))
	if err != nil {
		return 0, f.failed("count jobs of", err)
	}
	return s.oldSeconds + s.oldMillis, nil
}

func failing(err error) iter.Seq2[[]string, error] {
	return func(yield func([]string, error) bool) { yield(nil, err) }
}

func (f *Feed) walkStalled(ctx context.Context) iter.Seq2[[]string, error] {
	return func(yield func([]string, error) bool) {
		seen := map[string]bool{} // a scan can come to one id twice
		for cursor, first := uint64(0), true; first || cursor != 0; first = false {
			var page []string
			var err error
			page, cursor, err = f.rdb.SScan(ctx, f.keys.stalled, cursor, "", chunk).Result()
			if err != nil {
				yield(nil, f.failed("list stalled jobs of", err))
				return
			}
			page = slices.DeleteFunc(page, func(id string) bool {
				old := seen[id]
				seen[id] = true
				return old
			})
			// A scan can return more than it is asked for.
			for part := range slices.Chunk(page, chunk) {
				if !yield(part, nil) {
					return
				}
			}
		}
	}
}

// walkTimes walks over a sorted set of times. Its entries with times in s come before all others,
// so that they are a walk of their own.
func (f *Feed) walkTimes(ctx context.Context, key, age string) iter.Seq2[[]string, error] {
	return func(yield func([]string, error) bool) {
		s, err := f.span(ctx, key, age)
		if err != nil {
			yield(nil, f.failed("look at old jobs of", err))
			return
		}
		seconds := walk{end: s.oldSeconds, read: f.readTimes(ctx, key, true, s.latest)}
		millis := walk{next: s.seconds, end: s.seconds + s.oldMillis, read: f.readTimes(ctx, key, false, s.latest)}
		var a, b []aged
		for {
			if len(a) == 0 {
				a, err = seconds.page()
			}
			if len(b) == 0 && err == nil {
				b, err = millis.page()
			}
			if err != nil {
				yield(nil, f.failed("look at old jobs of", err))
				return
			}
			var page []aged
			page, a, b = mergePage(a, b)
			if len(page) == 0 || !yield(agedIDs(page), nil) {
				return
			}
		}
	}
}

// readTimes returns what reads a sorted set of times for a walk over those in one unit.
func (f *Feed) readTimes(ctx context.Context, key string, inSeconds bool, latest float64) func(first, last int) ([]aged, error) {
	return func(first, last int) ([]aged, error) {
		entries, err := f.rdb.ZRangeWithScores(ctx, key, int64(first), int64(last)).Result()
		page := make([]aged, len(entries))
		for i, z := range entries {
			ms := z.Score
			if z.Score < secondsEnd {
				ms *= 1000
			}
			if (z.Score < secondsEnd) == inSeconds && ms < latest+1 {
				page[i] = aged{z.Member.(string), int64(ms)}
			}
		}
		return page, err
	}
}

// span is how far to read a sorted set of times.
type span struct {
	latest                         float64 // ms
	seconds, oldSeconds, oldMillis int
}

// span runs the script of this name, which documents the argument and the numbers.
func (f *Feed) span(ctx context.Context, key, age string) (s span, err error) {
	reply, err := spanScript.strings(ctx, f.rdb, append(spanScript.call(1, key), age))
	if err != nil {
		return s, err
	}
	s.latest, err = strconv.ParseFloat(reply[0], 64)
	for i, n := range []*int{&s.seconds, &s.oldSeconds, &s.oldMillis} {
		if err == nil {
			*n, err = strconv.Atoi(reply[i+1])
		}
	}
	return s, err
}

// walk reads a list or a sorted set by its places, a page at a time.
type walk struct {
	next, end int // places
	read      func(first, last int) ([]aged, error)
	seen      map[string]bool // ids of the page before
}

// page returns the entries of the next page that were not in the one before. It is empty at the
// end. An entry without an id is none.
func (w *walk) page() ([]aged, error) {
	for w.next < w.end {
		first := max(0, w.next-overlap)
		last := min(first+chunk, w.end) - 1
		entries, err := w.read(first, last)
		if err != nil {
			return nil, err
		}
		w.next = first + len(entries)
		if w.next <= last {
			w.next = w.end
		}
		seen := make(map[string]bool, len(entries))
		fresh := entries[:0]
		for _, entry := range entries {
			if entry.id != "" && !w.seen[entry.id] && !seen[entry.id] {
				fresh = append(fresh, entry)
			}
			seen[entry.id] = true
		}
		w.seen = seen
		if len(fresh) > 0 {
			return fresh, nil
		}
	}
	return nil, nil
}

// mergePage takes the first page from two lists that are sorted by age. It ends where one of them does,
// for what comes behind that one can be older than the rest of the other.
func mergePage(a, b []aged) (page, restA, restB []aged) {
	for len(page) < chunk && len(a) > 0 && len(b) > 0 {
		if a[0].at <= b[0].at {
			page, a = append(page, a[0]), a[1:]
		} else {
			page, b = append(page, b[0]), b[1:]
		}
	}
	if len(page) > 0 {
		return page, a, b
	}
	return slices.Concat(a, b), nil, nil
}

func agedIDs(list []aged) []string {
	ids := make([]string, len(list))
	for i, entry := range list {
		ids[i] = entry.id
	}
	return ids
}

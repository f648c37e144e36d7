package glue

import (
	"math/bits"
	"time"
)

// Times counts durations by length: bucket i those up to TimesBound(i) and over the bound before, the last one all that are
// longer. To note one takes nanoseconds.
type Times struct {
	Count  int64
	Sum    time.Duration
	Bucket [TimesBuckets]int64
}

// TimesBuckets is how many buckets there are.
const TimesBuckets = 24

// timesUnit is the first bound. Each bound is twice the one before.
const timesUnit = 16 * time.Microsecond

// TimesBound returns the longest duration in bucket i, which is not the last one: 16 µs for 0, 67 s for 22.
func TimesBound(i int) time.Duration { return timesUnit << i }

// Note counts one.
func (t *Times) Note(d time.Duration) {
	d = max(d, 0) // a clock was set back
	t.Count++
	t.Sum += d
	t.Bucket[min(bits.Len64(uint64((d-1)/timesUnit)), TimesBuckets-1)]++
}

// add adds what d has counted.
func (t *Times) add(d *Times) {
	if d.Count == 0 {
		return
	}
	t.Count += d.Count
	t.Sum += d.Sum
	for i, n := range d.Bucket {
		t.Bucket[i] += n
	}
}

// Since returns what was counted after an earlier state of t.
func (t Times) Since(earlier Times) Times {
	t.Count -= earlier.Count
	t.Sum -= earlier.Sum
	for i, n := range earlier.Bucket {
		t.Bucket[i] -= n
	}
	return t
}

// Quantile returns how long the share q of all took at most, to the precision of the buckets; 0 if there are none.
func (t Times) Quantile(q float64) time.Duration {
	rank := q * float64(t.Count)
	var below float64
	for i, n := range t.Bucket {
		if n == 0 || below+float64(n) < rank {
			below += float64(n)
			continue
		}
		shortest, longest := time.Duration(0), TimesBound(i)
		if i > 0 {
			shortest = TimesBound(i - 1)
		}
		return shortest + time.Duration(float64(longest-shortest)*(rank-below)/float64(n))
	}
	return 0
}

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

package faults

import (
	"fmt"
	"slices"
	"strings"
)

// finish ends the load, waits until everything has settled, and asks what every round is asked.
func (r *round) finish() {
	r.Helper()
	r.producer.finish()
	if r.awaitJobs() {
		r.awaitReaders()
		r.awaitSums()
	}
	if r.endWatch != nil {
		r.endWatch()
	}
	r.stopDaemons()
	r.checkJobs()
	r.readers.end()
	r.checkReaders()
	r.checkLedgers()
	r.Logf("%d jobs were claimed at %d losses", r.lost(), len(r.losses))
}

// awaitJobs waits until all jobs that are left are stalled.
func (r *round) awaitJobs() (settled bool) {
	r.Helper()
	state := map[string]string{}
	done := func() bool {
		left := 0
		for _, feed := range feeds {
			c, ok := r.census(feed)
			if !ok {
				return false
			}
			left += len(c.Queued) + len(c.Claimed) + len(c.Items) - len(c.Stalled)
			state[feed] = fmt.Sprintf("%d put, %d finished; of %d jobs are %d queued, %d claimed, %d stalled",
				c.Put, c.Finished, len(c.Items), len(c.Queued), len(c.Claimed), len(c.Stalled))
		}
		return left == 0
	}
	if !inTime(done) {
		r.Errorf("the feeds do not come to their end in %s: %q", patience, state)
		return false
	}
	return true
}

// awaitReaders waits until nothing is missing. Whether it is, checkReaders says.
func (r *round) awaitReaders() {
	inTime(r.readers.complete)
}

func (rs *readers) complete() bool {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	for _, rec := range rs.lists {
		if len(rs.missing(rec)) > 0 {
			return false
		}
	}
	return true
}

// missing returns the messages of a reader's channel that it did not get.
func (rs *readers) missing(rec *receipt) []int {
	p := rs.r.producer
	p.mu.Lock()
	defer p.mu.Unlock()
	var numbers []int
	for _, j := range p.jobs {
		if n := j.place[rec.channel]; n > 0 && !rec.got[n] && !p.poison[j.id] && !rs.r.excused[j.id] {
			numbers = append(numbers, n)
		}
	}
	slices.Sort(numbers)
	return numbers
}

func (r *round) stopDaemons() {
	r.Helper()
	for _, d := range r.daemons {
		r.account(d)
		r.sums = append(r.sums, d.Stop())
	}
	r.daemons = nil
}

// checkJobs requires that Redis knows what became of every job.
func (r *round) checkJobs() {
	r.Helper()
	for _, feed := range feeds {
		c, ok := r.census(feed)
		if !ok {
			r.Fatalf("feed %s: Redis does not answer", feed)
		}
		if err := c.Check(); err != nil {
			r.Errorf("feed %s: %v", feed, err)
		}
		if len(c.Claimed) > 0 {
			r.Errorf("feed %s: %d jobs are claimed, and no daemon runs: %.5q", feed, len(c.Claimed), c.Claimed)
		}
		r.checkStalled(feed, c)
	}
	if n := r.counts.written.Load(); n > 0 && !r.scenario.retried {
		r.Errorf("%d jobs were counted as cancelled, and no verdict said so", n)
	}
	if r.producer.put < len(r.producer.jobs) {
		r.Errorf("%d of %d jobs were put", r.producer.put, len(r.producer.jobs))
	}
}

// checkReaders requires that readers got everything, unchanged, and in the order that is promised.
func (r *round) checkReaders() {
	r.Helper()
	for _, rec := range r.readers.lists {
		where := fmt.Sprintf("host %d, channel %s", rec.host, rec.channel)
		if missing := r.readers.missing(rec); len(missing) > 0 {
			r.Errorf("%s: %d messages are missing, %d came, over %d streams: %s", where, len(missing), len(rec.got), rec.streams, ranges(missing))
		}
		if len(rec.wrong) > 0 {
			r.Errorf("%s: %d events are wrong: %s", where, len(rec.wrong), rec.wrong[0])
		}
		r.checkOrder(where, rec)
		if twice := r.twice(rec); r.scenario.once && rec.streams == 1 && len(twice) > 0 {
			r.Errorf("%s: %d messages came twice: %s", where, len(twice), ranges(twice))
		}
	}
}

// twice returns the messages that a reader got again, without those that were put again.
func (r *round) twice(rec *receipt) []int {
	ids := r.producer.ids(rec.channel)
	again := slices.DeleteFunc(slices.Clone(rec.again), func(n int) bool { return r.producer.again[ids[n]] })
	return slices.Compact(slices.Sorted(slices.Values(again)))
}

// ranges writes sorted numbers as 1-3, 7.
func ranges(numbers []int) string {
	var parts []string
	for i := 0; i < len(numbers); {
		end := i
		for end+1 < len(numbers) && numbers[end+1] == numbers[end]+1 {
			end++
		}
		if end == i {
			parts = append(parts, fmt.Sprint(numbers[i]))
		} else {
			parts = append(parts, fmt.Sprintf("%d-%d", numbers[i], numbers[end]))
		}
		i = end + 1
	}
	if len(parts) > 20 {
		parts = append(parts[:20], "…")
	}
	return strings.Join(parts, ", ")
}

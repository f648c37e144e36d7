package glue_test

import (
	"math"
	"testing"
	"testing/synctest"
	"time"

	"pushglue/glue"
	"pushglue/glue/gluetest"
)

func TestTimesAreCountedUpToTheirBound(t *testing.T) {
	for _, test := range []struct {
		took   time.Duration
		bucket int
	}{
		{-time.Second, 0},
		{0, 0},
		{1, 0},
		{16 * time.Microsecond, 0},
		{16*time.Microsecond + 1, 1},
		{32 * time.Microsecond, 1},
		{time.Millisecond, 6},
		{time.Second, 16},
		{glue.TimesBound(22), 22},
		{glue.TimesBound(22) + 1, 23},
		{math.MaxInt64, 23},
	} {
		var times glue.Times
		times.Note(test.took)
		if times.Bucket[test.bucket] != 1 || times.Count != 1 || times.Sum != max(test.took, 0) {
			t.Errorf("%v: %+v, want bucket %d", test.took, times, test.bucket)
		}
	}
}

// TestTimesTellWhatMostTook, to the precision of their buckets.
func TestTimesTellWhatMostTook(t *testing.T) {
	var times glue.Times
	if q := times.Quantile(0.5); q != 0 {
		t.Errorf("of none: %s", q)
	}
	for range 1000 {
		times.Note(time.Minute) // before
	}
	earlier := times
	for range 90 {
		times.Note(3 * time.Millisecond)
	}
	for range 10 {
		times.Note(700 * time.Millisecond)
	}
	since := times.Since(earlier)
	if want := 90*3*time.Millisecond + 10*700*time.Millisecond; since.Count != 100 || since.Sum != want {
		t.Errorf("%+v, want 100 in %s", since, want)
	}
	for q, within := range map[float64][2]time.Duration{
		0.5:  {2 * time.Millisecond, 4096 * time.Microsecond},
		0.9:  {2 * time.Millisecond, 4096 * time.Microsecond},
		0.91: {500 * time.Millisecond, 1100 * time.Millisecond},
		1:    {500 * time.Millisecond, 1100 * time.Millisecond},
	} {
		if got := since.Quantile(q); got < within[0] || got > within[1] {
			t.Errorf("%g took up to %s, want one of %s", q, got, within)
		}
	}
}

// TestTheLedgerHasTimes of what a job goes through.
func TestTheLedgerHasTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := glue.NamedStage{Name: "slow", Stage: stage(func(*glue.Message) error { time.Sleep(time.Second); return nil })}
		pub := &gluetest.Publisher{}
		e := start(t, glue.Config{}, glue.Pipeline{Name: "p", Stages: []glue.NamedStage{slow}, Publisher: pub})
		e.put("one", "two")
		time.Sleep(3 * time.Second)
		if _, err := e.end(); err != nil {
			t.Error(err)
		}
		sums := e.ledger.Sums()
		p := sums.Pipelines[0]
		if took := p.Stages[0].Took; took.Count != 1 || took.Sum != time.Second {
			t.Errorf("stage: %+v, want the first job", took)
		}
		if took := p.Publish.Took; took.Count != 1 {
			t.Errorf("publisher: %+v, want a batch", took)
		}
		if waited, took := sums.Feeds[0].Waited, sums.Feeds[0].Took; waited.Count != 2 || took.Count != 2 || took.Sum != 4*time.Second {
			t.Errorf("waited %+v, took %+v, want two jobs of 2s", waited, took)
		}
	})
}

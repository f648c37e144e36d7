package glue_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pushglue/glue"
	"pushglue/glue/gluetest"
)

func TestAWindowEnds(t *testing.T) {
	const window = 25 * time.Millisecond
	for name, test := range map[string]struct {
		end  func(*engine) // ends it early
		want time.Duration // how long it was
	}{
		"after its time":            {func(*engine) {}, window},
		"when the daemon stops":     {func(e *engine) { e.stop() }, 10 * time.Millisecond},
		"when half of the jobs are": {func(e *engine) { e.put(names(20)...) }, 10 * time.Millisecond},
		"not before":                {func(e *engine) { e.put(names(16)...) }, window},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begin := time.Now()
				var took time.Duration
				var pub gluetest.Publisher
				pub.Outcome = func(context.Context, *glue.Message) error {
					if took == 0 {
						took = time.Since(begin)
					}
					return nil
				}
				e := start(t, glue.Config{Batch: 10, InFlight: 40}, coalescing(&pub, glue.Coalesce{Window: window}))
				e.put("1")
				time.Sleep(10 * time.Millisecond)
				e.put("2", "3")
				synctest.Wait()
				test.end(e)
				time.Sleep(time.Second)
				if _, err := e.end(); err != nil {
					t.Error(err)
				}
				if took != test.want {
					t.Errorf("it took %s, want %s", took, test.want)
				}
				if ids := unpack(t, pub.Messages()[0]); len(ids) < 3 {
					t.Errorf("the first group is %q", ids)
				}
			})
		})
	}
}

func TestWhatCannotCoalesce(t *testing.T) {
	one, other := coalescing(nil, glue.Coalesce{Window: time.Second}), coalescing(nil, glue.Coalesce{Window: time.Minute})
	other.Name = "other"
	for want, pipelines := range map[string][]glue.Pipeline{
		"pipelines p and other of a feed coalesce in different windows, 1s and 1m0s": {one, other},
		"pipeline p coalesces without a bound; see DefaultCoalesce":                  {{Name: "p", Feed: "f", Coalesce: new(glue.Coalesce)}},
	} {
		for i := range pipelines {
			pipelines[i].Feed = "f"
		}
		_, err := glue.New(glue.Config{Feeds: []glue.Feed{gluetest.NewFeed("f")}, Pipelines: pipelines})
		if err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

// TestManyJobsFailAtOnce has all of a gathered batch fail for now: what waits for a retry has room.
func TestManyJobsFailAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var pub gluetest.Publisher
		var requests atomic.Int64
		pub.Outcome = func(context.Context, *glue.Message) error {
			if requests.Add(1) == 1 {
				return errors.New("answers 500")
			}
			return nil
		}
		e := start(t, glue.Config{Batch: 10, InFlight: 40}, coalescing(&pub, glue.Coalesce{}))
		jobs := make([]glue.Job, 41)
		for i := range jobs {
			jobs[i] = glue.Job{ID: fmt.Sprint(i), Payload: []byte("a x")}
		}
		e.feed.PutAll(jobs[0])
		synctest.Wait()
		e.feed.PutAll(jobs[1:]...)
		time.Sleep(time.Minute)
		if _, err := e.end(); err != nil {
			t.Error(err)
		}
		if f := e.ledger.Sums().Feeds[0]; f.Finished != 41 {
			t.Errorf("%+v", f)
		}
	})
}

func TestOtherPipelinesDoNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var pub, other gluetest.Publisher
		e := start(t, glue.Config{}, glue.Pipeline{Name: "other", Stages: []glue.NamedStage{address}, Publisher: &other}, coalescing(&pub, glue.Coalesce{}))
		e.feed.Put("1", []byte("a x"))
		time.Sleep(5 * time.Millisecond)
		e.feed.Put("2", []byte("a y"))
		synctest.Wait()
		equal(t, "published at once", other.IDs(), []string{"1", "2"})
		equal(t, "published together", pub.IDs(), []string{})
		if f := e.ledger.Sums().Feeds[0]; f.Finished != 0 {
			t.Errorf("a job is finished before all have published it: %+v", f)
		}
		time.Sleep(time.Second)
		state, err := e.end()
		if got := outline(t, pub.Messages()); got != "1+2@a" || err != nil {
			t.Errorf("published %s, %v", got, err)
		}
		equal(t, "published by the other", other.IDs(), []string{"1", "2"})
		equal(t, "finished", state.Finished, []string{"1", "2"})
	})
}

// TestAnOutageOfAnotherPipelineEndsTheWindow: what waits for company must not wait for somebody else's outage as well.
func TestAnOutageOfAnotherPipelineEndsTheWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var pub, other gluetest.Publisher
		other.Outcome = func(_ context.Context, m *glue.Message) error {
			if m.ID == "2" {
				return glue.ErrUnavailable
			}
			return nil
		}
		e := start(t, glue.Config{}, coalescing(&pub, glue.Coalesce{}), glue.Pipeline{Name: "other", Stages: []glue.NamedStage{address}, Publisher: &other})
		e.feed.Put("1", []byte("a x"))
		time.Sleep(5 * time.Millisecond)
		e.feed.Put("2", []byte("a y"))
		synctest.Wait()
		if got := outline(t, pub.Messages()); got != "1+2@a" {
			t.Errorf("published %s", got)
		}
		state, err := e.end()
		if err != nil {
			t.Error(err)
		}
		equal(t, "finished", state.Finished, []string{"1"})
		equal(t, "queued", state.Queued, []string{"2"})
	})
}

func TestAnOutageKeepsTheOrderOfGroups(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var pub gluetest.Publisher
		var down atomic.Bool
		down.Store(true)
		pub.Outcome = func(context.Context, *glue.Message) error {
			if down.Load() {
				return fmt.Errorf("no push host is up: %w", glue.ErrUnavailable)
			}
			return nil
		}
		e := start(t, glue.Config{Batch: 10, InFlight: 50}, coalescing(&pub, glue.Coalesce{Count: 7}))
		ids := names(500)
		for _, id := range ids {
			e.feed.Put(id, []byte("a x"))
		}
		time.Sleep(time.Hour)
		down.Store(false)
		time.Sleep(time.Minute)
		state, _ := e.end()
		equal(t, "published", unpackAll(t, pub.Messages()), ids)
		equal(t, "finished", state.Finished, ids)
		if n := len(pub.Messages()); n > 100 {
			t.Errorf("%d publishes for 500 messages", n)
		}
	})
}

func TestAShadowCoalescesWithinItsBatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var pub, next gluetest.Publisher
		shadow := coalescing(&next, glue.Coalesce{Window: time.Hour})
		shadow.Name, shadow.Shadow = "next", true
		f := gluetest.NewFeed("f")
		for _, id := range []string{"1", "2"} {
			f.Put(id, []byte("a x"))
		}
		ledger := new(glue.Ledger)
		shadow.Feed = "f"
		g, err := glue.New(glue.Config{Feeds: []glue.Feed{f}, Ledger: ledger, Pipelines: []glue.Pipeline{{Name: "p", Feed: "f", Publisher: &pub}, shadow}})
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- g.Run(ctx) }()
		synctest.Wait()
		equal(t, "published", pub.IDs(), []string{"1", "2"})
		if got := outline(t, next.Messages()); got != "1+2@a" {
			t.Errorf("the shadow published %s", got)
		}
		stop()
		if err := errors.Join(<-done, ledger.Sums().Balance()); err != nil {
			t.Error(err)
		}
	})
}

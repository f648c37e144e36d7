package glue_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"pushglue/glue"
	"pushglue/glue/gluetest"
)

func TestStopInAnOutageGivesAllBackInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var pub gluetest.Publisher
		pub.Outcome = func(context.Context, *glue.Message) error { return glue.ErrUnavailable }
		e := start(t, glue.Config{Batch: 10, InFlight: 50}, glue.Pipeline{Name: "p", Publisher: &pub})
		ids := names(100)
		e.put(ids...)
		time.Sleep(time.Minute)
		state, err := e.end()
		if err != nil {
			t.Error(err)
		}
		equal(t, "queued", state.Queued, ids)
	})
}

func TestStopInAnOutageThatEndsKeepsTheOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var pub gluetest.Publisher
		var e *engine
		pub.Outcome = func(context.Context, *glue.Message) error {
			if e.stopped.Load() {
				return nil // it is back just now
			}
			return glue.ErrUnavailable
		}
		e = start(t, glue.Config{Batch: 10, InFlight: 50}, glue.Pipeline{Name: "p", Publisher: &pub})
		ids := names(100)
		e.put(ids...)
		time.Sleep(time.Minute)
		e.stopped.Store(true)
		state, err := e.end()
		if err != nil {
			t.Error(err)
		}
		equal(t, "published and then queued", append(pub.IDs(), state.Queued...), ids)
	})
}

func TestStopGivesBackWhatWaitsForARetry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var pub gluetest.Publisher
		pub.Outcome = func(_ context.Context, m *glue.Message) error {
			if m.ID == "fails" {
				return errors.New("answered 500")
			}
			return nil
		}
		e := start(t, glue.Config{}, glue.Pipeline{Name: "p", Publisher: &pub})
		e.put("1", "fails", "2")
		synctest.Wait()
		state, err := e.end()
		if err != nil {
			t.Error(err)
		}
		equal(t, "queued", state.Queued, []string{"fails"})
		if sums := e.ledger.Sums().Feeds[0]; sums.Released != 1 || sums.Cancelled != 0 {
			t.Errorf("want 1 released uncounted: %+v", sums)
		}
	})
}

func TestDrainEndsAtItsDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var pub gluetest.Publisher
		pub.Outcome = func(ctx context.Context, _ *glue.Message) error { <-ctx.Done(); return ctx.Err() }
		e := start(t, glue.Config{Drain: 7 * time.Second}, glue.Pipeline{Name: "p", Publisher: &pub})
		e.put("1", "2")
		synctest.Wait()
		begin := time.Now()
		state, err := e.end()
		if took := time.Since(begin); err != nil || took != 7*time.Second {
			t.Errorf("drained in %s: %v", took, err)
		}
		equal(t, "queued", state.Queued, []string{"1", "2"})
	})
}

func TestAbortGivesBackAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var pub gluetest.Publisher
		pub.Outcome = func(ctx context.Context, _ *glue.Message) error { <-ctx.Done(); return ctx.Err() }
		e := start(t, glue.Config{}, glue.Pipeline{Name: "p", Publisher: &pub})
		e.put("1", "2")
		synctest.Wait()
		begin := time.Now()
		e.stop()
		synctest.Wait()
		e.glue.Abort()
		state, err := e.end()
		if !errors.Is(err, glue.ErrAborted) || time.Since(begin) > 0 {
			t.Errorf("got %v after %s", err, time.Since(begin))
		}
		equal(t, "queued", state.Queued, []string{"1", "2"})
	})
}

// TestFlushEndsWithTheDrain has publishing take some of the time to drain, and flushing more than is left.
func TestFlushEndsWithTheDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var pub gluetest.Publisher
		pub.Outcome = func(context.Context, *glue.Message) error { time.Sleep(3 * time.Second); return nil }
		flush := func(ctx context.Context) { <-ctx.Done() }
		e := start(t, glue.Config{Drain: 7 * time.Second, Flush: flush}, glue.Pipeline{Name: "p", Publisher: &pub})
		e.put("1")
		synctest.Wait()
		begin := time.Now()
		state, err := e.end()
		if took := time.Since(begin); err != nil || took != 7*time.Second {
			t.Errorf("drained in %s: %v", took, err)
		}
		equal(t, "finished", state.Finished, []string{"1"})
	})
}

func TestAbortEndsFlush(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		flush := func(ctx context.Context) { <-ctx.Done() }
		e := start(t, glue.Config{Flush: flush}, glue.Pipeline{Name: "p", Publisher: new(gluetest.Publisher)})
		begin := time.Now()
		e.stop()
		synctest.Wait()
		e.glue.Abort()
		if _, err := e.end(); !errors.Is(err, glue.ErrAborted) || time.Since(begin) > 0 {
			t.Errorf("got %v after %s", err, time.Since(begin))
		}
	})
}

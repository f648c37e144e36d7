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

func TestAShadowChangesNoVerdict(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var pub, next gluetest.Publisher
		attempts := 0
		next.Outcome = func(_ context.Context, m *glue.Message) error {
			attempts++
			return map[string]error{"1": errors.New("answered 500"), "2": glue.ErrUnavailable, "3": glue.Permanentf("answered 400")}[m.ID]
		}
		e := start(t, glue.Config{},
			glue.Pipeline{Name: "next", Shadow: true, Publisher: &next},
			glue.Pipeline{Name: "p", Publisher: &pub})
		e.put("1", "2", "3", "4")
		time.Sleep(time.Hour)
		state, _ := e.end()
		equal(t, "finished", state.Finished, []string{"1", "2", "3", "4"})
		equal(t, "shadow", next.IDs(), []string{"4"})
		if attempts != 4 {
			t.Errorf("the shadow's publisher was asked %d times, want 4", attempts)
		}
		if got := e.ledger.Sums().Pipelines[0].Publish; got.Published != 1 || got.Failed != 1 || got.Returned != 2 {
			t.Errorf("shadow: %+v", got)
		}
	})
}

func TestASlowShadowHoldsUpNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var pub, next gluetest.Publisher
		next.Outcome = func(ctx context.Context, _ *glue.Message) error {
			select {
			case <-time.After(time.Second):
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		e := start(t, glue.Config{Batch: 10},
			glue.Pipeline{Name: "p", Publisher: &pub},
			glue.Pipeline{Name: "next", Shadow: true, Publisher: &next})
		ids := names(200)
		e.put(ids...)
		synctest.Wait()
		equal(t, "published before the shadow's first message", pub.IDs(), ids)
		time.Sleep(time.Minute)
		if n := len(next.IDs()); n < 10 || n == 200 {
			t.Errorf("the shadow published %d, want a batch or two of 10", n)
		}
		if _, err := e.end(); err != nil {
			t.Error(err)
		}
	})
}

func TestASlowStageOfAShadowHoldsUpNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var pub, next gluetest.Publisher
		slow := stage(func(*glue.Message) error { time.Sleep(time.Second); return nil })
		e := start(t, glue.Config{Batch: 10},
			glue.Pipeline{Name: "p", Publisher: &pub},
			glue.Pipeline{Name: "next", Shadow: true, Publisher: &next, Stages: []glue.NamedStage{{Name: "slow", Stage: slow}}})
		ids := names(200)
		e.put(ids...)
		synctest.Wait()
		equal(t, "published before the shadow's first message", pub.IDs(), ids)
		time.Sleep(time.Minute)
		if n := len(next.IDs()); n < 10 || n == 200 {
			t.Errorf("the shadow published %d, want a batch or two of 10", n)
		}
		if _, err := e.end(); err != nil {
			t.Error(err)
		}
	})
}

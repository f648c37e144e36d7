package glue_test

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"pushglue/glue"
	"pushglue/glue/gluetest"
)

// hosts is a publisher to as many push hosts, that takes a second.
type hosts struct {
	gluetest.Publisher
	n int
}

func (h *hosts) Publish(ctx context.Context, batch []*glue.Message, outcomes []error) {
	time.Sleep(time.Second)
	h.Publisher.Publish(ctx, batch, outcomes)
	for _, m := range batch {
		if m.Receipt != nil {
			m.Receipt.Hosts = h.n
		}
	}
}

// awaited puts jobs that somebody waits for, lets them be done, and returns the settlements by id.
func awaited(t *testing.T, ids []string, pipelines ...glue.Pipeline) map[string]glue.Settlement {
	t.Helper()
	e := start(t, glue.Config{}, pipelines...)
	var jobs []glue.Job
	for _, id := range ids {
		jobs = append(jobs, glue.Job{ID: id, Payload: []byte("x"), Awaited: id != "unasked"})
	}
	e.feed.PutAll(jobs...)
	time.Sleep(time.Hour)
	state, err := e.end()
	if err != nil {
		t.Error(err)
	}
	return state.Done
}

func outcomeOf(t *testing.T, s glue.Settlement) glue.Outcome {
	t.Helper()
	var o glue.Outcome
	if err := json.Unmarshal(s.Result, &o); err != nil {
		t.Errorf("job %s: %v", s.JobID, err)
	}
	return o
}

// TestOutcomes has jobs go through two pipelines with push hosts and one without.
func TestOutcomes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		to := func(channels ...string) []glue.NamedStage {
			return []glue.NamedStage{{Name: "to", Stage: stage(func(m *glue.Message) error {
				switch m.ID {
				case "dropped":
					return glue.Drop("it shall be")
				case "stalled":
					return glue.Permanent(errors.New("never"))
				}
				m.Channels = channels
				return nil
			})}}
		}
		done := awaited(t, []string{"a", "unasked", "dropped", "stalled"},
			glue.Pipeline{Name: "two", Stages: to("x", "y"), Publisher: &hosts{n: 2}},
			glue.Pipeline{Name: "three", Stages: to("y", "z"), Publisher: &hosts{n: 3}},
			glue.Pipeline{Name: "file", Stages: to("y"), Publisher: new(gluetest.Publisher)})
		want := glue.Outcome{Outcome: glue.OutcomePublished, Messages: 3, Hosts: 2, Channels: 3, MS: 1000}
		if got := outcomeOf(t, done["a"]); got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
		if got := outcomeOf(t, done["dropped"]); got.Outcome != glue.OutcomeDropped || got.Messages != 0 {
			t.Errorf("the dropped one: %+v", got)
		}
		for _, id := range []string{"unasked", "stalled"} {
			if done[id].Result != nil {
				t.Errorf("job %s has the result %s", id, done[id].Result)
			}
		}
	})
}

// TestOutcomesOfAGroup has messages published as one, and one in the place of an older one.
func TestOutcomesOfAGroup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := glue.DefaultCoalesce()
		c.Key = func(m *glue.Message) (string, bool) { return "same", m.ID != "c" }
		toX := []glue.NamedStage{{Name: "to", Stage: stage(func(m *glue.Message) error { m.Channels = []string{"x"}; return nil })}}
		done := awaited(t, []string{"a", "unasked", "c"}, glue.Pipeline{Name: "p", Stages: toX, Publisher: &hosts{n: 2}, Coalesce: &c})
		for _, id := range []string{"a", "c"} {
			if got := outcomeOf(t, done[id]); got.Hosts != 2 || got.Messages != 1 || got.Channels != 1 {
				t.Errorf("job %s: %+v", id, got)
			}
		}
	})
}

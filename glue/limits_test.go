package glue_test

import (
	"strings"
	"testing"
	"testing/synctest"

	"pushglue/glue"
	"pushglue/glue/gluetest"
)

// A payload that is too long for one of a feed's pipelines reaches none of its stages, and stalls its job.
func TestMaxPayload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var seen []string
		see := stage(func(m *glue.Message) error {
			seen = append(seen, m.ID)
			return nil
		})
		var narrow, wide gluetest.Publisher
		stages := []glue.NamedStage{{Name: "see", Stage: see}}
		e := start(t, glue.Config{},
			glue.Pipeline{Name: "narrow", Publisher: &narrow, Stages: stages, MaxPayload: 10},
			glue.Pipeline{Name: "wide", Publisher: &wide, MaxPayload: 11})
		e.feed.Put("fits", []byte(strings.Repeat("x", 10)))
		e.feed.Put("long", []byte(strings.Repeat("x", 11)))
		e.feed.Put("longer", []byte(strings.Repeat("x", 12)))
		synctest.Wait()
		state, err := e.end()
		if err != nil {
			t.Error(err)
		}
		equal(t, "seen", seen, []string{"fits"})
		equal(t, "published by narrow", narrow.IDs(), []string{"fits"})
		equal(t, "published by wide", wide.IDs(), []string{"fits", "long"})
		if len(state.Done) != 3 || state.Claimed != 0 || state.Done["fits"].Verdict == state.Done["long"].Verdict || state.Done["long"].Verdict != state.Done["longer"].Verdict {
			t.Errorf("the feed holds %+v", state)
		}
		if log := e.log.String(); !strings.Contains(log, "payload has 12 bytes, more than 10") || strings.Contains(log, "xxx") {
			t.Errorf("the log does not tell why, or tells too much:\n%s", log)
		}
	})
}

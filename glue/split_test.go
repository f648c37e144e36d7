package glue_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pushglue/glue"
	"pushglue/glue/gluetest"
)

// words is a stage that makes one message of each word of the payload.
var words = stage(func(m *glue.Message) error {
	var parts []*glue.Message
	for n, word := range strings.Fields(string(m.Body())) {
		parts = append(parts, glue.NewMessage(fmt.Sprintf("%s#%d", m.ID, n+1), []byte(word)))
	}
	m.Split(parts)
	return nil
})

// judge is a stage that does what the body says, as long as fails is set for what fails for now.
func judge(fails *atomic.Bool) stage {
	return func(m *glue.Message) error {
		switch body := string(m.Body()); {
		case body == "drop":
			return glue.ErrDrop
		case body == "flag":
			return fmt.Errorf("%w: odd", glue.ErrFlag)
		case body == "bad":
			return glue.Permanentf("is bad")
		case body == "later" && fails.Load():
			return errors.New("not yet")
		}
		return nil
	}
}

func TestSplit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var fails atomic.Bool
		fails.Store(true)
		var pub gluetest.Publisher
		pub.Outcome = func(_ context.Context, m *glue.Message) error {
			if string(m.Body()) == "slow" && fails.Load() {
				return errors.New("answered 500")
			}
			return nil
		}
		e := start(t, glue.Config{RetryBudget: time.Minute}, glue.Pipeline{Name: "p", Publisher: &pub, Stages: []glue.NamedStage{
			{Name: "words", Stage: words}, {Name: "judge", Stage: judge(&fails)},
		}})
		for id, payload := range map[string]string{
			"some": "a drop flag", "none": "", "dropped": "drop drop", "bad": "a drop bad b", "later": "a later b", "slow": "a slow b",
		} {
			e.feed.Put(id, []byte(payload))
		}
		synctest.Wait()
		counts := map[string]int{}
		for _, id := range pub.IDs() {
			counts[id]++
		}
		if len(counts) != 4 || counts["some#1"]+counts["some#3"]+counts["slow#1"]+counts["slow#3"] != 4 {
			t.Errorf("published at once: %v", counts)
		}
		if e.ledger.Sums().Feeds[0].InFlight != 2 {
			t.Errorf("a job is done before all its messages are published: %+v", e.ledger.Sums().Feeds[0])
		}
		fails.Store(false)
		time.Sleep(time.Minute)
		state, err := e.end()
		if err != nil {
			t.Error(err)
		}
		for _, id := range pub.IDs()[4:] {
			counts[id]++
		}
		if len(counts) != 8 || counts["slow#1"] != 1 || counts["later#1"] != 1 || counts["later#2"] != 1 {
			t.Errorf("published: %v", counts)
		}
		if s := state.Done["bad"]; s.Verdict != glue.Stall || s.Reason.String() != "p: stage judge: is bad" || len(state.Finished) != 5 {
			t.Errorf("bad: %+v, finished %v", s, state.Finished)
		}
		stages := e.pipeline().Stages
		if got, want := stages[0], (glue.StageSums{Name: "words", In: 7, Added: 12, Out: 18, Dropped: 1}); got != want {
			t.Errorf("\n got %+v\nwant %+v", got, want)
		}
		if got, want := stages[1], (glue.StageSums{Name: "judge", In: 18, Out: 8, Dropped: 4, Failed: 6, Flagged: 1}); got != want {
			t.Errorf("\n got %+v\nwant %+v", got, want)
		}
	})
}

func TestPartsKeepTheirOrder(t *testing.T) {
	p := &glue.Pipeline{Name: "p", Stages: []glue.NamedStage{{Name: "words", Stage: words}, {Name: "again", Stage: words}}}
	messages, err := p.Transform(t.Context(), glue.Job{ID: "j", Payload: []byte("a b c d")})
	var got []string
	for _, m := range messages {
		got = append(got, m.ID+"="+string(m.Body()))
	}
	equal(t, "parts", got, []string{"j#1#1=a", "j#2#1=b", "j#3#1=c", "j#4#1=d"})
	if err != nil {
		t.Error(err)
	}
	twice := stage(func(m *glue.Message) error {
		m.Split([]*glue.Message{glue.NewMessage(m.ID+"x", m.Body()), glue.NewMessage(m.ID+"y", m.Body())})
		return nil
	})
	p.Stages[1].Stage = twice
	messages, _ = p.Transform(t.Context(), glue.Job{ID: "j", Payload: []byte("a b c")})
	got = nil
	for _, m := range messages {
		got = append(got, m.ID)
	}
	equal(t, "parts of parts", got, []string{"j#1x", "j#1y", "j#2x", "j#2y", "j#3x", "j#3y"})
}

func TestTransformTellsTheFailure(t *testing.T) {
	var fails atomic.Bool
	fails.Store(true)
	p := &glue.Pipeline{Name: "p", Stages: []glue.NamedStage{{Name: "judge", Stage: judge(&fails)}}}
	for payload, want := range map[string]string{"bad": "stage judge: is bad", "later": "stage judge: not yet", "drop": "<nil>", "a\nb": "after stage judge: body has more than one line; the json stage makes one line of it"} {
		messages, err := p.Transform(t.Context(), glue.Job{ID: "j", Payload: []byte(payload)})
		if fmt.Sprint(err) != want || len(messages) > 0 {
			t.Errorf("%q: %v, %d messages", payload, err, len(messages))
		}
	}
}

// splitter is a stage that splits a message as the function says.
func splitter(parts func(m *glue.Message) []*glue.Message) glue.NamedStage {
	return glue.NamedStage{Name: "split", Stage: stage(func(m *glue.Message) error { m.Split(parts(m)); return nil })}
}

// part returns a part of m.
func part(m *glue.Message, n int, body string) *glue.Message {
	p := glue.NewMessage(fmt.Sprintf("%s#%d", m.ID, n), []byte(body))
	p.Channels = m.Channels
	return p
}

func TestSplitPitfalls(t *testing.T) {
	nothing := glue.NamedStage{Name: "nothing", Stage: stage(func(*glue.Message) error { return nil })}
	route := glue.NamedStage{Name: "route", Stage: stage(func(m *glue.Message) error {
		m.Channels = append(make([]string, 0, 8), "all")
		return nil
	})}
	add := glue.NamedStage{Name: "add", Stage: stage(func(m *glue.Message) error {
		m.Channels = append(m.Channels, "of "+m.ID)
		return nil
	})}
	two := splitter(func(m *glue.Message) []*glue.Message { return []*glue.Message{part(m, 1, "a"), part(m, 2, "b")} })
	for name, test := range map[string]struct {
		stages []glue.NamedStage
		want   string
	}{
		"the message is a part": {
			[]glue.NamedStage{splitter(func(m *glue.Message) []*glue.Message { return []*glue.Message{m, part(m, 2, "x")} }), nothing, nothing},
			"j[] j#2[] <nil>",
		},
		"parts have channels of their own": {[]glue.NamedStage{route, two, add}, "j#1[all of j#1] j#2[all of j#2] <nil>"},
		"no part":                          {[]glue.NamedStage{splitter(func(*glue.Message) []*glue.Message { return []*glue.Message{nil} })}, "stage split: made more than 1000 messages of a job, or a part that is none"},
		"the second part is bad":           {[]glue.NamedStage{splitter(func(m *glue.Message) []*glue.Message { return []*glue.Message{m, part(m, 2, "a\nb")} }), nothing}, "after stage nothing: body has more than one line; the json stage makes one line of it"},
		"too many": {
			[]glue.NamedStage{splitter(many), splitter(many)},
			"stage split: made more than 1000 messages of a job, or a part that is none",
		},
	} {
		p := &glue.Pipeline{Name: "p", Stages: test.stages}
		messages, err := p.Transform(t.Context(), glue.Job{ID: "j", Payload: []byte("body")})
		got := ""
		for _, m := range messages {
			got += fmt.Sprint(m.ID, m.Channels, " ")
		}
		if got += fmt.Sprint(err); got != test.want {
			t.Errorf("%s: got %s, want %s", name, got, test.want)
		}
	}
}

// many splits a message into a hundred.
func many(m *glue.Message) []*glue.Message {
	parts := make([]*glue.Message, 100)
	for i := range parts {
		parts[i] = part(m, i, "x")
	}
	return parts
}

func TestFlagsOfWhatFailsAreNotCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var pub gluetest.Publisher
		e := start(t, glue.Config{}, glue.Pipeline{Name: "p", Publisher: &pub, Stages: []glue.NamedStage{
			{Name: "words", Stage: words}, {Name: "judge", Stage: judge(new(atomic.Bool))},
		}})
		e.feed.Put("1", []byte("flag bad"))
		synctest.Wait()
		if _, err := e.end(); err != nil {
			t.Error(err)
		}
		if got, want := e.pipeline().Stages[1], (glue.StageSums{Name: "judge", In: 2, Failed: 2}); got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
	})
}

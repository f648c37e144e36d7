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
	"pushglue/glue/tree"
)

// mark is a stage that adds its name to the object and counts its calls.
type mark struct {
	name  string
	calls atomic.Int64
	fails atomic.Bool
}

func (s *mark) Process(_ context.Context, m *glue.Message) error {
	s.calls.Add(1)
	if m.Object() == nil {
		object, err := tree.Parse(m.Body())
		if err != nil {
			return glue.Permanent(err)
		}
		m.SetObject(object)
	}
	m.Edit().Set(s.name, tree.NewString("seen"))
	m.Channels = append(m.Channels, s.name)
	if s.fails.Load() {
		return errors.New("not yet")
	}
	return nil
}

// by returns a pipeline with these stages.
func by(name string, pub glue.Publisher, stages ...*mark) glue.Pipeline {
	p := glue.Pipeline{Name: name, Publisher: pub}
	for _, s := range stages {
		p.Stages = append(p.Stages, glue.NamedStage{Name: s.name, Stage: s})
	}
	return p
}

// draw writes a branch as text: its stages, and in brackets what comes behind them.
func draw(b glue.Branch) string {
	var names []string
	for _, s := range b.Stages {
		names = append(names, s.Name)
	}
	text := strings.Join(names, " ") + fmt.Sprint(b.Pipelines)
	for _, next := range b.Branches {
		text += "(" + draw(next) + ")"
	}
	return text
}

func TestBranches(t *testing.T) {
	a, b, c, d := &mark{name: "a"}, &mark{name: "b"}, &mark{name: "c"}, &mark{name: "d"}
	other := &mark{name: "a"}
	function := glue.Pipeline{Stages: []glue.NamedStage{{Name: "f", Stage: stage(func(*glue.Message) error { return nil })}}}
	for want, pipelines := range map[string][]glue.Pipeline{
		"a b[0]":             {by("", nil, a, b)},
		"[0]":                {by("", nil)},
		"a b[0 1]([0])([1])": {by("", nil, a, b), by("", nil, a, b)},
		"a[0 1]([0])(b[1])":  {by("", nil, a), by("", nil, a, b)},
		"[0 1](a[0])(b[1])":  {by("", nil, a), by("", nil, b)},
		"[0 1](a[0])(a[1])":  {by("", nil, a), by("", nil, other)},
		"[0 1](f[0])(f[1])":  {function, function},
		"a[0 1 2 3](b[0 2](c[0])(d[2]))(c[1])([3])": {by("", nil, a, b, c), by("", nil, a, c), by("", nil, a, b, d), by("", nil, a)},
	} {
		list := make([]*glue.Pipeline, len(pipelines))
		for i := range pipelines {
			list[i] = &pipelines[i]
		}
		if got := draw(glue.BranchesOf(list)); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestACommonStageWorksOnceForAllPipelines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		parse, common, left, right := &mark{name: "parse"}, &mark{name: "common"}, &mark{name: "left"}, &mark{name: "right"}
		var pubs [3]gluetest.Publisher
		e := start(t, glue.Config{},
			by("l", &pubs[0], parse, common, left), by("r", &pubs[1], parse, common, right), by("end", &pubs[2], parse, common))
		for _, id := range names(300) {
			e.feed.Put(id, []byte(`{"in":[{"x":1}]}`))
		}
		e.feed.Put("bad", []byte(`{`))
		synctest.Wait()
		state, err := e.end()
		if err != nil || state.Done["bad"].Verdict != glue.Stall || state.Done["bad"].Reason.String() != "l: stage parse: JSON ends early, after byte 1" {
			t.Errorf("%v, %+v", err, state.Done["bad"])
		}
		for s, calls := range map[*mark]int64{parse: 301, common: 300, left: 300, right: 300} {
			if got := s.calls.Load(); got != calls {
				t.Errorf("stage %s was called %d times, want %d", s.name, got, calls)
			}
		}
		for i, want := range []string{`{"left":"seen","common":"seen","parse":"seen","in":[{"x":1}]}`, `{"right":"seen","common":"seen","parse":"seen","in":[{"x":1}]}`, `{"common":"seen","parse":"seen","in":[{"x":1}]}`} {
			messages := pubs[i].Messages()
			if len(messages) != 300 {
				t.Fatalf("pipeline %d published %d messages", i, len(messages))
			}
			for _, m := range messages {
				if string(m.Body()) != want || len(m.Channels) != strings.Count(want, "seen") {
					t.Fatalf("pipeline %d published %s to %s, want %s", i, m.Body(), m.Channels, want)
				}
			}
		}
		for _, p := range e.ledger.Sums().Pipelines {
			if p.Stages[0].In != 301 || p.Stages[0].Failed != 1 || p.Stages[1].Out != 300 {
				t.Errorf("%s: %+v", p.Name, p.Stages)
			}
		}
	})
}

func TestARetryRepeatsOnlyWhatFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		parse, left, right := &mark{name: "parse"}, &mark{name: "left"}, &mark{name: "right"}
		right.fails.Store(true)
		var pubs [2]gluetest.Publisher
		e := start(t, glue.Config{RetryBudget: time.Minute}, by("l", &pubs[0], parse, left), by("r", &pubs[1], parse, right))
		e.feed.Put("1", []byte(`{}`))
		synctest.Wait()
		right.fails.Store(false)
		time.Sleep(time.Minute)
		state, err := e.end()
		if err != nil {
			t.Error(err)
		}
		equal(t, "finished", state.Finished, []string{"1"})
		equal(t, "left", pubs[0].IDs(), []string{"1"})
		equal(t, "right", pubs[1].IDs(), []string{"1"})
		if left.calls.Load() != 1 || right.calls.Load() != 2 || parse.calls.Load() != 2 {
			t.Errorf("calls: parse %d, left %d, right %d", parse.calls.Load(), left.calls.Load(), right.calls.Load())
		}
		if l := e.ledger.Sums().Pipelines[0]; l.Stages[0].In != 1 {
			t.Errorf("what was repeated for r is booked on l: %+v", l.Stages)
		}
	})
}

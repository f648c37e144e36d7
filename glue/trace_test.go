package glue_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pushglue/glue"
	"pushglue/glue/gluetest"
)

// steps is a trace as text: what, stage, attempt, in and out, and errors.
func steps(tr *glue.Trace) string {
	var list []string
	for _, s := range tr.Steps {
		text := fmt.Sprintf("%s%s/%d %d>%d", s.What, s.Stage, s.Attempt, s.In, s.Out)
		if s.OfBatch {
			text += " batch"
		}
		if s.Error != "" {
			text += " " + s.Error
		}
		list = append(list, text)
	}
	return strings.Join(list, ", ")
}

func traced(t *testing.T, traces *glue.Traces, job string) *glue.Trace {
	t.Helper()
	found := traces.Find("f", job)
	if len(found) != 1 {
		t.Fatalf("job %s has %d traces", job, len(found))
	}
	return &found[0]
}

func split(m *glue.Message) error {
	two := m.Clone()
	two.ID += ".2"
	m.Channels, two.Channels = []string{"a"}, []string{"b", "a"}
	m.Split([]*glue.Message{m, two})
	return nil
}

// TestTracesOfWhatMatters: of a claim of five jobs, the last one is traced, one that fails is from then on, and one that fails for good with
// what is known.
func TestTracesOfWhatMatters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		failures := map[string]int{"b": 2}
		traces := glue.NewTraces(glue.TraceConfig{Keep: glue.KeepSome})
		e := start(t, glue.Config{Traces: traces}, glue.Pipeline{
			Name: "p", Publisher: new(gluetest.Publisher),
			Stages: []glue.NamedStage{{Name: "check", Stage: stage(func(m *glue.Message) error {
				switch {
				case m.ID == "c":
					return glue.Permanent(errors.New("is poison"))
				case failures[m.ID] > 0:
					failures[m.ID]--
					return errors.New("not now")
				}
				return nil
			})}, {Name: "split", Stage: stage(split)}},
		})
		e.put("a", "b", "c", "d", "e")
		synctest.Wait()
		time.Sleep(slowEnough)
		if _, err := e.end(); err != nil {
			t.Fatal(err)
		}
		for job, want := range map[string]string{
			"b": "stages/1 1>0 batch stage check: not now, stagecheck/2 1>0 not now, stagecheck/3 1>1, stagesplit/3 1>2, publish/3 2>2, settle/3 0>0",
			"c": "stages/1 1>0 batch stage check: is poison, settle/1 0>0",
			"e": "stagecheck/1 1>1, stagesplit/1 1>2, publish/1 2>2, settle/1 0>0",
		} {
			tr := traced(t, traces, job)
			if got := strings.ReplaceAll(steps(tr), "1>0 stage check: not now", "1>0 not now"); got != want {
				t.Errorf("%s: got  %s\nwant %s", job, got, want)
			}
			if tr.Settled == nil || tr.Put == nil || tr.Settled.Before(*tr.Put) {
				t.Errorf("%s: its times: %+v", job, tr)
			}
		}
		if tr := traced(t, traces, "c"); tr.Verdict != "stall" || tr.Pipeline != "p" || tr.Why != glue.TracedFailed {
			t.Errorf("a poison job: %+v", tr)
		}
		if tr := traced(t, traces, "e"); tr.Verdict != "finish" || !slices.Equal(tr.Steps[2].Channels, []string{"a", "b"}) {
			t.Errorf("the last of a claim: %+v", tr)
		}
		if found := append(traces.Find("f", "a"), traces.Find("f", "d")...); len(found) > 0 {
			t.Errorf("others are traced: %+v", found)
		}
	})
}

// slowEnough is longer than the pauses before three attempts.
const slowEnough = 2 * time.Second

// TestTracesOfSlowJobs: they have the times of their batch, with the answers to the one that was traced.
func TestTracesOfSlowJobs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		traces := glue.NewTraces(glue.TraceConfig{Keep: glue.KeepSome})
		e := start(t, glue.Config{Traces: traces}, glue.Pipeline{Name: "p", Publisher: slow{}})
		e.put("a", "b")
		time.Sleep(slowEnough)
		if _, err := e.end(); err != nil {
			t.Fatal(err)
		}
		tr := traced(t, traces, "a")
		if got := steps(tr); got != "publish/1 1>1 batch, settle/1 0>0" || tr.Why != glue.TracedSlow {
			t.Errorf("a slow job: %s, %s", got, tr.Why)
		}
		publish := tr.Steps[0]
		if took := publish.End.Sub(publish.Start); took != glue.SlowTime+time.Second/2 || len(publish.Hosts) != 1 || publish.Hosts[0].Host != "one" {
			t.Errorf("its batch: %+v", publish)
		}
	})
}

// slow is a publisher of one push host that takes its time.
type slow struct{}

func (slow) Publish(ctx context.Context, batch []*glue.Message, outcomes []error) {
	glue.Sleep(ctx, glue.SlowTime+time.Second/2)
	for i, m := range batch {
		outcomes[i] = nil
		if m.Receipt != nil {
			m.Receipt.Answers = []glue.Answer{{Host: "one", Accepted: true}}
		}
	}
}

// TestTracesAreApart: a job that fails, whose outcome somebody waits for, has its own answers in its trace, and none in that of another job.
func TestTracesAreApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		traces := glue.NewTraces(glue.TraceConfig{Keep: glue.KeepSome})
		e := start(t, glue.Config{Traces: traces}, glue.Pipeline{Name: "p", Publisher: choosy{}})
		e.feed.PutAll(glue.Job{ID: "bad", Payload: []byte("x"), Awaited: true}, glue.Job{ID: "last", Payload: []byte("x")})
		synctest.Wait()
		if _, err := e.end(); err != nil {
			t.Fatal(err)
		}
		for job, accepted := range map[string]bool{"bad": false, "last": true} {
			publish := traced(t, traces, job).Steps[0]
			if len(publish.Hosts) != 1 || publish.Hosts[0].Accepted != accepted || (publish.Hosts[0].Error == "") != accepted {
				t.Errorf("%s: %+v", job, publish)
			}
		}
	})
}

// choosy is a publisher of one push host that refuses the message called bad.
type choosy struct{}

func (choosy) Publish(_ context.Context, batch []*glue.Message, outcomes []error) {
	for i, m := range batch {
		answer := glue.Answer{Host: "one", Accepted: true}
		outcomes[i] = nil
		if m.ID == "bad" {
			answer = glue.Answer{Host: "one", Error: "is bad"}
			outcomes[i] = glue.Permanent(errors.New("is bad"))
		}
		if m.Receipt != nil {
			m.Receipt.Answers = []glue.Answer{answer}
		}
	}
}

// TestTracesOnDemand: a job that somebody waits for is traced though nothing is kept, and so is what somebody wants to be told.
func TestTracesOnDemand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told []string
		traces := glue.NewTraces(glue.TraceConfig{
			Want: func(job *glue.Job) bool { return job.ID == "c" },
			Done: func(job *glue.Job, tr *glue.Trace) { told = append(told, job.ID+" "+tr.Verdict) },
		})
		e := start(t, glue.Config{Traces: traces}, glue.Pipeline{Name: "p", Publisher: new(gluetest.Publisher)})
		answer := make(chan []glue.Trace)
		go func() { answer <- traces.Wait(t.Context(), "f", "b") }()
		synctest.Wait()
		e.put("a", "b", "c")
		if got := <-answer; len(got) != 1 || got[0].Why != glue.TracedAsked || got[0].Verdict != "finish" {
			t.Errorf("who waits gets %+v", got)
		}
		if got := traces.Wait(t.Context(), "f", "b"); len(got) != 1 {
			t.Errorf("who comes later gets %+v", got)
		}
		if _, err := e.end(); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(told, []string{"c finish"}) || len(traces.Find("f", "a")) > 0 {
			t.Errorf("told: %q", told)
		}
	})
}

// TestTracesAreBounded: a job that nobody takes for a day has the first and the last of its steps.
func TestTracesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		traces := glue.NewTraces(glue.TraceConfig{Keep: glue.KeepSome})
		e := start(t, glue.Config{Traces: traces}, glue.Pipeline{Name: "p", Publisher: away{time.Now().Add(24 * time.Hour)}})
		begin := time.Now()
		e.put("a")
		time.Sleep(25 * time.Hour)
		if _, err := e.end(); err != nil {
			t.Fatal(err)
		}
		tr := traced(t, traces, "a")
		if len(tr.Steps) != 100 || tr.LeftOut < 10_000 || tr.Verdict != "finish" {
			t.Fatalf("%d steps, %d left out, verdict %s", len(tr.Steps), tr.LeftOut, tr.Verdict)
		}
		if first := tr.Steps[0].Start.Sub(begin); first > time.Minute {
			t.Errorf("the first step is of %s", first)
		}
		if half := tr.Steps[50].Start.Sub(begin); half < 23*time.Hour {
			t.Errorf("behind what is left out comes a step of %s", half)
		}
		if last := tr.Steps[98]; last.What != glue.StepPublish || last.Out != 1 {
			t.Errorf("what published it: %+v", last)
		}
	})
}

// away is a publisher that nobody is at until then.
type away struct{ until time.Time }

func (a away) Publish(_ context.Context, batch []*glue.Message, outcomes []error) {
	for i := range batch {
		outcomes[i] = nil
		if time.Now().Before(a.until) {
			outcomes[i] = glue.ErrUnavailable
		}
	}
}

// TestTracesForget: what is kept is bounded, and those that failed do not give way to others.
func TestTracesForget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		traces := glue.NewTraces(glue.TraceConfig{Keep: glue.KeepAll})
		e := start(t, glue.Config{Traces: traces}, glue.Pipeline{Name: "p", Publisher: new(gluetest.Publisher), Stages: []glue.NamedStage{{Name: "s", Stage: stage(func(m *glue.Message) error {
			if m.ID == "bad" {
				return glue.Permanent(errors.New("is poison"))
			}
			return nil
		})}}})
		e.put("bad", "good")
		synctest.Wait()
		e.put(names(10_000)...)
		synctest.Wait()
		if _, err := e.end(); err != nil {
			t.Fatal(err)
		}
		if len(traces.Find("f", "good")) != 0 || len(traces.Find("f", "bad")) != 1 || len(traces.Find("f", names(10_000)[9_999])) != 1 {
			t.Error("the wrong traces are forgotten")
		}
	})
}

package stages_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pushglue/glue"
	"pushglue/glue/gluetest"
	"pushglue/stages"
)

// memory is a stages.Memory of one pipeline that forgets nothing.
type memory struct {
	mu    sync.Mutex
	marks map[string]string // id -> job, or "published"
	err   error
}

func newMemory() *memory { return &memory{marks: map[string]string{}} }

func (m *memory) Begin(_ context.Context, id, job string) (stages.Standing, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch mark := m.marks[id]; {
	case m.err != nil:
		return 0, m.err
	case mark == "published":
		return stages.Published, nil
	case mark != "" && mark != job:
		return stages.OnItsWay, nil
	}
	m.marks[id] = job
	return stages.New, nil
}

func (m *memory) Done(_ context.Context, ids []string, _ time.Duration) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, id := range ids {
		m.marks[id] = "published"
	}
	return m.err
}

func (m *memory) fail(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.err = err
}

func dedupe(tb testing.TB, m stages.Memory) *stages.Dedupe {
	tb.Helper()
	d, is := mustBuild(tb, "dedupe", `window: 10m`).(*stages.Dedupe)
	if !is {
		tb.Fatal("it is no Dedupe")
	}
	d.Remember(m)
	return d
}

func TestDedupe(t *testing.T) {
	d := dedupe(t, newMemory())
	messageOf := func(job string) *glue.Message {
		m := glue.NewMessage("c1", nil)
		m.Job = &glue.Job{ID: job}
		return m
	}
	pass := func(job string) error { return d.Process(t.Context(), messageOf(job)) }
	for _, job := range []string{"1", "1"} {
		if err := pass(job); err != nil {
			t.Errorf("job %s: %v", job, err)
		}
	}
	if err := pass("2"); !errors.Is(err, glue.ErrUnavailable) {
		t.Errorf("while another job has it: %v", err)
	}
	if err := d.Confirm(t.Context(), []*glue.Message{messageOf("1")}); err != nil {
		t.Error(err)
	}
	for _, job := range []string{"1", "2"} {
		if err := pass(job); !errors.Is(err, glue.ErrDrop) {
			t.Errorf("job %s after it was published: %v", job, err)
		}
	}
}

func TestDedupeWithoutMemory(t *testing.T) {
	m := glue.NewMessage("c1", nil)
	m.Job = &glue.Job{ID: "1"}
	d := dedupe(t, nil)
	d.Remember(nil)
	if err := errors.Join(d.Process(t.Context(), m), d.Confirm(t.Context(), []*glue.Message{m}), d.Process(t.Context(), m)); err != nil {
		t.Error(err)
	}
	if err := dedupe(t, newMemory()).Process(t.Context(), glue.NewMessage("c1", nil)); err != nil {
		t.Errorf("a message of no job: %v", err)
	}
}

func TestDedupeRefuses(t *testing.T) {
	refuse(t, "dedupe", map[string]string{
		``:              "window: say how long to remember what was published, such as 10m",
		`window: long`:  `window: "long" is no duration such as 90s or 10m`,
		`window: 100ms`: "window: 100ms is less than 1s",
	})
}

// dedupeEngine is a running engine with pipelines that end in dedupe, each with a memory of its own.
type dedupeEngine struct {
	feed       *gluetest.Feed
	ledger     *glue.Ledger
	publishers []*gluetest.Publisher
	stop       func()
}

// startDedupe starts pipelines, each with these stages and a memory. Call it in a synctest bubble.
func startDedupe(t *testing.T, c glue.Config, memories []*memory, pipelines []glue.Pipeline) *dedupeEngine {
	t.Helper()
	e := &dedupeEngine{feed: gluetest.NewFeed("f"), ledger: new(glue.Ledger)}
	for i := range pipelines {
		p := &pipelines[i]
		e.publishers = append(e.publishers, new(gluetest.Publisher))
		p.Feed, p.Publisher = "f", e.publishers[i]
		p.Stages = append(p.Stages, glue.NamedStage{Name: "dedupe", Stage: dedupe(t, memories[i])})
	}
	c.Feeds, c.Pipelines, c.Ledger = []glue.Feed{e.feed}, pipelines, e.ledger
	g, err := glue.New(c)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- g.Run(ctx) }()
	e.stop = func() {
		cancel()
		if err := errors.Join(<-done, e.ledger.Sums().Balance()); err != nil {
			t.Error(err)
		}
	}
	return e
}

// put puts one job for each payload, with ids that no other test's jobs of this feed have.
func (e *dedupeEngine) put(first byte, payloads ...string) {
	var jobs []glue.Job
	for i, payload := range payloads {
		jobs = append(jobs, glue.Job{ID: string([]byte{first, byte('a' + i)}), Payload: []byte(payload)})
	}
	e.feed.PutAll(jobs...)
}

func jsonStage(t *testing.T) []glue.NamedStage {
	t.Helper()
	return []glue.NamedStage{{Name: "json", Stage: mustBuild(t, "json", "")}}
}

// count returns how often each id was published.
func count(p *gluetest.Publisher) map[string]int {
	counts := map[string]int{}
	for _, id := range p.IDs() {
		counts[id]++
	}
	return counts
}

// TestTheSameInOneBatch puts the same messages several times at once: the later ones wait beside the line until the first
// is published, and are dropped.
func TestTheSameInOneBatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := startDedupe(t, glue.Config{Attempts: 1, RetryBudget: time.Nanosecond}, []*memory{newMemory(), newMemory()}, []glue.Pipeline{
			{Name: "p", Stages: jsonStage(t)},
			{Name: "shadow", Shadow: true, Stages: jsonStage(t)},
		})
		e.put('1', `{"id":1}`, `{"id":2}`, `{"id":1}`, `{"id":1}`, `{"id":3}`)
		time.Sleep(time.Minute)
		e.put('2', `{"id":3}`, `{"id":4}`)
		time.Sleep(time.Minute)
		e.stop()
		for i, p := range e.publishers {
			if got := count(p); len(got) != 4 || got["1"]+got["2"]+got["3"]+got["4"] != 4 {
				t.Errorf("pipeline %d published %v", i, got)
			}
		}
		if f := e.ledger.Sums().Feeds[0]; f.Finished != 7 || f.Cancelled+f.Stalled != 0 {
			t.Errorf("the feed: %+v", f)
		}
	})
}

// TestARetryInOnePipelineOfTwo has one of two publishers fail for longer than a job is retried in process: each
// pipeline publishes the message once.
func TestARetryInOnePipelineOfTwo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := startDedupe(t, glue.Config{Attempts: 100}, []*memory{newMemory(), newMemory()}, []glue.Pipeline{
			{Name: "good", Stages: jsonStage(t)}, {Name: "bad", Stages: jsonStage(t)},
		})
		var mu sync.Mutex
		broken := true
		e.publishers[1].Outcome = func(context.Context, *glue.Message) error {
			mu.Lock()
			defer mu.Unlock()
			if broken {
				return errors.New("answered 500")
			}
			return nil
		}
		e.put('1', `{"id":1}`, `{"id":2}`)
		time.Sleep(time.Minute)
		mu.Lock()
		broken = false
		mu.Unlock()
		time.Sleep(time.Minute)
		e.stop()
		for i, p := range e.publishers {
			if got := count(p); got["1"] != 1 || got["2"] != 1 {
				t.Errorf("pipeline %d published %v", i, got)
			}
		}
		if f := e.ledger.Sums().Feeds[0]; f.Finished != 2 || f.Cancelled == 0 {
			t.Errorf("the feed: %+v", f)
		}
	})
}

// TestDedupeWaitsForItsMemory has the memory fail for an hour: no attempt is counted.
func TestDedupeWaitsForItsMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		m.fail(errors.New("connection refused"))
		e := startDedupe(t, glue.Config{Attempts: 2}, []*memory{m}, []glue.Pipeline{{Name: "p", Stages: jsonStage(t)}})
		e.put('1', `{"id":1}`, `{"id":2}`)
		time.Sleep(time.Hour)
		if ids := e.publishers[0].IDs(); len(ids) > 0 {
			t.Errorf("published %q", ids)
		}
		m.fail(nil)
		time.Sleep(time.Minute)
		e.stop()
		if got := count(e.publishers[0]); got["1"] != 1 || got["2"] != 1 {
			t.Errorf("published %v", got)
		}
		if f := e.ledger.Sums().Feeds[0]; f.Finished != 2 || f.Cancelled+f.Stalled != 0 {
			t.Errorf("the feed: %+v", f)
		}
	})
}

// TestDedupeOfPartsAndGroups publishes what split makes of jobs, coalesced: each part once, though its job comes twice.
func TestDedupeOfPartsAndGroups(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		coalesce := glue.DefaultCoalesce()
		list := append(jsonStage(t),
			glue.NamedStage{Name: "split", Stage: mustBuild(t, "split", `jq: '.list[] | {n: .}'`)},
			glue.NamedStage{Name: "route", Stage: mustBuild(t, "route", `channels: [all]`)})
		m := newMemory()
		e := startDedupe(t, glue.Config{}, []*memory{m}, []glue.Pipeline{{Name: "p", Stages: list, Coalesce: &coalesce}})
		e.put('1', `{"id":"x","list":[1,2]}`, `{"id":"y","list":[1]}`)
		time.Sleep(time.Minute)
		e.put('2', `{"id":"x","list":[1,2,3]}`)
		time.Sleep(time.Minute)
		e.stop()
		messages := e.publishers[0].Messages()
		if len(messages) != 2 || messages[0].Type != glue.CoalescedType || messages[1].ID != "x#3" {
			t.Errorf("published %q", e.publishers[0].IDs())
		}
		for _, id := range []string{"x#1", "x#2", "x#3", "y#1"} {
			if m.marks[id] != "published" {
				t.Errorf("%s is remembered as %q", id, m.marks[id])
			}
		}
	})
}

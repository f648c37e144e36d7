package glue_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"pushglue/glue"
	"pushglue/glue/gluetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// stage is a stage in one function.
type stage func(m *glue.Message) error

func (s stage) Process(_ context.Context, m *glue.Message) error { return s(m) }

// engine is a running Glue on one feed in memory.
type engine struct {
	t      *testing.T
	feed   *gluetest.Feed
	ledger *glue.Ledger
	log    *bytes.Buffer
	glue   *glue.Glue
	stop   context.CancelFunc
	done   chan error

	stopped atomic.Bool // for publishers to know
}

// pipeline returns the sums of the first pipeline without times, which nobody knows beforehand.
func (e *engine) pipeline() glue.PipelineSums {
	p := e.ledger.Sums().Pipelines[0]
	for i := range p.Stages {
		p.Stages[i].Took = glue.Times{}
	}
	p.Publish.Took = glue.Times{}
	return p
}

// start starts the pipelines on the feed "f". Call it in a synctest bubble.
func start(t *testing.T, c glue.Config, pipelines ...glue.Pipeline) *engine {
	t.Helper()
	e := &engine{t: t, feed: gluetest.NewFeed("f"), ledger: new(glue.Ledger), log: new(bytes.Buffer), done: make(chan error, 1)}
	for i := range pipelines {
		pipelines[i].Feed = "f"
	}
	c.Feeds, c.Pipelines, c.Ledger, c.Log = []glue.Feed{e.feed}, pipelines, e.ledger, zerolog.New(zerolog.SyncWriter(e.log))
	var err error
	if e.glue, err = glue.New(c); err != nil {
		t.Fatal(err)
	}
	var ctx context.Context
	ctx, e.stop = context.WithCancel(t.Context())
	go func() { e.done <- e.glue.Run(ctx) }()
	return e
}

func (e *engine) put(ids ...string) {
	jobs := make([]glue.Job, len(ids))
	for i, id := range ids {
		jobs[i] = glue.Job{ID: id, Payload: []byte(`payload of ` + id)}
	}
	e.feed.PutAll(jobs...)
}

// end stops the engine and returns what Run returned and what the feed holds. The ledger must balance.
func (e *engine) end() (gluetest.State, error) {
	e.t.Helper()
	e.stop()
	err := <-e.done
	sums := e.ledger.Sums()
	if err := sums.Balance(); err != nil {
		e.t.Error(err)
	}
	for _, p := range sums.Pipelines {
		if err == nil && p.Publish.InFlight != 0 {
			e.t.Errorf("%d messages of %s in flight at the end", p.Publish.InFlight, p.Name)
		}
	}
	if f := sums.Feeds[0]; err == nil && f.InFlight != 0 {
		e.t.Errorf("%d jobs in flight at the end", f.InFlight)
	}
	return e.feed.State(), err
}

func names(n int) []string {
	ids := make([]string, n)
	for i := range ids {
		ids[i] = fmt.Sprintf("j%04d", i)
	}
	return ids
}

func equal(t *testing.T, what string, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s:\n got %.300q\nwant %.300q", what, got, want)
	}
}

func TestJobsArePublishedOnceInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var pub, archive gluetest.Publisher
		e := start(t, glue.Config{Batch: 100}, glue.Pipeline{Name: "p", Publisher: &pub}, glue.Pipeline{Name: "a", Publisher: &archive})
		ids := names(2500)
		e.put(ids...)
		synctest.Wait()
		e.put("late")
		synctest.Wait()
		state, err := e.end()
		if err != nil {
			t.Error(err)
		}
		ids = append(ids, "late")
		equal(t, "published", pub.IDs(), ids)
		equal(t, "archived", archive.IDs(), ids)
		equal(t, "finished", state.Finished, ids)
	})
}

func TestVerdicts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var pub, archive gluetest.Publisher
		flaky := map[string]int{}
		verdicts := stage(func(m *glue.Message) error {
			switch m.ID {
			case "drop":
				return glue.Drop("not wanted")
			case "bad":
				return glue.Permanentf("cannot be read")
			case "panic":
				panic("payload of panic")
			case "twoLines":
				m.SetBody([]byte("a\nb"))
			case "empty":
				m.SetBody([]byte{})
			case "notText":
				m.SetBody([]byte{'a', 0xff})
			case "badType":
				m.Type = "x\r\nEvent-Id: y"
			case "badChannel":
				m.Channels = []string{"a/b"}
			case "flakyStage":
				if flaky[m.ID]++; flaky[m.ID] < 3 {
					return errors.New("not yet")
				}
			}
			return nil
		})
		pub.Outcome = func(_ context.Context, m *glue.Message) error {
			switch m.ID {
			case "refused":
				return glue.Permanentf("answered 413")
			case "flaky":
				if flaky[m.ID]++; flaky[m.ID] < 3 {
					return errors.New("answered 500")
				}
			}
			return nil
		}
		e := start(t, glue.Config{},
			glue.Pipeline{Name: "p", Stages: []glue.NamedStage{{Name: "verdicts", Stage: verdicts}}, Publisher: &pub},
			glue.Pipeline{Name: "a", Publisher: &archive})
		e.put("1", "drop", "bad", "flaky", "2", "panic", "twoLines", "empty", "notText", "badType", "badChannel", "refused", "flakyStage", "3")
		time.Sleep(time.Minute)
		state, err := e.end()
		if err != nil {
			t.Error(err)
		}
		ids := pub.IDs()
		equal(t, "published at once", ids[:3], []string{"1", "2", "3"})
		retried := ids[3:]
		slices.Sort(retried)
		equal(t, "published later", retried, []string{"flaky", "flakyStage"})
		if n := len(archive.IDs()); n != 14 {
			t.Errorf("the other pipeline published %d, want each of 14 once", n)
		}
		stalled := map[string]string{}
		for id, s := range state.Done {
			if s.Verdict == glue.Stall {
				stalled[id] = s.Reason.String()
			}
		}
		for id, want := range map[string]string{
			"bad":        "p: stage verdicts: cannot be read",
			"panic":      "p: stage verdicts: panicked",
			"twoLines":   "p: after stage verdicts: body has more than one line; the json stage makes one line of it",
			"empty":      "p: after stage verdicts: body is empty",
			"notText":    "p: after stage verdicts: body is not valid UTF-8",
			"badType":    "p: after stage verdicts: message type contains something other than visible ASCII",
			"badChannel": "p: after stage verdicts: channel name contains '/'",
			"refused":    "p: answered 413",
		} {
			if stalled[id] != want {
				t.Errorf("%s is stalled because %q, want %q", id, stalled[id], want)
			}
			delete(stalled, id)
		}
		if len(stalled) > 0 || len(state.Done) != 14 || state.Claimed > 0 {
			t.Errorf("also stalled: %v; done %d, claimed %d", stalled, len(state.Done), state.Claimed)
		}
		if strings.Contains(e.log.String(), "payload") {
			t.Errorf("the log quotes a payload: %s", e.log)
		}
		stage := e.pipeline().Stages[0]
		if want := (glue.StageSums{Name: "verdicts", In: 16, Out: 6, Dropped: 1, Failed: 9}); stage != want {
			t.Errorf("stage counts\n got %+v\nwant %+v", stage, want)
		}
	})
}

func TestWhatFailsLongIsCancelledThenStalled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var pub gluetest.Publisher
		pub.Outcome = func(_ context.Context, m *glue.Message) error {
			if m.ID == "poison" {
				return errors.New("answered 500")
			}
			return nil
		}
		e := start(t, glue.Config{Attempts: 3}, glue.Pipeline{Name: "p", Publisher: &pub})
		e.put("poison", "1", "2")
		synctest.Wait()
		equal(t, "published beside the one that fails", pub.IDs(), []string{"1", "2"})
		time.Sleep(5 * time.Minute)
		state, _ := e.end()
		if s := state.Done["poison"]; s.Verdict != glue.Stall || s.Reason.String() != "p: answered 500" {
			t.Errorf("poison: %+v", s)
		}
		if sums := e.ledger.Sums().Feeds[0]; sums.Cancelled != 2 || sums.Stalled != 1 {
			t.Errorf("want 2 cancelled and 1 stalled: %+v", sums)
		}
	})
}

func TestAnOutageCostsNeitherOrderNorAttempts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var pub gluetest.Publisher
		var down atomic.Bool
		down.Store(true)
		pub.Outcome = func(_ context.Context, _ *glue.Message) error {
			if down.Load() {
				return fmt.Errorf("no push host is up: %w", glue.ErrUnavailable)
			}
			return nil
		}
		e := start(t, glue.Config{Batch: 10, InFlight: 50}, glue.Pipeline{Name: "p", Publisher: &pub})
		ids := names(500)
		e.put(ids...)
		time.Sleep(time.Hour)
		if claimed := e.feed.State().Claimed; claimed > 50 {
			t.Errorf("%d jobs are claimed in an outage, want at most 50", claimed)
		}
		down.Store(false)
		time.Sleep(time.Minute)
		state, _ := e.end()
		equal(t, "published", pub.IDs(), ids)
		equal(t, "finished", state.Finished, ids)
		if sums := e.ledger.Sums().Feeds[0]; sums.Cancelled+sums.Stalled+sums.Released > 0 {
			t.Errorf("an outage was counted: %+v", sums)
		}
	})
}

func TestAHiccupOfOnePublisherStallsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var pub, file gluetest.Publisher
		var full atomic.Bool
		full.Store(true)
		file.Outcome = func(context.Context, *glue.Message) error {
			if full.Load() {
				return errors.New("no space left on device")
			}
			return nil
		}
		e := start(t, glue.Config{}, glue.Pipeline{Name: "p", Publisher: &pub}, glue.Pipeline{Name: "file", Publisher: &file})
		e.put(names(5000)...)
		time.Sleep(2 * time.Second)
		full.Store(false)
		time.Sleep(time.Minute)
		state, err := e.end()
		if err != nil {
			t.Error(err)
		}
		if sums := e.ledger.Sums().Feeds[0]; sums.Finished != 5000 || sums.Cancelled+sums.Stalled > 0 || len(pub.IDs()) != 5000 {
			t.Errorf("%+v, published %d, queued %d", sums, len(pub.IDs()), len(state.Queued))
		}
	})
}

func TestTheStoreGoesAndComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var pub gluetest.Publisher
		var e *engine
		pub.Outcome = func(_ context.Context, m *glue.Message) error {
			if m.ID == "2" {
				e.feed.Fail(errors.New("connection refused")) // before the settlement
			}
			return nil
		}
		e = start(t, glue.Config{}, glue.Pipeline{Name: "p", Publisher: &pub})
		e.put("1", "2")
		time.Sleep(time.Minute)
		e.feed.Fail(nil)
		e.put("3")
		time.Sleep(time.Minute)
		state, _ := e.end()
		equal(t, "published", pub.IDs(), []string{"1", "2", "3"})
		equal(t, "finished", state.Finished, []string{"1", "2", "3"})
		for _, line := range []string{"cannot claim", "claiming again", "cannot settle", "settling again"} {
			if n := strings.Count(e.log.String(), line); n != 1 {
				t.Errorf("the log says %q %d times", line, n)
			}
		}
	})
}

func TestAStoreThatStaysAwayIsReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var pub gluetest.Publisher
		var e *engine
		pub.Outcome = func(context.Context, *glue.Message) error {
			e.feed.Fail(errors.New("connection refused"))
			return nil
		}
		e = start(t, glue.Config{}, glue.Pipeline{Name: "p", Publisher: &pub})
		e.put("1")
		synctest.Wait()
		_, err := e.end()
		if err == nil || err.Error() != "feed f: 1 jobs stay claimed because they could not be settled" {
			t.Errorf("got %v", err)
		}
	})
}

func TestTooManyRetriesSlowTheLineDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var pub gluetest.Publisher
		pub.Outcome = func(_ context.Context, m *glue.Message) error {
			if strings.HasPrefix(m.ID, "j") {
				return errors.New("answered 500")
			}
			return nil
		}
		e := start(t, glue.Config{Batch: 10, InFlight: 40}, glue.Pipeline{Name: "p", Publisher: &pub})
		e.put(names(100)...)
		e.put("good")
		time.Sleep(time.Minute)
		equal(t, "published past 100 that fail", pub.IDs(), []string{"good"})
		if stalled := e.ledger.Sums().Feeds[0].Stalled; stalled > 0 {
			t.Errorf("%d jobs used up their attempts in a minute", stalled)
		}
		if _, err := e.end(); err != nil {
			t.Error(err)
		}
	})
}

func TestNewRefuses(t *testing.T) {
	f := gluetest.NewFeed("f")
	p := glue.Pipeline{Name: "p", Feed: "f", Publisher: new(gluetest.Publisher)}
	shadow := p
	shadow.Shadow = true
	other := p
	other.Feed = "g"
	for want, c := range map[string]glue.Config{
		"pipeline p has no feed g":   {Feeds: []glue.Feed{f}, Pipelines: []glue.Pipeline{other}},
		"feed f is given twice":      {Feeds: []glue.Feed{f, f}, Pipelines: []glue.Pipeline{p}},
		"two pipelines are called p": {Feeds: []glue.Feed{f}, Pipelines: []glue.Pipeline{p, p}},
		"feed f has no pipeline that is not a shadow: its jobs would be finished by nobody": {Feeds: []glue.Feed{f}, Pipelines: []glue.Pipeline{shadow}},
		"jobs in flight (100) must be at least 4 batches of 50":                             {Batch: 50, InFlight: 100},
	} {
		if _, err := glue.New(c); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

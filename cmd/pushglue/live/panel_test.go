package live

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"pushglue/glue"
	"pushglue/glue/gluetest"
	"pushglue/glue/gluetest/service"
	"pushglue/glue/thoonk"
)

// pass is a stage that does nothing.
type pass struct{ name string }

// Process implements glue.Stage.
func (pass) Process(context.Context, *glue.Message) error { return nil }

func stage(name string) glue.NamedStage { return glue.NamedStage{Name: name, Stage: &pass{name}} }

// newPanel returns a panel of a feed with three pipelines, of which two share a stage.
func newPanel(t *testing.T, store *service.Redis) (*Panel, *thoonk.Feed, *glue.Ledger) {
	t.Helper()
	feed, err := thoonk.NewFeed(store.Client(t), "f", thoonk.ThoonkPy)
	if err != nil {
		t.Fatal(err)
	}
	first, second, other := stage("json"), stage("route"), stage("other")
	pipelines := []glue.Pipeline{
		{Name: "a", Feed: "f", Target: "push", Stages: []glue.NamedStage{first, second}, Publisher: &gluetest.Publisher{}},
		{Name: "b", Feed: "f", Target: "file", Stages: []glue.NamedStage{first}, Publisher: &gluetest.Publisher{}},
		{Name: "next", Feed: "f", Target: "push", Shadow: true, Stages: []glue.NamedStage{other}, Publisher: &gluetest.Publisher{}},
	}
	ledger := new(glue.Ledger)
	return New(Config{Version: "v1", Ledger: ledger, Feeds: []*thoonk.Feed{feed}, Pipelines: pipelines, Log: new(Log), Counting: Count(pipelines, nil)}), feed, ledger
}

func TestAStatus(t *testing.T) {
	store := service.StartRedis(t)
	p, feed, ledger := newPanel(t, store)
	var waited glue.Times
	waited.Note(3 * time.Millisecond)
	ledger.AddFeed(glue.FeedSums{Name: "f", Claimed: 1, InFlight: 1, Waited: waited})
	ids, err := feed.Put(t.Context(), make([][]byte, mostStalled+3), thoonk.PutOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := feed.Claim(t.Context(), len(ids)-1); err != nil {
		t.Fatal(err)
	}
	for _, id := range ids[:len(ids)-2] {
		reason := &glue.Reason{Pipeline: "a", Error: "bad", Host: "h", Attempts: 2}
		if err := feed.Settle(t.Context(), []glue.Settlement{{JobID: id, Verdict: glue.Stall, Reason: reason}}); err != nil {
			t.Fatal(err)
		}
	}
	s := p.Status(t.Context())
	f := s.Feeds[0]
	if f.Queued != 1 || f.Claimed != 1 || f.Stalled != mostStalled+1 || f.Put != int64(len(ids)) || f.Error != "" || f.Ledger.Claimed != 1 || f.OldestSeconds <= 0 {
		t.Errorf("%+v", f)
	}
	if f.Wait.Count != 1 || f.Wait.P50Seconds < 0.002 || f.Wait.P99Seconds > 0.005 || f.Took.Count != 0 {
		t.Errorf("it waited %+v, took %+v", f.Wait, f.Took)
	}
	if len(f.StalledJobs) != mostStalled {
		t.Fatalf("%d stalled jobs are shown", len(f.StalledJobs))
	}
	for i, j := range f.StalledJobs {
		if j.Stalled == nil || i > 0 && j.Stalled.After(*f.StalledJobs[i-1].Stalled) || j.Pipeline != "a" || j.Error != "bad" || j.Host != "h" || j.Attempts != 2 {
			t.Errorf("%+v", j)
		}
	}
	way, err := json.Marshal(f.Way)
	if want := `{"stages":[],"branches":[` +
		`{"stages":[{"name":"json","pipeline":"a","stage":0}],"branches":[` +
		`{"stages":[{"name":"route","pipeline":"a","stage":1}],"publisher":{"name":"push","pipeline":"a","stage":2}},` +
		`{"stages":[],"publisher":{"name":"file","pipeline":"b","stage":1}}]},` +
		`{"stages":[{"name":"other","pipeline":"next","stage":0}],"publisher":{"name":"push","pipeline":"next","stage":1,"shadow":true}}]}`; err != nil || string(way) != want {
		t.Errorf("the way is %s, %v", way, err)
	}
	if again := p.Status(t.Context()); again.At != s.At && again.At.Sub(s.At) < fresh {
		t.Error("everybody who looks asks Redis")
	}
	// No list is null: a viewer walks over all of them.
	text, err := json.Marshal(s)
	if err != nil || strings.Contains(string(text), "null") {
		t.Errorf("%s, %v", text, err)
	}
}

func TestAStatusWithoutRedis(t *testing.T) {
	store := service.StartRedis(t)
	p, _, _ := newPanel(t, store)
	store.Stop()
	f := p.Status(t.Context()).Feeds[0]
	if f.Error == "" || f.Queued != 0 || f.StalledJobs == nil || len(f.Way.Branches) != 2 {
		t.Errorf("%+v", f)
	}
}

// TestSpansAreOfLate: what took long an hour ago is not told now.
func TestSpansAreOfLate(t *testing.T) {
	start := time.Now()
	p := &Panel{started: start, past: []past{{at: start}}}
	var times glue.Times
	sums := func() glue.Sums { return glue.Sums{Feeds: []glue.FeedSums{{Name: "f", Took: times}}} }
	count := func(after time.Duration) int64 {
		return times.Since(p.before(start.Add(after), sums()).Feed("f").Took).Count
	}
	for _, step := range []struct {
		after time.Duration
		more  int
		want  int64
	}{
		{time.Hour, 5, 5}, {time.Hour + 10*time.Second, 2, 7}, {time.Hour + time.Minute, 1, 3}, {time.Hour + 70*time.Second, 1, 2}, {3 * time.Hour, 0, 0},
	} {
		for range step.more {
			times.Note(time.Second)
		}
		if got := count(step.after); got != step.want {
			t.Errorf("after %s: %d, want %d", step.after, got, step.want)
		}
	}
}

func TestTheScreen(t *testing.T) {
	now := Status{Version: "v1", Started: time.Unix(0, 0), At: time.Unix(100, 0), Feeds: []Feed{{
		Name: "f", Queued: 3, Ledger: glue.FeedSums{Finished: 50}, Way: Way{Publisher: &Place{Name: "push", Pipeline: "p"}},
		StalledJobs: []Job{{ID: "a\x1b[2J", Pipeline: "p", Error: "bad\n"}},
	}}, Pipelines: []glue.PipelineSums{{Name: "p", Publish: glue.PublishSums{In: 30}}}}
	text := func(before *Status) string {
		var b strings.Builder
		for _, r := range rowsOf(before, &now) {
			fmt.Fprintln(&b, r.text)
		}
		return b.String()
	}
	before := now
	before.At = time.Unix(98, 0)
	before.Feeds = []Feed{{Name: "f", Ledger: glue.FeedSums{Finished: 10}}}
	before.Pipelines = []glue.PipelineSums{{Name: "p", Publish: glue.PublishSums{In: 29}}}
	restarted := before
	restarted.Started = time.Unix(-1, 0)
	for what, test := range map[string]struct {
		before *Status
		want   []string
	}{
		"two":           {&before, []string{"   20 jobs/s   the sums agree\n", "─0.5→ push   p\n", " 3 queued ", "a\ufffd[2J", "p: bad\ufffd\n"}},
		"one":           {nil, []string{"   - jobs/s   ", "─-→ push   p\n"}},
		"another start": {&restarted, []string{"   - jobs/s   "}},
	} {
		for _, want := range test.want {
			if got := text(test.before); !strings.Contains(got, want) {
				t.Errorf("%s: no %q in\n%s", what, want, got)
			}
		}
	}
}

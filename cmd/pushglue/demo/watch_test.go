package demo

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"pushglue/glue"
	"pushglue/glue/eventstream"
	"pushglue/glue/gluetest"
	"pushglue/stages/pipelines"
)

// stage is a function as a stage.
type stage func(*glue.Message) error

func (s stage) Process(_ context.Context, m *glue.Message) error { return s(m) }

// judge does what the body says.
func judge(m *glue.Message) error {
	switch string(m.Body()) {
	case "drop":
		return glue.ErrDrop
	case "flag":
		return glue.ErrFlag
	case "bad":
		return glue.Permanentf("is bad")
	}
	return nil
}

// rename is a stage that gives a message another id, as json does.
type rename struct{ id, body string }

func (s *rename) Process(_ context.Context, m *glue.Message) error {
	m.ID = s.id
	m.SetBody([]byte(s.body))
	return nil
}

// TestTheWay draws the demo's own pipelines: what they have in common stands there once.
func TestTheWay(t *testing.T) {
	d := &demo{ledger: new(glue.Ledger), publishers: publishers{host: "http://127.0.0.1:1", dir: t.TempDir(), log: zerolog.Nop()}}
	p := newPage(new(fakeFeed))
	if err := d.startEngine(gluetest.NewFeed(feedName), p); err != nil {
		t.Fatal(err)
	}
	if err := d.publishers.close(); err != nil {
		t.Error(err)
	}
	const want = `json [anonymize [sanitize route format push JSONAnonHTTP] [file JSONAnonFile]] [route encrypt push JSONSecureHTTP]`
	if got := drawWay(p.way); got != want {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
	var nodes []int
	collect(p.way, &nodes)
	if !slices.Equal(nodes, []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}) {
		t.Errorf("nodes %v", nodes)
	}
}

// TestWhoMayRead sends the script through the demo's own pipelines: what is not for everybody is in none
// of their messages but the encrypted ones.
func TestWhoMayRead(t *testing.T) {
	p := publishers{host: "http://127.0.0.1:1", dir: t.TempDir(), log: zerolog.Nop()}
	for _, variable := range []string{anonymizeKey, encryptKey} {
		t.Setenv(variable, strings.Repeat("07", 32))
	}
	list, err := pipelines.Parse("demo.yml", pipelinesFile, p.constructors())
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := p.close(); err != nil {
			t.Error(err)
		}
	}()
	private := regexp.MustCompile(`"(email|ip|gps)":`)
	for _, pipeline := range list {
		found := map[string]bool{}
		for payload := range firstRound() {
			m := glue.NewMessage("j", payload)
			for _, s := range pipeline.Stages {
				if s.Name == "encrypt" { // it stands last
					break
				}
				if err := s.Process(t.Context(), m); err != nil {
					t.Fatalf("%s: %v: %s", pipeline.Name, err, payload)
				}
			}
			for _, name := range private.FindAllString(string(m.Body()), -1) {
				found[name] = true
			}
		}
		want := 0
		if last := pipeline.Stages[len(pipeline.Stages)-1]; last.Name == "encrypt" {
			want = 3
		}
		if len(found) != want {
			t.Errorf("%s: found %v", pipeline.Name, found)
		}
	}
}

func drawWay(w way) string {
	var words []string
	for _, s := range w.Stages {
		words = append(words, s.Name)
	}
	if w.Publisher != nil {
		words = append(words, w.Publisher.Name, w.Publisher.Pipeline)
	}
	for _, b := range w.Branches {
		words = append(words, "["+drawWay(b)+"]")
	}
	return strings.Join(words, " ")
}

func collect(w way, nodes *[]int) {
	for _, s := range w.Stages {
		*nodes = append(*nodes, s.Node)
	}
	if w.Publisher != nil {
		*nodes = append(*nodes, w.Publisher.Node)
	}
	for _, b := range w.Branches {
		collect(b, nodes)
	}
}

// TestWatch sends jobs through an engine that is watched: it does what it does without, and each
// job leaves a trace.
func TestWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var traces []*trace
		w := newWatch(func(t *trace) { traces = append(traces, t) })
		feed := gluetest.NewFeed("f")
		var pubs [2]gluetest.Publisher
		list := []glue.Pipeline{
			{Name: "a", Feed: "f", Target: "push", Publisher: &pubs[0], Stages: []glue.NamedStage{{Name: "judge", Stage: stage(judge)}}},
			{Name: "b", Feed: "f", Target: "file", Publisher: &pubs[1], Stages: []glue.NamedStage{{Name: "rename", Stage: &rename{"m1", "new"}}}},
		}
		w.watchPipelines(list)
		g, err := glue.New(glue.Config{Feeds: []glue.Feed{&watchedFeed{feed, w}}, Pipelines: list})
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- g.Run(ctx) }()
		for _, body := range []string{"good", "drop", "flag", "bad"} {
			feed.Put("j-"+body, []byte(body))
			synctest.Wait()
		}
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
		want := map[string]string{ // verdict, then node and outcome of each step
			"j-good": "finish 1 on, 2 published, 3 on, 4 published",
			"j-drop": "finish 1 dropped, 3 on, 4 published",
			"j-flag": "finish 1 flagged, 2 published, 3 on, 4 published",
			"j-bad":  "stall 1 failed, 3 on, 4 published",
		}
		for _, trace := range traces {
			if got := outline(trace); got != want[trace.Job] {
				t.Errorf("%s: got %s, want %s", trace.Job, got, want[trace.Job])
			}
			d := w.settledJob(trace.Job).details()
			if d.Payload != strings.TrimPrefix(trace.Job, "j-") || d.ID != "m1" || len(d.After) != len(d.Steps) {
				t.Errorf("%+v", d)
			}
			for _, m := range d.After {
				if m.Node == 3 && (m.ID != "m1" || m.Body != "new") {
					t.Errorf("%+v", m)
				}
			}
		}
		if len(traces) != 4 || len(w.jobs)+len(w.byID) > 0 || w.settledJob("other") != nil {
			t.Errorf("%d traces, left over: %v %v", len(traces), w.jobs, w.byID)
		}
		if !slices.Equal(pubs[0].IDs(), []string{"j-good", "j-flag"}) || len(pubs[1].IDs()) != 4 {
			t.Errorf("published %v, %v", pubs[0].IDs(), pubs[1].IDs())
		}
	})
}

// outline writes a trace with its steps in the order of the way.
func outline(t *trace) string {
	steps := slices.SortedFunc(slices.Values(t.Steps), func(a, b step) int { return a.Node - b.Node })
	var words []string
	for _, s := range steps {
		words = append(words, string(rune('0'+s.Node))+" "+s.Outcome)
	}
	return t.Verdict + " " + strings.Join(words, ", ")
}

func TestWatchForgets(t *testing.T) {
	w := newWatch(func(*trace) {})
	for _, id := range []string{"first", "last"} {
		for range kept {
			w.claim([]glue.Job{{ID: id, Put: time.Now().Add(-time.Second)}})
			w.settle([]glue.Settlement{{JobID: id, Verdict: glue.Cancel}, {JobID: "unknown"}}, time.Now())
		}
	}
	if w.settledJob("first") != nil || w.settledJob("last") == nil || len(w.settled) != kept {
		t.Errorf("%d are kept", len(w.settled))
	}
	if last := w.settledJob("last"); last.Verdict != "cancel" || last.Waited < 1_000_000 {
		t.Errorf("%+v", last)
	}
}

// failing is a feed that settles nothing.
type failing struct{ glue.Feed }

func (failing) Settle(context.Context, []glue.Settlement) error { return errors.New("no answer") }

func TestAJobThatIsNotSettledHasNoTrace(t *testing.T) {
	w := newWatch(func(*trace) { t.Error("told") })
	feed := &watchedFeed{failing{gluetest.NewFeed("f")}, w}
	w.claim([]glue.Job{{ID: "a"}})
	if err := feed.Settle(t.Context(), []glue.Settlement{{JobID: "a"}}); err == nil {
		t.Error("no error")
	}
}

// TestNewsNeverBlocks offers traces while nobody publishes them.
func TestNewsNeverBlocks(t *testing.T) {
	n := newNews("http://127.0.0.1:1")
	for range maxTraces + 7 {
		n.offer(new(trace)) // a deadlock would end the test
	}
	if n.lost.Load() != 7 {
		t.Errorf("%d are lost, want 7", n.lost.Load())
	}
	// Nobody answers: they are lost one after the other.
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	go n.run(ctx, func(context.Context) any { return 1 })
	for n.lost.Load() < maxTraces+7 && ctx.Err() == nil {
		time.Sleep(time.Millisecond)
	}
	if n.lost.Load() < maxTraces+7 || n.streams(ctx) != -1 {
		t.Errorf("%d are lost", n.lost.Load())
	}
}

func TestNewsReachThePage(t *testing.T) {
	host := gluetest.NewPushServer()
	server := httptest.NewServer(host)
	defer server.Close()
	defer host.Close()
	reader, err := eventstream.Subscribe(t.Context(), server.URL+"/subscribe/"+traceChannel+"/"+ledgerChannel, "")
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	n := newNews(server.URL)
	if got := n.streams(t.Context()); got != 1 {
		t.Errorf("%d streams", got)
	}
	n.offer(&trace{Job: "j", Steps: []step{{Node: 1, Took: 5, Outcome: "on", after: message{Body: "long"}}}})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go n.run(ctx, func(context.Context) any { return map[string]int{"put": 1} })
	for _, want := range []eventstream.Event{
		{Type: "trace", Data: `{"job":"j","message":"","waited":0,"settle":0,"took":0,"verdict":"","steps":[{"node":1,"at":0,"took":5,"outcome":"on"}]}`},
		{Type: "ledger", Data: `{"put":1}`},
	} {
		event, err := reader.Next()
		if err != nil || event != want {
			t.Errorf("got %+v, %v, want %+v", event, err, want)
		}
	}
	if n.lost.Load() != 0 {
		t.Errorf("%d are lost", n.lost.Load())
	}
	n.post(ctx, "ALL", "trace", []byte("{}")) // no channel may be called so
	if n.lost.Load() != 1 {
		t.Errorf("%d are lost", n.lost.Load())
	}
}

func TestThePageShowsAJob(t *testing.T) {
	p := newPage(new(fakeFeed))
	p.watch.claim([]glue.Job{{ID: "j", Payload: []byte(`{"a":1}`)}})
	p.watch.add("j", step{Node: 1, Outcome: "on"}, glue.NewMessage("m", []byte("body")), time.Now(), 3*time.Microsecond, nil)
	p.watch.settle([]glue.Settlement{{JobID: "j", Verdict: glue.Finish}}, time.Now())
	w := httptest.NewRecorder()
	p.handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/jobs/j", nil))
	var got struct {
		Message, Payload string
		After            []stepMessage
	}
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if got.Message != "m" || got.Payload != `{"a":1}` || len(got.After) != 1 || got.After[0].Node != 1 || got.After[0].Body != "body" {
		t.Errorf("got %s", w.Body)
	}
}

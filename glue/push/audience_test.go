package push_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"pushglue/glue"
	"pushglue/glue/eventstream"
	"pushglue/glue/gluetest"
	"pushglue/glue/push"
)

// probe is the reserved channel of docs/configuration.md.
const probe = "pushglue:probe"

// hall is a push host whose empty channels are skipped. It stores nothing.
type hall struct {
	*gluetest.PushServer
	t *testing.T

	mu         sync.Mutex
	got        []string     // bodies of messages, in order
	probes     int          // messages to the probe's channel
	lists      []string     // of channels that it was asked about
	statistics http.Handler // answers about channels; nil for the PushServer
	publish    http.Handler // answers to messages, but the probe; nil for the PushServer
}

func newHall(t *testing.T) *hall {
	t.Helper()
	h := &hall{PushServer: gluetest.NewPushServer(), t: t}
	h.Store(0)
	return h
}

func (h *hall) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	var handler http.Handler
	switch id := r.URL.Query().Get("id"); {
	case r.URL.Path == "/channels-stats" && id == "": // not about channels
	case r.URL.Path == "/channels-stats":
		h.lists = append(h.lists, id)
		handler = h.statistics
	case r.URL.Path == "/publish" && id == probe:
		h.probes++
	case r.URL.Path == "/publish":
		body, err := io.ReadAll(r.Body)
		if err != nil {
			h.t.Error(err)
		}
		h.got = append(h.got, string(body))
		r.Body = io.NopCloser(bytes.NewReader(body))
		handler = h.publish
	}
	h.mu.Unlock()
	if handler == nil {
		handler = h.PushServer
	}
	handler.ServeHTTP(w, r)
}

// want checks what messages were sent since it was called last.
func (h *hall) want(bodies ...string) {
	h.t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	if !slices.Equal(h.got, bodies) {
		h.t.Errorf("got %q, want %q", h.got, bodies)
	}
	h.got = nil
}

// skipping publishes to halls, over connections or without a network.
type skipping struct {
	*push.Publisher
	t      *testing.T
	ledger glue.Ledger
	log    bytes.Buffer
}

func newSkipping(t *testing.T, transport http.RoundTripper, urls ...string) *skipping {
	t.Helper()
	s := &skipping{t: t}
	var err error
	s.Publisher, err = push.New(push.Config{
		Hosts: urls, Module: push.PushStream, SkipEmpty: true, Transport: transport,
		Ledger: &s.ledger, Log: zerolog.New(zerolog.SyncWriter(&s.log)),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// startSkipping serves halls over connections, and returns their URLs.
func startSkipping(t *testing.T, halls ...*hall) (*skipping, []string) {
	t.Helper()
	var urls []string
	for _, h := range halls {
		server := httptest.NewServer(h)
		t.Cleanup(func() { h.Close(); server.Close() })
		urls = append(urls, server.URL)
	}
	return newSkipping(t, nil, urls...), urls
}

// publish publishes a batch, requires that all of it counts as published, and balances.
func (s *skipping) publish(batch ...*glue.Message) {
	s.t.Helper()
	outcomes := make([]error, len(batch))
	s.Publish(s.t.Context(), batch, outcomes)
	for i, err := range outcomes {
		if err != nil {
			s.t.Errorf("message %d: %v", i, err)
		}
	}
	if err := s.ledger.Sums().Balance(); err != nil {
		s.t.Error(err)
	}
}

// wantLog checks how often the log has a text.
func (s *skipping) wantLog(times int, text string) {
	s.t.Helper()
	if n := strings.Count(s.log.String(), text); n != times {
		s.t.Errorf("the log has %d times %q, want %d:\n%s", n, text, times, &s.log)
	}
}

// to returns a message to channels.
func to(body string, channels ...string) *glue.Message {
	m := glue.NewMessage("id-"+body, []byte(body))
	m.Channels = channels
	return m
}

// subscribe opens a stream that ends with the test, or when it waits for what does not come.
func subscribe(t *testing.T, url, channels string) *eventstream.Subscription {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	t.Cleanup(cancel)
	s, err := eventstream.Subscribe(ctx, url+"/subscribe/"+channels, "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestWhatNobodyListensToIsSkipped(t *testing.T) {
	h := newHall(t)
	s, urls := startSkipping(t, h)
	s.publish(to("1", "a"), to("2", "a", "b"))
	h.want()
	reader := subscribe(t, urls[0], "b/grüße")
	s.publish(to("3", "a"), to("4", "a", "b", "c"), to("5", "c"), to("6", "grüße"), to("7", "b"))
	h.want("4", "6", "7")
	for _, want := range []string{"4", "6", "7"} {
		if event, err := reader.Next(); err != nil || event.Data != want {
			t.Errorf("the reader got %q, %v; want %s", event.Data, err, want)
		}
	}
	sums := s.ledger.Sums().Hosts[0]
	if sums.Skipped != 4 || sums.Sent != 3 || sums.Accepted != 3 {
		t.Errorf("the ledger has %+v", sums)
	}
	s.wantLog(1, "messages that nobody listens to are skipped on this push host")
	want := []string{"a/b/" + probe, "a/b/c/grüße/" + probe}
	if !slices.Equal(h.lists, want) {
		t.Errorf("asked about %q, want %q", h.lists, want)
	}
}

func TestEachHostHasItsReaders(t *testing.T) {
	one, two := newHall(t), newHall(t)
	s, urls := startSkipping(t, one, two)
	subscribe(t, urls[0], "a")
	subscribe(t, urls[1], "b")
	s.publish(to("1", "a"), to("2", "b"), to("3", "a", "b"), to("4", "c"))
	one.want("1", "3")
	two.want("2", "3")
}

// A host that begins to store, by a reload, gets the next batch as a whole.
func TestAHostThatStoresIsSentEverything(t *testing.T) {
	h := newHall(t)
	s, _ := startSkipping(t, h)
	s.publish(to("1", "a"))
	h.want()
	h.Store(1)
	for i := range 3 {
		s.publish(to(fmt.Sprint("2", i), "a"), to("3", "b"))
	}
	h.want("20", "3", "21", "3", "22", "3")
	s.wantLog(1, `"level":"warn"`)
	s.wantLog(1, "push_stream_store_messages off")
	if h.probes != 2 || len(h.lists) != 2 {
		t.Errorf("a host that stores is asked for each batch: %d probes, lists %q", h.probes, h.lists)
	}
}

// inMemory takes requests to a handler without a network, where synctest can follow.
type inMemory struct{ http.Handler }

func (m inMemory) RoundTrip(r *http.Request) (*http.Response, error) {
	answer := make(chan *http.Response, 1)
	go func() {
		w := httptest.NewRecorder()
		m.ServeHTTP(w, r)
		answer <- w.Result()
	}()
	select {
	case resp := <-answer:
		return resp, nil
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
}

func answering(status int, text string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, text)
	})
}

func TestAnAnswerInDoubtSkipsNothing(t *testing.T) {
	const end = `{"channel": "pushglue:probe", "stored_messages": 0, "subscribers": 0}`
	for name, statistics := range map[string]http.Handler{
		"no such URL":        answering(404, ""),
		"an error":           answering(500, ""),
		"created":            answering(201, end),
		"a page":             answering(200, "<html>"),
		"nothing":            answering(200, ""),
		"Nchan's statistics": answering(200, "total published messages: 0\n"),
		"a cut off answer":   answering(200, end[:len(end)-1]),
		"totals":             answering(200, `{"stored_messages": 0, "subscribers": 0, "by_worker": []}`),
		"an empty list":      answering(200, `{"infos": []}`),
		"no end":             answering(200, `{"channel": "a", "stored_messages": 0, "subscribers": 0}`),
		"another end":        answering(200, `{"infos": [`+end+`, {"channel": "a", "stored_messages": 0, "subscribers": 0}]}`),
		"another channel":    answering(200, `{"infos": [{"channel": "b", "stored_messages": 0, "subscribers": 0}, `+end+`]}`),
		"no readers":         answering(200, `{"infos": [{"channel": "a", "stored_messages": 0}, `+end+`]}`),
		"no store":           answering(200, `{"infos": [{"channel": "a", "subscribers": 0}, `+end+`]}`),
		"a text":             answering(200, `{"infos": [{"channel": "a", "stored_messages": 0, "subscribers": "0"}, `+end+`]}`),
		"more than fits":     answering(200, strings.Repeat(" ", 4<<20)+end),
		"a stored message":   answering(200, `{"infos": [{"channel": "a", "stored_messages": 1, "subscribers": 0}, `+end+`]}`),
		"the store's probe":  answering(200, strings.Replace(end, `"stored_messages": 0`, `"stored_messages": 1`, 1)),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHall(t)
				h.statistics = statistics
				s := newSkipping(t, inMemory{h}, "http://one")
				for range 3 {
					s.publish(to("1", "a"), to("2", "a"))
					time.Sleep(6 * time.Second)
				}
				h.want("1", "2", "1", "2", "1", "2")
				if len(h.lists) != 2 {
					t.Errorf("asked %d times in 12s, want 2", len(h.lists))
				}
				s.wantLog(1, `"level":"warn"`)
				h.statistics = answering(200, end)
				time.Sleep(10 * time.Second)
				s.publish(to("3", "a"))
				h.want()
				s.wantLog(1, "messages that nobody listens to are skipped on this push host")
			})
		})
	}
}

// A name with a quote could say what it likes of other channels, since push-stream does not escape it.
func TestMessagesToNamesThatAnAnswerCannotHoldAreSent(t *testing.T) {
	h := newHall(t)
	s, _ := startSkipping(t, h)
	forged := `x", "subscribers": 0}, {"channel": "a`
	s.publish(to("1", forged), to("2", `back\slash`), to("3", "ordinary"), to("4", "ordinary", `"`), to("5", probe))
	h.want("1", "2", "4")
	if h.probes != 2 {
		t.Errorf("%d messages to the probe's channel, want 5 and a probe", h.probes)
	}
	if want := []string{"ordinary/" + probe}; !slices.Equal(h.lists, want) {
		t.Errorf("asked about %q, want %q", h.lists, want)
	}
}

func TestLongListsAreSplit(t *testing.T) {
	h := newHall(t)
	s, urls := startSkipping(t, h)
	var batch []*glue.Message
	name := func(i int) string { return fmt.Sprintf("%d:%s", i, strings.Repeat("ü", 60)) }
	for i := range 300 {
		batch = append(batch, to(fmt.Sprint(i), name(i), name(i+1)))
	}
	subscribe(t, urls[0], name(0))
	subscribe(t, urls[0], name(300))
	s.publish(batch...)
	h.want("0", "299")
	asked := 0
	for _, list := range h.lists {
		if size := 3 * len(list); size > 32<<10 {
			t.Errorf("a list has up to %d bytes when it is encoded", size)
		}
		names := strings.Split(list, "/")
		if names[len(names)-1] != probe {
			t.Errorf("a list ends with %q", names[len(names)-1])
		}
		asked += len(names) - 1
	}
	if asked != 301 || len(h.lists) < 4 || h.probes != 1 {
		t.Errorf("asked about %d channels in %d lists, with %d probes", asked, len(h.lists), h.probes)
	}
}

// A host that says nothing about its readers costs one timeout, and messages reach it.
func TestAHostThatDoesNotTellCostsOneTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHall(t)
		h.statistics = http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
		s := newSkipping(t, inMemory{h}, "http://one")
		begin := time.Now()
		s.publish(to("1", "a"))
		s.publish(to("2", "a"))
		if took := time.Since(begin); took != 5*time.Second {
			t.Errorf("messages waited for %s, want one timeout of 5s", took)
		}
		h.want("1", "2")
	})
}

// The messages tell whether a host is up, not the question.
func TestADownHostIsNotAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHall(t)
		h.publish = answering(500, "")
		s := newSkipping(t, inMemory{h}, "http://one")
		batch := make([]*glue.Message, 10)
		for i := range batch {
			batch[i] = to(fmt.Sprint(i), `"`)
		}
		s.Publish(t.Context(), batch, make([]error, len(batch))) // down
		h.mu.Lock()
		h.got, h.lists, h.publish = nil, nil, nil
		h.mu.Unlock()
		outcomes := make([]error, 1)
		if s.Publish(t.Context(), []*glue.Message{to("x", "a")}, outcomes); outcomes[0] == nil {
			t.Error("a message to a host that is down counts as published")
		}
		time.Sleep(2 * time.Second)
		s.publish(to("trial", "a"), to("behind", "a"))
		h.want("trial", "behind")
		if len(h.lists) > 0 {
			t.Errorf("asked about %q", h.lists)
		}
		s.publish(to("later", "a"))
		h.want()
	})
}

func TestAStopEndsTheQuestion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHall(t)
		ctx, cancel := context.WithCancel(t.Context())
		h.statistics = http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			cancel()
			<-r.Context().Done()
		})
		s := newSkipping(t, inMemory{h}, "http://one")
		outcomes := make([]error, 1)
		if s.Publish(ctx, []*glue.Message{to("1", "a")}, outcomes); outcomes[0] == nil {
			t.Error("a message counts as published that was not sent")
		}
		s.wantLog(0, "warn")
	})
}

func TestSkips(t *testing.T) {
	good, stores := newHall(t), newHall(t)
	stores.Store(1)
	s, urls := startSkipping(t, good, stores)
	got := s.Skips(t.Context())
	name := func(i int) string { return strings.TrimPrefix(urls[i], "http://") }
	if err := got[name(0)]; len(got) != 2 || err != nil {
		t.Errorf("got %v", got)
	}
	if err := got[name(1)]; err == nil || !strings.Contains(err.Error(), "push_stream_store_messages off") {
		t.Errorf("of a host that stores: %v", err)
	}
	plain, err := push.New(push.Config{Hosts: urls, Module: push.PushStream})
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	if got := plain.Skips(t.Context()); len(got) != 0 {
		t.Errorf("without the setting: %v", got)
	}
}

func TestNchanCannotSkip(t *testing.T) {
	_, err := push.New(push.Config{Hosts: []string{"http://h"}, Module: push.Nchan, SkipEmpty: true})
	const want = "nchan does not tell who listens to a channel, so only push-stream can be spared messages"
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

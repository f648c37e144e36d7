package conform

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"pushglue/glue/eventstream"
)

func (h *pushHost) testNewMessagesOnly(t *testing.T) {
	channel := h.channel()
	h.publish(t, message{body: "old"}, channel)
	s := h.subscribe(t, "", channel)
	h.publish(t, message{body: "new"}, channel)
	next(t, s, "new")
}

// A reader that comes back with the last id that it has misses nothing that is stored. push-stream
// sends what is new; Nchan, in the shipped configuration, sends all that is stored.
func (h *pushHost) testResume(t *testing.T) {
	a, b := h.channel(), h.channel()
	s := h.subscribe(t, "", a, b)
	h.publish(t, message{id: "m0", body: "0"}, a)
	next(t, s, "0")
	h.publish(t, message{id: "m1", body: "1"}, a, b)
	next(t, s, "1")
	lastID := next(t, s, "1").ID // the second copy: both channels are at m1
	s.Close()

	h.publish(t, message{id: "m2", body: "2"}, a)
	h.publish(t, message{id: "m3", body: "3"}, a)
	h.publish(t, message{id: "m4", body: "4"}, b)
	s = h.subscribe(t, lastID, a, b)
	seen := map[string]bool{"0": h.nchan, "1": h.nchan}
	var fresh []string
	for len(fresh) < 3 {
		event, err := s.Next()
		if err != nil {
			t.Fatalf("after %q: %v", fresh, err)
		}
		if !seen[event.Data] {
			seen[event.Data] = true
			fresh = append(fresh, event.Data)
		}
	}
	if got := strings.Join(slices.DeleteFunc(slices.Clone(fresh), func(body string) bool { return body == "4" }), ""); got != "23" {
		t.Errorf("got %q, want 2 before 3, and 4", fresh)
	}
	h.publish(t, message{id: "m5", body: "5"}, a)
	next(t, s, "5")
}

// An id that a channel does not store replays nothing on push-stream, silently, and everything
// on Nchan. Readers of a quiet channel all come back with one, sooner or later.
func (h *pushHost) testResumeUnknown(t *testing.T) {
	quiet := h.channel()
	var streams []*eventstream.Subscription
	for _, id := range []string{"unknown", "1:0", "m0", "1:0"} {
		streams = append(streams, h.subscribe(t, id, quiet))
	}
	h.publish(t, message{id: "m0", body: "old"}, quiet)
	for _, s := range streams {
		next(t, s, "old")
	}

	stored := []string{"old"}
	for _, id := range []string{"unknown", "0"} {
		s := h.subscribe(t, id, quiet)
		h.publish(t, message{id: "after-" + id, body: id}, quiet)
		if h.nchan {
			for _, body := range stored {
				next(t, s, body)
			}
		}
		next(t, s, id)
		stored = append(stored, id)
	}
}

// A URL that says that its reader comes back gives all that is stored, of every channel in its order, then what is new. So does
// a poll's, even one that names a position as well.
func (h *pushHost) testStored(t *testing.T) {
	a, b := h.channel(), h.channel()
	h.publish(t, message{id: "s1", body: "1"}, a)
	h.publish(t, message{id: "s2", body: "2"}, a)
	h.publish(t, message{id: "s3", body: "3"}, b)
	resource := escape(a) + "/" + escape(b) + "?last_event_id=1"
	s := h.open(t, resource, "")
	var got []string
	for range 3 {
		event, err := s.Next()
		if err != nil {
			t.Fatalf("after %q: %v", got, err)
		}
		got = append(got, event.Data)
	}
	requireStored(t, got, "1 2 3")
	h.publish(t, message{id: "s4", body: "4"}, b)
	next(t, s, "4")

	answer := <-h.poll(t, resource, nil)
	requireStored(t, strings.Fields(answer.body), "1 2 3 4")
	if !h.nchan { // which refuses positions
		answer = <-h.poll(t, resource, answer.position)
		requireStored(t, strings.Fields(answer.body), "1 2 3 4")
	}
}

// requireStored makes sure that the bodies are there, 1 before 2, and 3 before 4, each on a channel of its own.
func requireStored(t *testing.T, got []string, want string) {
	t.Helper()
	inOrder := slices.Index(got, "1") < slices.Index(got, "2") && (len(got) < 4 || slices.Index(got, "3") < slices.Index(got, "4"))
	if sorted := slices.Sorted(slices.Values(got)); strings.Join(sorted, " ") != want || !inOrder {
		t.Errorf("got %q, want %s", got, want)
	}
}

func requireStatus(t *testing.T, err error, want int) {
	t.Helper()
	var status *eventstream.StatusError
	switch {
	case err == nil:
		t.Errorf("status 200, want %d", want)
	case !errors.As(err, &status):
		t.Errorf("error %v, want status %d", err, want)
	case status.Code != want:
		t.Errorf("status %d, want %d", status.Code, want)
	}
}

// NAME.bN asks push-stream for the last N messages.
func (h *pushHost) testBacktrack(t *testing.T) {
	channel := h.channel()
	for _, body := range []string{"0", "1", "2"} {
		h.publish(t, message{body: body}, channel)
	}
	s := h.open(t, channel+".b2", "")
	next(t, s, "1")
	next(t, s, "2")
}

// Polls that pass on their position miss nothing, whether a message comes before or during one.
func (h *pushHost) testLongPolling(t *testing.T) {
	if h.nchan {
		h.testNchanPolling(t)
		return
	}
	channel := h.channel()
	h.publish(t, message{body: "0"}, channel)
	beginning := http.Header{
		"If-Modified-Since": {time.Unix(1, 0).UTC().Format(http.TimeFormat)},
		"If-None-Match":     {"0"},
	}
	answer := <-h.poll(t, escape(channel), beginning)
	answer.require(t, "0")
	for i := 1; i < 5; i++ {
		polled := h.poll(t, escape(channel), answer.position)
		h.publish(t, message{body: fmt.Sprint(i)}, channel)
		answer = <-polled
		answer.require(t, fmt.Sprint(i))
	}
}

// A poll that says that it comes back gets all that is stored at once, or waits.
func (h *pushHost) testNchanPolling(t *testing.T) {
	channel := h.channel()
	resource := escape(channel) + "?last_event_id=any"
	polled := h.poll(t, resource, nil)
	h.publish(t, message{body: "0"}, channel)
	answer := <-polled
	answer.require(t, "0")
	if position := answer.position; position.Get("If-None-Match") != "" || position.Get("If-Modified-Since") != "" {
		t.Errorf("poll: the answer has a position, %v, which the host would refuse", position)
	}
	h.publish(t, message{body: "1"}, channel)
	answer = <-h.poll(t, resource, nil)
	answer.require(t, "0\n1")
}

type pollAnswer struct {
	status   int
	header   http.Header
	body     string
	position http.Header // of the next poll
	err      error
}

func (a *pollAnswer) require(t *testing.T, body string) {
	t.Helper()
	switch {
	case a.err != nil:
		t.Fatalf("poll: %v", a.err)
	case a.status != http.StatusOK:
		t.Fatalf("poll: status %d", a.status)
	case strings.TrimSuffix(a.body, "\n") != body:
		t.Fatalf("poll: got %q, want %q", a.body, body)
	case !strings.Contains(a.header.Get("Cache-Control"), "no-store"):
		t.Errorf("poll: caches may keep the answer: %q", a.header.Get("Cache-Control"))
	}
}

// poll sends a poll and does not wait for its answer.
func (h *pushHost) poll(t *testing.T, resource string, position http.Header) <-chan pollAnswer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, h.public+"/poll/"+resource, nil)
	if err != nil {
		t.Fatal(err)
	}
	maps.Copy(req.Header, position)
	answers := make(chan pollAnswer, 1)
	go func() {
		resp, err := h.client.Do(req)
		if err != nil {
			answers <- pollAnswer{err: err}
			return
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		answers <- pollAnswer{
			status: resp.StatusCode,
			header: resp.Header,
			body:   string(body),
			position: http.Header{
				"If-Modified-Since": {resp.Header.Get("Last-Modified")},
				"If-None-Match":     {resp.Header.Get("Etag")},
			},
			err: err,
		}
	}()
	return answers
}

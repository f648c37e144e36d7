//go:build e2e

package compose

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/cookiejar"
	"slices"
	"strings"
	"testing"

	"pushglue/glue/eventstream"
)

// visitor writes in thread 1, as its page does.
type visitor struct {
	t      *testing.T
	site   string
	client http.Client
}

func newVisitor(t *testing.T, s *stack) *visitor {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	v := &visitor{t, s.url("WEB_PORT"), http.Client{Jar: jar, Timeout: patience}}
	var thread struct{ Hosts []string }
	if err := json.Unmarshal([]byte(v.do(http.MethodGet, "/api/threads/1", "")), &thread); err != nil || !slices.Equal(thread.Hosts, s.pushHosts()) {
		t.Errorf("pages are told %q, %v, want %q", thread.Hosts, err, s.pushHosts())
	}
	return v
}

// do returns the answer to a request, which must be a good one.
func (v *visitor) do(method, path, body string) string {
	v.t.Helper()
	req, err := http.NewRequestWithContext(v.t.Context(), method, v.site+path, strings.NewReader(body))
	if err != nil {
		v.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := v.client.Do(req)
	if err != nil {
		v.t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode >= 300 {
		v.t.Fatalf("%s %s: %s %v %s", method, path, resp.Status, err, answer)
	}
	return string(answer)
}

// write writes a comment and returns its number.
func (v *visitor) write(message string) int {
	v.t.Helper()
	comment, err := json.Marshal(map[string]any{"author": "Ann", "message": message, "parent": nil})
	if err != nil {
		v.t.Fatal(err)
	}
	var made struct{ Post int }
	if err := json.Unmarshal([]byte(v.do(http.MethodPost, "/api/threads/1/comments", string(comment))), &made); err != nil {
		v.t.Fatal(err)
	}
	return made.Post
}

// reader listens to a push host.
type reader struct {
	t      *testing.T
	stream *eventstream.Subscription
}

// listen opens a stream, as soon as there is a push host. It ends when the test's patience does.
func (s *stack) listen(t *testing.T, origin, channels, lastEventID string) reader {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	t.Cleanup(cancel)
	r := reader{t: t}
	eventually(t, "a push host takes a reader", func() bool {
		var err error
		r.stream, err = eventstream.Subscribe(ctx, origin+"/subscribe/"+channels, lastEventID)
		return err == nil
	})
	t.Cleanup(func() { r.stream.Close() })
	return r
}

func (s *stack) listenOnBoth(t *testing.T, channels string) []reader {
	t.Helper()
	var all []reader
	for _, origin := range s.pushHosts() {
		all = append(all, s.listen(t, origin, channels, ""))
	}
	return all
}

func (r reader) next() eventstream.Event {
	r.t.Helper()
	event, err := r.stream.Next()
	if err != nil {
		r.t.Fatal(err)
	}
	return event
}

// message is what a page reads of an event.
type message struct {
	Type     string `json:"-"`
	Post     int
	Revision int
	Message  string
	Author   map[string]any
}

// until waits for a revision of a post.
func (r reader) until(post, revision int) message {
	r.t.Helper()
	for {
		event := r.next()
		m := message{Type: event.Type}
		if err := json.Unmarshal([]byte(event.Data), &m); err != nil {
			r.t.Fatalf("%v in %s", err, event.Data)
		}
		if m.Post == post && m.Revision == revision {
			return m
		}
	}
}

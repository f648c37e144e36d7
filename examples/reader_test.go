package examples

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"pushglue/glue/eventstream"
	"pushglue/glue/gluetest/service"
)

// reader listens to channels of a push host as a page does.
type reader struct {
	t      *testing.T
	events chan eventstream.Event
}

// read opens a stream of channels, such as "thread:1" or "thread:1/next", and returns when nginx has it.
func read(t *testing.T, host *service.Nginx, channels string) *reader {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, host.PublicURL()+"/subscribe/"+channels, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Accept", "text/event-stream")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { response.Body.Close() })
	r := &reader{t, make(chan eventstream.Event, 100)}
	go func() {
		defer close(r.events)
		for stream := eventstream.NewReader(response.Body); ; {
			event, err := stream.Next()
			if err != nil {
				return
			}
			r.events <- event
		}
	}()
	return r
}

// message is what a page reads of an event: its type, and members of its body.
type message struct {
	Type     string          `json:"-"`
	ID       string          `json:"id"`
	Post     json.RawMessage `json:"post"`
	Parent   json.RawMessage `json:"parent"`
	Revision int             `json:"revision"`
	Message  string          `json:"message"`
	Readers  int             `json:"readers"`
	Author   map[string]any  `json:"author"`
}

// next waits for an event and returns what is in it.
func (r *reader) next() message {
	r.t.Helper()
	select {
	case event, open := <-r.events:
		if !open {
			r.t.Fatal("the stream has ended")
		}
		m := message{Type: event.Type}
		if err := json.Unmarshal([]byte(event.Data), &m); err != nil {
			r.t.Fatalf("%v in %s", err, event.Data)
		}
		return m
	case <-time.After(patience):
		r.t.Fatal("no event comes")
	}
	return message{}
}

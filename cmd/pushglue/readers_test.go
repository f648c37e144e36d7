package main

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pushglue/glue/eventstream"
	"pushglue/glue/gluetest/service"
)

// readers are EventSource readers, one for each channel of each push host.
type readers struct {
	t      *testing.T
	module string
	wg     sync.WaitGroup

	mu  sync.Mutex
	got map[string][]eventstream.Event // by host and channel
	n   int
}

func startReaders(t *testing.T, module string, hosts []*service.Nginx, comments []comment) *readers {
	t.Helper()
	r := &readers{t: t, module: module, got: map[string][]eventstream.Event{}}
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(func() { cancel(); r.wg.Wait() })
	for name := range r.expected(comments) {
		for h, host := range hosts {
			s, err := eventstream.Subscribe(ctx, host.PublicURL()+"/subscribe/"+url.PathEscape(name), "")
			if err != nil {
				t.Fatal(err)
			}
			r.wg.Go(func() { r.read(s, key(h, name), strings.HasPrefix(name, "secure:")) })
		}
	}
	return r
}

func key(host int, channel string) string { return fmt.Sprint(host, " ", channel) }

func (r *readers) read(s *eventstream.Subscription, key string, secure bool) {
	defer s.Close()
	for {
		event, err := s.Next()
		if err != nil {
			return
		}
		if r.module == service.Nchan {
			event.ID = "" // Nchan's own; pushglue's is in the data
		}
		if secure {
			event.Data = decrypted(event.Data)
		}
		r.mu.Lock()
		r.got[key] = append(r.got[key], event)
		r.n++
		r.mu.Unlock()
	}
}

func (r *readers) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.n
}

// expected returns what a reader of each channel must receive.
func (r *readers) expected(comments []comment) map[string][]eventstream.Event {
	want := map[string][]eventstream.Event{}
	for _, c := range comments {
		for _, d := range c.deliveries {
			if r.module == service.Nchan {
				d.event.ID = ""
			}
			for _, name := range d.channels {
				want[name] = append(want[name], d.event)
			}
		}
	}
	return want
}

// check waits until every reader has as many events as it must receive, and compares them:
// exactly its channel's messages, in order, once, byte for byte.
func (r *readers) check(hosts int, comments []comment) {
	r.t.Helper()
	want := r.expected(comments)
	total := 0
	for _, events := range want {
		total += len(events) * hosts
	}
	for deadline := time.Now().Add(patience); r.count() < total && time.Now().Before(deadline); {
		time.Sleep(5 * time.Millisecond)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for name, events := range want {
		for h := range hosts {
			if got := r.got[key(h, name)]; !slices.Equal(got, events) {
				r.t.Errorf("host %d, channel %q: %s", h, name, difference(got, events))
			}
		}
	}
}

// difference tells where two lists of events part.
func difference(got, want []eventstream.Event) string {
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			return fmt.Sprintf("event %d of %d is\n%+.300v\nwant\n%+.300v", i, len(want), got[i], want[i])
		}
	}
	return fmt.Sprintf("%d events, want %d", len(got), len(want))
}

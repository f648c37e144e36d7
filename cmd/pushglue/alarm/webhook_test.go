package alarm_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"pushglue/cmd/pushglue/alarm"
)

// TestWebhook answers alerts with these, one after the other.
func TestWebhook(t *testing.T) {
	for name, test := range map[string]struct {
		answers []int
		tries   int
		lost    bool
	}{
		"taken":            {[]int{200}, 1, false},
		"taken in the end": {[]int{503, 429, 204}, 3, false},
		"refused":          {[]int{404, 200}, 1, true},
	} {
		t.Run(name, func(t *testing.T) {
			var mu sync.Mutex
			var got []alarm.Alert
			done := make(chan struct{})
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				mu.Lock()
				defer mu.Unlock()
				var a alarm.Alert
				if err := json.NewDecoder(r.Body).Decode(&a); err != nil {
					t.Error(err)
				}
				got = append(got, a)
				w.WriteHeader(test.answers[len(got)-1])
				if len(got) == test.tries {
					close(done)
				}
			}))
			defer server.Close()
			var log bytes.Buffer
			hook := alarm.NewWebhook(server.URL+"/plantedsecret", zerolog.New(zerolog.SyncWriter(&log)))
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan struct{})
			go func() { hook.Run(ctx); close(ended) }()
			hook.Tell(alarm.Alert{Feed: "f", State: alarm.AlertFailing, Failures: 12})
			<-done
			cancel()
			<-ended
			if len(got) != test.tries || got[0].Feed != "f" || got[0].Failures != 12 {
				t.Errorf("got %+v", got)
			}
			if lost := strings.Contains(log.String(), "cannot tell the webhook"); lost != test.lost {
				t.Errorf("the log is %s", &log)
			}
			if strings.Contains(log.String(), "planted") {
				t.Errorf("the log has the URL: %s", &log)
			}
		})
	}
}

// TestTheWebhookIsAway when the daemon ends: it ends soon, and the log does not quote the URL.
func TestTheWebhookIsAway(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	var log bytes.Buffer
	hook := alarm.NewWebhook(server.URL+"/plantedsecret", zerolog.New(&log))
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	hook.Tell(alarm.Alert{Feed: "f", State: alarm.AlertFailing})
	hook.Run(ctx)
	if !strings.Contains(log.String(), "connection refused") || strings.Contains(log.String(), "planted") {
		t.Errorf("the log is %s", &log)
	}
}

package alarm_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"pushglue/cmd/pushglue/alarm"
)

// sentryEvent is what the tests look at.
type sentryEvent struct {
	Message     string            `json:"message"`
	Level       string            `json:"level"`
	Release     string            `json:"release"`
	Environment string            `json:"environment"`
	Tags        map[string]string `json:"tags"`
	Fingerprint []string          `json:"fingerprint"`
	Contexts    map[string]any    `json:"contexts"`
}

func TestSentryGetsErrors(t *testing.T) {
	events := make(chan sentryEvent, 10)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		for line := range bytes.Lines(body) { // an envelope: its head, and two lines for each item
			var e sentryEvent
			if json.Unmarshal(line, &e) == nil && e.Message != "" {
				events <- e
			}
		}
	}))
	defer server.Close()
	s, err := alarm.NewSentry(alarm.SentryConfig{DSN: strings.Replace(server.URL, "://", "://key@", 1) + "/1", Environment: "test", Release: "v1", Sample: 1})
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	l := zerolog.New(zerolog.MultiLevelWriter(s, &log))
	l.Info().Msg("running")
	l.Warn().Str("job", "1").Msg("job failed")
	l.Error().Str("feed", "f").Str("stage", "json").Err(errors.New("what it was")).Msg("stage panicked")
	s.Flush(10 * time.Second)
	close(events)
	var got []sentryEvent
	for e := range events {
		got = append(got, e)
	}
	if len(got) != 1 {
		t.Fatalf("got %d events, want one: %+v", len(got), got)
	}
	e := got[0]
	if e.Message != "stage panicked" || e.Level != "error" || e.Release != "v1" || e.Environment != "test" || e.Tags["feed"] != "f" || e.Tags["stage"] != "json" {
		t.Errorf("got %+v", e)
	}
	if want := []string{"stage panicked", "f", "", "json", "", "", ""}; !slices.Equal(e.Fingerprint, want) {
		t.Errorf("fingerprint %q, want %q", e.Fingerprint, want)
	}
	if context, ok := e.Contexts["log"].(map[string]any); !ok || context["error"] != "what it was" {
		t.Errorf("contexts: %v", e.Contexts)
	}
	if n := strings.Count(log.String(), "\n"); n != 3 {
		t.Errorf("the log has %d lines, want 3", n)
	}
}

func TestWrongSentry(t *testing.T) {
	for dsn, sample := range map[string]float64{"plantedsecret": 1, "https://plantedsecret@h": 1, "https://plantedsecret@h/1": 0, "https://plantedsecret@h/2": 1.5} {
		if _, err := alarm.NewSentry(alarm.SentryConfig{DSN: dsn, Sample: sample}); err == nil || strings.Contains(err.Error(), "planted") {
			t.Errorf("%s, %g: %v", dsn, sample, err)
		}
	}
}

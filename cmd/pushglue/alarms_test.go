package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"pushglue/glue/gluetest/service"
)

// receiver keeps what is POSTed to it.
type receiver struct {
	*httptest.Server
	mu   sync.Mutex
	text strings.Builder
}

func startReceiver(t *testing.T) *receiver {
	r := new(receiver)
	r.Server = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
		r.mu.Lock()
		defer r.mu.Unlock()
		if _, err := io.Copy(&r.text, req.Body); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) has(words ...string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, w := range words {
		if !strings.Contains(r.text.String(), w) {
			return false
		}
	}
	return true
}

// TestAlarms has jobs fail until the webhook and Sentry are told, and a push host hang until the daemon shows what it does and ends.
func TestAlarms(t *testing.T) {
	asked := make(chan struct{})
	release := make(chan struct{})
	var once sync.Once
	host := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			once.Do(func() { close(asked) })
			<-release
		}
	}))
	defer host.Close()
	defer close(release)
	hook, sentry := startReceiver(t), startReceiver(t)
	store := service.StartRedis(t)
	workdir(t, goodPipelines)
	d := startDaemon(t, "REDIS_URL="+store.URL(), "PUSH_HOSTS="+host.URL, "PUSH_TIMEOUT=1h", "HTTP_ADDR=", "WATCHDOG=2s",
		"ALERT_FAILURES=5", "ALERT_WEBHOOK="+hook.URL, "SENTRY_DSN="+strings.Replace(sentry.URL, "://", "://key@", 1)+"/1")
	putOn(t, store, "plantedpayload", "plantedpayload", "plantedpayload", "plantedpayload", "plantedpayload")
	eventually(t, "the webhook is told", func() bool { return hook.has(`"feed":"f"`, `"state":"failing"`, `"failures":5`, `"window":"1m0s"`) })

	putOn(t, store, numberedJobs(0, 1)...)
	<-asked
	if err := d.Await(); err == nil || err.Error() != "exit status 1" {
		t.Errorf("the daemon ended with %v, want exit status 1", err)
	}
	if log := d.Log(); !strings.Contains(log, `"feed":"f","part":"publish","for":"2s",`) || !strings.Contains(log, "push.(*Publisher).Publish") {
		t.Error("the log does not show what hangs")
	}
	if !sentry.has("many jobs fail", "a part hangs") {
		t.Error("Sentry was not told")
	}
	for _, r := range []*receiver{hook, sentry} {
		if r.has("planted") {
			t.Errorf("a payload was told: %s", r.text.String())
		}
	}
}

// TestReadiness of a daemon whose only push host is away, and whose Redis goes away.
func TestReadiness(t *testing.T) {
	store := service.StartRedis(t)
	workdir(t, goodPipelines)
	address := nobody(t)
	host := service.StartNginx(t, service.Nchan)
	d := startDaemon(t, "REDIS_URL="+store.URL(), "PUSH_HOSTS="+host.InternalURL(), "HTTP_ADDR="+address, "METRICS_INTERVAL=100ms")
	ready := func(want string) {
		t.Helper()
		eventually(t, want, func() bool { return strings.HasPrefix(get(t, "http://"+address+"/readyz"), want) })
	}
	ready("200 ok")
	host.Stop()
	ready("503 0 of 1 push hosts take messages, and 1 must")
	host.Start()
	ready("200 ok")
	store.Kill()
	ready(`503 feed f: `)
	d.Kill()
}

func get(t *testing.T, url string) string {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(resp.StatusCode, " ", strings.TrimSpace(string(body)))
}

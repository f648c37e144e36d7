package main

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"

	"pushglue/glue/gluetest/site"
)

// TestTheDemosThread holds the demo, whose push host is embedded, to what readers of a thread expect.
func TestTheDemosThread(t *testing.T) {
	demo := startDemo(t, "--for", "1h")
	gate := newGate(t, demo.url)
	site.TestThread(t, site.Site{URL: gate.url, Thread: "1", Stop: gate.shut, Start: gate.open})
	demo.stop()
}

// gate stands before a site, and can cut off its push host.
type gate struct {
	url string

	mu      sync.Mutex
	opening context.Context // done while the gate is shut
	cut     context.CancelFunc
}

// newGate returns a gate that is open.
func newGate(t *testing.T, address string) *gate {
	t.Helper()
	target, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Host = r.In.Host
		},
		FlushInterval: -1,
		ErrorHandler:  func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	}
	g := new(gate)
	g.open()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, path := range []string{"/subscribe/", "/poll/", "/ws/"} {
			if strings.HasPrefix(r.URL.Path, path) {
				ctx, end := context.WithCancel(r.Context())
				defer end()
				defer context.AfterFunc(g.state(), end)()
				r = r.WithContext(ctx)
			}
		}
		proxy.ServeHTTP(w, r)
	}))
	g.url = server.URL
	t.Cleanup(func() {
		g.shut()
		server.Close()
	})
	return g
}

func (g *gate) state() context.Context {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.opening
}

func (g *gate) shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.cut()
}

func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.opening, g.cut = context.WithCancel(context.Background())
}

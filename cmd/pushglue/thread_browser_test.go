package main

import (
	"context"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"pushglue"
	"pushglue/glue/gluetest/browser"
	"pushglue/glue/gluetest/site"
)

// TestTheDemosThread holds the demo, whose push host is embedded, to what readers of a thread expect.
func TestTheDemosThread(t *testing.T) {
	demo := startDemo(t, "--for", "1h")
	front := newDoor(t, demo.url)
	site.TestThread(t, site.Site{URL: front.url, Thread: "1", Stop: front.shut, Start: front.open})
	demo.stop()
}

// TestTheThreadRunsNothing has an application that cleans nothing.
func TestTheThreadRunsNothing(t *testing.T) {
	mux := http.NewServeMux()
	mux.Handle("GET /", http.FileServerFS(pushglue.WWW()))
	mux.HandleFunc("GET /api/threads/1", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"thread": 1, "forum": "f", "hosts": [], "channels": ["thread:1"], "readers": 1, "comments": [
			{"post": 1, "thread": 1, "parent": null, "message": "<img src=x onerror='window.pwned = 1'>", "revision": 1}]}`)
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	page := newTab(browser.Start(t), t, server.URL+"/thread/")
	page.Until("the comment's picture has failed", `document.querySelector('#comments img.broken')`)
	if evaluate[bool](page, `'pwned' in window`) {
		t.Error("what a comment says has run")
	}
}

// TestTheDemosMap looks at the map of traffic while the demo's script plays.
func TestTheDemosMap(t *testing.T) {
	demo := startDemo(t, "--for", "1h", "--rate", "5")
	site.TestMap(t, site.Site{URL: demo.url})
}

// door stands before a site, and can cut off its push host.
type door struct {
	url string

	mu      sync.Mutex
	opening context.Context // done while the door is shut
	cut     context.CancelFunc
}

// newDoor returns a door that is open.
func newDoor(t *testing.T, address string) *door {
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
		ErrorLog:      log.New(io.Discard, "", 0), // streams break, as they shall
		ErrorHandler:  func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	}
	d := new(door)
	d.open()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if toPushHost(r) {
			ctx, end := context.WithCancel(r.Context())
			defer end()
			defer context.AfterFunc(d.state(), end)()
			r = r.WithContext(ctx)
		}
		proxy.ServeHTTP(w, r)
	}))
	d.url = server.URL
	t.Cleanup(func() {
		d.shut()
		server.Close()
	})
	return d
}

func toPushHost(r *http.Request) bool {
	return slices.ContainsFunc([]string{"/subscribe/", "/poll/", "/ws/"}, func(path string) bool { return strings.HasPrefix(r.URL.Path, path) })
}

func (d *door) state() context.Context {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.opening
}

func (d *door) shut() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.cut()
}

func (d *door) open() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.opening, d.cut = context.WithCancel(context.Background())
}

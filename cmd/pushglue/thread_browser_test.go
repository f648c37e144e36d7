package main

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"pushglue"
	"pushglue/cmd/pushglue/demo/forum"
	"pushglue/cmd/pushglue/web"
	"pushglue/glue/gluetest/service"
	"pushglue/glue/gluetest/site"
	"pushglue/glue/thoonk"
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

// threadPipelines make of the forum's jobs what readers of a thread get.
const threadPipelines = `pipelines:
  - name: comments
    feed: comments
    stages:
      - json
      - anonymize: {drop: [author.email, author.ip], hash: [author.id]}
      - sanitize: {html: [message], text: [author.name]}
      - route: {channels: ["forum:{forum}", "thread:{thread}", "post:{post}"]}
      - format: {keep: [id, event, post, revision, forum, thread, parent, author, message, createdAt, readers], type: "{event}"}
    publish: push
`

// TestAThreadBehindNginx holds the demo's application, the daemon and a push host of each module to what readers of a thread expect.
func TestAThreadBehindNginx(t *testing.T) {
	for _, module := range []string{service.Nchan, service.PushStream} {
		t.Run(module, func(t *testing.T) {
			host := service.StartNginx(t, module)
			store := service.StartRedis(t)
			path := filepath.Join(t.TempDir(), "pipelines.yml")
			if err := os.WriteFile(path, []byte(threadPipelines), 0o600); err != nil {
				t.Fatal(err)
			}
			daemon := startDaemon(t, append(goldenKeys, "REDIS_URL="+store.URL(), "PUSH_MODULE="+module, "PUSH_HOSTS="+host.InternalURL(), "PIPELINES="+path)...)
			address := startForum(t, store, host.PublicURL())
			site.TestThread(t, site.Site{URL: address, Thread: "1", Hosts: []string{host.PublicURL()}, Stop: host.Stop, Start: host.Start})
			daemon.Stop()
		})
	}
}

// startForum serves the demo's application and the pages for readers, and returns the site's URL.
func startForum(t *testing.T, store *service.Redis, hosts ...string) string {
	t.Helper()
	feed, err := thoonk.NewFeed(store.Client(t), "comments", thoonk.ThoonkPy)
	if err != nil {
		t.Fatal(err)
	}
	put := func(ctx context.Context, _ string, payload []byte) error {
		_, err := feed.Put(ctx, [][]byte{payload}, thoonk.PutOptions{})
		return err
	}
	application, err := forum.New(forum.Config{Put: put, Threads: []forum.Thread{{Forum: "test", Thread: "1"}}, Hosts: hosts})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/api/", application.Handler())
	mux.Handle("GET /", http.FileServerFS(pushglue.WWW()))
	server := httptest.NewServer(web.Secure(mux, slices.Concat(hosts, sockets(hosts))...))
	t.Cleanup(server.Close)
	return server.URL
}

// sockets returns the origins of WebSockets, which a Content-Security-Policy names by themselves.
func sockets(hosts []string) []string {
	list := slices.Clone(hosts)
	for i, host := range list {
		list[i] = "ws" + strings.TrimPrefix(host, "http")
	}
	return list
}

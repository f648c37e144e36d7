package main

import (
	"context"
	"io"
	"log"
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
	front := newDoor(t, demo.url)
	site.TestThread(t, site.Site{URL: front.url, Thread: "1", Stop: front.shut, Start: front.open})
	demo.stop()
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

// TestAThreadBehindNginx holds the demo's application, the daemon and a push host of each module to what readers of a thread expect.
func TestAThreadBehindNginx(t *testing.T) {
	for _, module := range []string{service.Nchan, service.PushStream} {
		t.Run(module, func(t *testing.T) {
			host := service.StartNginx(t, module)
			store := service.StartRedis(t)
			daemon := startDaemon(t, append(goldenKeys, "REDIS_URL="+store.URL(), "PUSH_MODULE="+module, "PUSH_HOSTS="+host.InternalURL(), "PIPELINES="+threadPipelines(t))...)
			address := startForum(t, store, host.PublicURL())
			site.TestThread(t, site.Site{URL: address, Thread: "1", Hosts: []string{host.PublicURL()}, Stop: host.Stop, Start: host.Start})
			daemon.Stop()
		})
	}
}

// threadPipelines returns the path of the pipelines file that docs/thread.md shows.
func threadPipelines(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../docs/thread.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "```yaml\n")
	file, _, _ := strings.Cut(rest, "```")
	path := filepath.Join(t.TempDir(), "pipelines.yml")
	if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
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
	mux.Handle("/", http.FileServerFS(pushglue.WWW()))
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

package demo

import (
	"context"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"pushglue"
	"pushglue/cmd/pushglue/demo/forum"
	"pushglue/glue/gluetest"
	"pushglue/glue/thoonk"
)

// fakeFeed keeps what is put, or fails with err.
type fakeFeed struct {
	payloads []string
	err      error
}

func (f *fakeFeed) Put(_ context.Context, payloads [][]byte, _ thoonk.PutOptions) ([]string, error) {
	for _, p := range payloads {
		f.payloads = append(f.payloads, string(p))
	}
	return make([]string, len(payloads)), f.err
}

// newApplication returns an application that puts its jobs by a journal.
func newApplication(j *journal) *forum.Application {
	a, err := forum.New(forum.Config{Put: j.put, Threads: threads(), Log: zerolog.Nop()})
	if err != nil {
		panic(err) // its options are constant
	}
	return a
}

// newPage returns the page of a demo in which nothing runs.
func newPage(feed putter) *page {
	j := &journal{feed: feed}
	return &page{
		name: "example.com", application: newApplication(j), threads: threads(), host: gluetest.NewPushServer(), watch: newWatch(func(*trace) {}), key: "00ff",
		account: func(context.Context) any { return account{Reader: j.state()} },
	}
}

func TestThePage(t *testing.T) {
	p := newPage(new(fakeFeed))
	for url, test := range map[string]struct {
		method string
		code   int
		kind   string // of the content
		want   string
	}{
		"/":                {"GET", 200, "text/html; charset=utf-8", "<title>pushglue demo</title>"},
		"/main.js":         {"GET", 200, "text/javascript; charset=utf-8", "new Subscription"},
		"/pushglue.js":     {"GET", 200, "text/javascript; charset=utf-8", "export function unpack"},
		"/thread/":         {"GET", 200, "text/html; charset=utf-8", "<title>Comments</title>"},
		"/map/":            {"GET", 200, "text/html; charset=utf-8", `data-channel="traffic"`},
		"/api/threads/1":   {"GET", 200, "application/json", `{"thread":1,"forum":"demo","hosts":[],"channels":["thread:1"],"readers":0,"comments":[]}`},
		"/house.css":       {"GET", 200, "text/css; charset=utf-8", "prefers-contrast"},
		"/demo.css":        {"GET", 200, "text/css; charset=utf-8", "#composer"},
		"/demo.yml":        {"GET", 200, "text/plain; charset=utf-8", "JSONSecureHTTP"},
		"/demo-threads":    {"GET", 200, "application/json", `[{"forum":"demo","thread":"1"},{"forum":"gazette","thread":"2201"}`},
		"/demo-way":        {"GET", 200, "application/json", `{"feed":"comments","way":`},
		"/demo-keys":       {"GET", 200, "application/json", `{"demo":"00ff"}`},
		"/ledger":          {"GET", 200, "application/json", `"reader":{"put":0,"received":0,"stalled":0,"onTheWay":0,"again":0,"foreign":0}`},
		"/jobs/none":       {"GET", 404, "text/plain; charset=utf-8", "not among those that were settled last"},
		"/no/such":         {"GET", 404, "text/plain; charset=utf-8", "not found"},
		"/?post":           {"POST", 405, "text/plain; charset=utf-8", "Method Not Allowed"},
		"/publish?id=a":    {"POST", 404, "text/plain; charset=utf-8", "not found"},
		"/channels-stats":  {"GET", 404, "text/plain; charset=utf-8", "not found"},
		"/subscribe/a%2A":  {"GET", 403, "", ""},
		"/poll/":           {"GET", 400, "", ""},
		"/subscribe/a?%00": {"DELETE", 405, "", ""},
	} {
		w := httptest.NewRecorder()
		p.handler().ServeHTTP(w, httptest.NewRequest(test.method, url, nil))
		if w.Code != test.code || w.Header().Get("Content-Type") != test.kind || !strings.Contains(w.Body.String(), test.want) {
			t.Errorf("%s: %d %s %.200s", url, w.Code, w.Header().Get("Content-Type"), w.Body)
		}
		for key, want := range map[string]string{"Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; " +
			"connect-src 'self'; img-src data:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'", "X-Content-Type-Options": "nosniff"} {
			if got := w.Header().Get(key); got != want {
				t.Errorf("%s: %s: %s", url, key, got)
			}
		}
	}
}

// TestThePageHasOneHost asks for names that another site could give the demo's address, and for its own.
func TestThePageHasOneHost(t *testing.T) {
	for _, test := range []struct {
		addr, host string
		code       int
	}{
		{"127.0.0.1:8642", "127.0.0.1:8642", 200},
		{"127.0.0.1:8642", "localhost:8642", 200},
		{"127.0.0.1:8642", "LocalHost", 200},
		{"127.0.0.1:8642", "[::1]:8642", 200},
		{"127.0.0.1:8642", "[::1]", 200},
		{"127.0.0.1:8642", "192.0.2.7:80", 200}, // behind a port forwarding
		{"127.0.0.1:8642", "evil.example:8642", 421},
		{"127.0.0.1:8642", "evil.example", 421},
		{"127.0.0.1:8642", "localhost.evil.example:8642", 421},
		{"127.0.0.1:8642", "127.0.0.1.evil.example:8642", 421},
		{":8642", "evil.example:8642", 421},
		{":8642", "192.0.2.7:8642", 200},
		{"box.example:8642", "box.example:8642", 200},
		{"box.example:8642", "BOX.example:443", 200},
		{"box.example:8642", "evil.example:8642", 421},
	} {
		for _, path := range []string{"/", "/demo-keys", "/subscribe/a%2A", "/api/threads/1", "/thread/"} {
			p := newPage(new(fakeFeed))
			p.name = hostname(test.addr)
			r := httptest.NewRequest(http.MethodGet, path, nil)
			r.Host = test.host
			w := httptest.NewRecorder()
			p.handler().ServeHTTP(w, r)
			if refused := w.Code == 421; refused != (test.code == 421) || refused != strings.Contains(w.Body.String(), "ask for an IP address, localhost, or the host in --addr") {
				t.Errorf("--addr %s, http://%s%s: %d %.100s", test.addr, test.host, path, w.Code, w.Body)
			}
		}
	}
}

// TestThePageIsSelfContained looks for what a browser would ask somebody else for, or not run at all.
func TestThePageIsSelfContained(t *testing.T) {
	total, files := 0, 0
	for _, tree := range []fs.FS{pageFiles, pushglue.WWW()} {
		if err := fs.WalkDir(tree, ".", func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			text, err := fs.ReadFile(tree, path)
			if err != nil {
				return err
			}
			total, files = total+len(text), files+1
			for _, forbidden := range []string{"src=\"http", "href=\"http", "href=\"//", "url(\"", "url(http", "url(data", "@import", "<style", " style=", " onclick=", "eval("} {
				if strings.Contains(string(text), forbidden) {
					t.Errorf("%s: %s", path, forbidden)
				}
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("the pages have %d bytes in %d files", total, files)
}

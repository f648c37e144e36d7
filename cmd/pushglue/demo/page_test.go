package demo

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

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

// newPage returns the page of a demo in which nothing runs.
func newPage(feed putter) *page {
	j := &journal{feed: feed}
	return &page{
		name: "example.com", application: newApplication(j), host: gluetest.NewPushServer(), watch: newWatch(func(*trace) {}), key: "00ff",
		account: func(context.Context) any { return account{Reader: j.state()} },
	}
}

const jsonType = "application/json"

func TestPostComments(t *testing.T) {
	long := strings.Repeat("ä", maxMessage)
	escaped := `"` + strings.Repeat(`\ud83d\ude00`, maxMessage) + `"`
	for name, test := range map[string]struct {
		method, contentType, origin, body string
		code                              int
		want                              string // in the answer
	}{
		"good":              {"POST", jsonType, "", `{"author":"Ann","message":"Hi","thread":2201}`, 202, `{"id":"visitor-1"}`},
		"thread as text":    {"POST", jsonType + "; charset=utf-8", "", `{"author":"Ann","message":"Hi","thread":"9007199254740993"}`, 202, `{"id":"visitor-1"}`},
		"no thread":         {"POST", jsonType, "", `{"author":"Ann","message":"Hi"}`, 202, `{"id":"visitor-1"}`},
		"longest":           {"POST", jsonType, "", `{"author":"` + strings.Repeat("😀", maxAuthor) + `","message":"` + long + `"}`, 202, `visitor-1`},
		"longest, escaped":  {"POST", jsonType, "", `{"author":"Ann","message":` + escaped + `}`, 202, `visitor-1`},
		"own page":          {"POST", jsonType, "http://example.com", `{"author":"Ann","message":"Hi"}`, 202, `visitor-1`},
		"other site":        {"POST", jsonType, "http://evil.example", `{"author":"Ann","message":"Hi"}`, 403, "another site cannot post here"},
		"no site":           {"POST", jsonType, "null", `{"author":"Ann","message":"Hi"}`, 403, "another site cannot post here"},
		"get":               {"GET", "", "", "", 405, "only POST puts a comment"},
		"form":              {"POST", "application/x-www-form-urlencoded", "", "author=Ann", 415, "Content-Type must be application/json"},
		"text":              {"POST", "text/plain", "", `{"author":"Ann","message":"Hi"}`, 415, "Content-Type must be application/json"},
		"no type":           {"POST", "", "", `{"author":"Ann","message":"Hi"}`, 415, "Content-Type must be application/json"},
		"too large":         {"POST", jsonType, "", `{"message":"` + strings.Repeat("x", maxRequest) + `"}`, 413, "at most 32768 bytes"},
		"no JSON":           {"POST", jsonType, "", `hello`, 400, "want one JSON object with author, message and thread\n"},
		"two":               {"POST", jsonType, "", `{"author":"Ann","message":"Hi"}{}`, 400, "want one JSON object"},
		"more behind":       {"POST", jsonType, "", `{"author":"Ann","message":"Hi"}}`, 400, "want one JSON object"},
		"array":             {"POST", jsonType, "", `["Ann","Hi"]`, 400, "want one JSON object"},
		"null":              {"POST", jsonType, "", `null`, 400, "want one JSON object"},
		"unknown member":    {"POST", jsonType, "", `{"author":"Ann","message":"Hi","event":"post_delete"}`, 400, `"event" is none of author, message and thread`},
		"number as author":  {"POST", jsonType, "", `{"author":7,"message":"Hi"}`, 400, "author is a number; want text\n"},
		"bool as message":   {"POST", jsonType, "", `{"author":"Ann","message":true}`, 400, "message is true or false; want text\n"},
		"array as message":  {"POST", jsonType, "", `{"author":"Ann","message":["Hi"]}`, 400, "message is an object or array; want text\n"},
		"object as thread":  {"POST", jsonType, "", `{"author":"Ann","message":"Hi","thread":{}}`, 400, "thread is an object or array; want text\n"},
		"null as thread":    {"POST", jsonType, "", `{"author":"Ann","message":"Hi","thread":null}`, 202, `{"id":"visitor-1"}`},
		"no UTF-8":          {"POST", jsonType, "", "{\"author\":\"Ann\xff\",\"message\":\"Hi\"}", 400, "not valid UTF-8"},
		"no author":         {"POST", jsonType, "", `{"author":"  ","message":"Hi"}`, 400, "author has 0 characters; want 1 to 40"},
		"long author":       {"POST", jsonType, "", `{"author":"` + strings.Repeat("ä", maxAuthor+1) + `","message":"Hi"}`, 400, "author has 41 characters; want 1 to 40"},
		"control in author": {"POST", jsonType, "", `{"author":"A\nn","message":"Hi"}`, 400, "author has a control character"},
		"no message":        {"POST", jsonType, "", `{"author":"Ann"}`, 400, "message has 0 characters; want 1 to 2000"},
		"long message":      {"POST", jsonType, "", `{"author":"Ann","message":"` + long + `ä"}`, 400, "message has 2001 characters; want 1 to 2000"},
		"unknown thread":    {"POST", jsonType, "", `{"author":"Ann","message":"Hi","thread":77}`, 400, `thread "77" does not exist; that of the visitors is 1`},
		"text as thread":    {"POST", jsonType, "", `{"author":"Ann","message":"Hi","thread":"a/b"}`, 400, `thread "a/b" does not exist`},
		"empty thread":      {"POST", jsonType, "", `{"author":"Ann","message":"Hi","thread":""}`, 400, `thread "" does not exist`},
		"other digits":      {"POST", jsonType, "", `{"author":"Ann","message":"Hi","thread":22e2}`, 400, `thread "22e2" does not exist`},
	} {
		t.Run(name, func(t *testing.T) {
			var feed fakeFeed
			r := httptest.NewRequest(test.method, "http://example.com/comments", strings.NewReader(test.body))
			for key, value := range map[string]string{"Content-Type": test.contentType, "Origin": test.origin} {
				if value != "" {
					r.Header.Set(key, value)
				}
			}
			w := httptest.NewRecorder()
			newPage(&feed).handler().ServeHTTP(w, r)
			if w.Code != test.code || !strings.Contains(w.Body.String(), test.want) {
				t.Errorf("%d %s, want %d %s", w.Code, w.Body, test.code, test.want)
			}
			if strings.Contains(w.Body.String(), "json:") {
				t.Errorf("these are Go's words: %s", w.Body)
			}
			if put := len(feed.payloads) > 0; put != (test.code == http.StatusAccepted) {
				t.Errorf("put %q", feed.payloads)
			}
			if allow := w.Header().Get("Allow"); (test.code == http.StatusMethodNotAllowed) != (allow == "POST") {
				t.Errorf("Allow: %q", allow)
			}
		})
	}
}

// TestTheEnvelope looks at the job that a visitor's comment becomes.
func TestTheEnvelope(t *testing.T) {
	var feed fakeFeed
	p := newPage(&feed)
	for range 2 {
		r := httptest.NewRequest(http.MethodPost, "/comments", strings.NewReader(`{"author":" Ann ","message":" <b>Hi</b>\n","thread":"310"}`))
		r.Header.Set("Content-Type", jsonType)
		p.handler().ServeHTTP(httptest.NewRecorder(), r)
	}
	if len(feed.payloads) != 2 {
		t.Fatalf("put %q", feed.payloads)
	}
	var e envelope
	if err := json.Unmarshal([]byte(feed.payloads[1]), &e); err != nil {
		t.Fatal(err)
	}
	if e.ID != "visitor-2" || e.Event != "post_save" || e.Post != firstPost+2 || e.Forum != "gopherweekly" || e.Thread != "310" ||
		e.Author.Name != "Ann" || e.Author.Email == "" || e.Author.IP == "" || e.Message != "<b>Hi</b>" || e.CreatedAt.IsZero() {
		t.Errorf("got %+v", e)
	}
	if got := p.application.journal.state(); got != (tally{Put: 2, OnTheWay: 2}) {
		t.Errorf("got %+v", got)
	}
}

func TestAFeedThatFails(t *testing.T) {
	p := newPage(&fakeFeed{err: errors.New("put on feed: no answer")})
	post := func() *httptest.ResponseRecorder {
		r := httptest.NewRequest(http.MethodPost, "/comments", strings.NewReader(`{"author":"Ann","message":"Hi"}`))
		r.Header.Set("Content-Type", jsonType)
		w := httptest.NewRecorder()
		p.handler().ServeHTTP(w, r)
		return w
	}
	if w := post(); w.Code != http.StatusServiceUnavailable || !strings.Contains(w.Body.String(), "no answer") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	p.application.journal.close()
	if w := post(); w.Code != http.StatusServiceUnavailable || !strings.Contains(w.Body.String(), "the demo is ending") {
		t.Errorf("%d %s", w.Code, w.Body)
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
		"/main.js":         {"GET", 200, "text/javascript; charset=utf-8", "new Stream"},
		"/pushglue.js":     {"GET", 200, "text/javascript; charset=utf-8", "export function unpack"},
		"/house.css":       {"GET", 200, "text/css; charset=utf-8", "prefers-contrast"},
		"/demo.css":        {"GET", 200, "text/css; charset=utf-8", "#composer"},
		"/demo.yml":        {"GET", 200, "text/plain; charset=utf-8", "JSONSecureHTTP"},
		"/demo-threads":    {"GET", 200, "application/json", `[{"forum":"demo","thread":"1"},{"forum":"gazette","thread":"2201"}`},
		"/demo-way":        {"GET", 200, "application/json", `{"feed":"comments","way":`},
		"/demo-key":        {"GET", 200, "application/json", `{"hex":"00ff","kid":"demo"}`},
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
		for _, path := range []string{"/", "/demo-key", "/subscribe/a%2A", "/comments"} {
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
	files, err := os.ReadDir("page")
	if err != nil {
		t.Fatal(err)
	}
	total := 0
	for _, file := range files {
		f, err := pageFiles.Open("page/" + file.Name())
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(f)
		if err != nil {
			t.Fatal(err)
		}
		total += len(text)
		for _, forbidden := range []string{"src=\"http", "href=\"http", "href=\"//", "url(", "@import", "<style", " style=", " onclick=", "eval("} {
			if strings.Contains(string(text), forbidden) {
				t.Errorf("%s: %s", file.Name(), forbidden)
			}
		}
	}
	t.Logf("the page has %d bytes in %d files", total, len(files))
}

package push_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jarcoal/httpmock"
	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"pushglue/glue"
	"pushglue/glue/push"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// hosts is some push hosts that answer as they are told.
type hosts struct {
	t      *testing.T
	ledger glue.Ledger
	log    bytes.Buffer
	push   *push.Publisher

	mu  sync.Mutex
	got map[string][]string // "body" of each request by host, in order
	on  map[string]func(r *http.Request, body string) (*http.Response, error)
}

func start(t *testing.T, names ...string) *hosts {
	t.Helper()
	return startWith(t, push.Config{}, names...)
}

func startWith(t *testing.T, c push.Config, names ...string) *hosts {
	t.Helper()
	h := &hosts{t: t, got: map[string][]string{}, on: map[string]func(*http.Request, string) (*http.Response, error){}}
	mock := httpmock.NewMockTransport()
	mock.RegisterNoResponder(h.answer)
	for _, name := range names {
		c.Hosts = append(c.Hosts, "http://"+name)
	}
	c.Module, c.Transport, c.Ledger, c.Log = push.PushStream, mock, &h.ledger, zerolog.New(zerolog.SyncWriter(&h.log))
	var err error
	h.push, err = push.New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.push.Close)
	return h
}

func (h *hosts) answer(r *http.Request) (*http.Response, error) {
	if r.URL.Path == "/channels-stats" {
		return httpmock.NewStringResponse(404, ""), nil
	}
	if r.URL.Path == "/healthz" {
		h.mu.Lock()
		on := h.on[r.Host+" health"]
		h.mu.Unlock()
		if on == nil {
			on = status(200)
		}
		return on(r, "")
	}
	b, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	h.mu.Lock()
	on := h.on[r.Host]
	h.got[r.Host] = append(h.got[r.Host], string(b))
	h.mu.Unlock()
	if on != nil {
		return on(r, string(b))
	}
	return httpmock.NewStringResponse(200, `{"channel": "a"}`), nil
}

func (h *hosts) set(host string, on func(r *http.Request, body string) (*http.Response, error)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.on[host] = on
}

// setSilent makes a host answer nothing, not even about its health.
func (h *hosts) setSilent(host string, on func(r *http.Request, body string) (*http.Response, error)) {
	h.set(host, on)
	h.set(host+" health", on)
}

func status(code int) func(*http.Request, string) (*http.Response, error) {
	return func(*http.Request, string) (*http.Response, error) { return httpmock.NewStringResponse(code, ""), nil }
}

func refuse(*http.Request, string) (*http.Response, error) {
	return nil, errors.New("connect: connection refused")
}

func messages(bodies ...string) []*glue.Message {
	batch := make([]*glue.Message, len(bodies))
	for i, body := range bodies {
		batch[i] = glue.NewMessage("id-"+body, []byte(body))
		batch[i].Type, batch[i].Channels = "post_save", []string{"a"}
	}
	return batch
}

// publish publishes a batch and checks that the hosts' accounts balance.
func (h *hosts) publish(batch []*glue.Message, outcomes []error) []error {
	h.t.Helper()
	if outcomes == nil {
		outcomes = make([]error, len(batch))
	}
	h.push.Publish(h.t.Context(), batch, outcomes)
	if err := h.ledger.Sums().Balance(); err != nil {
		h.t.Error(err)
	}
	return outcomes
}

func (h *hosts) want(host string, bodies ...string) {
	h.t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	if !slices.Equal(h.got[host], bodies) {
		h.t.Errorf("%s got %q, want %q", host, h.got[host], bodies)
	}
}

func TestOnePOSTCarriesAllChannelsToEveryHost(t *testing.T) {
	h := start(t, "one:9080", "two:9080/base")
	var seen []string
	check := func(r *http.Request, _ string) (*http.Response, error) {
		h.mu.Lock()
		defer h.mu.Unlock()
		seen = append(seen, fmt.Sprint(r.Method, " ", r.URL, " ", r.Header["Event-Id"], r.Header["Event-Type"], r.ContentLength))
		return httpmock.NewStringResponse(200, ""), nil
	}
	h.set("one:9080", check)
	h.set("two:9080", check)
	m := messages(`{"a":1}`)
	m[0].Channels = []string{"forum:news", "user:Zoë %+&#?", "thread:17"}
	if err := h.publish(m, nil)[0]; err != nil {
		t.Fatal(err)
	}
	slices.Sort(seen)
	const query = `?id=forum:news/user:Zo%C3%AB%20%25%2B%26%23%3F/thread:17 [id-{"a":1}] [post_save] 7`
	want := []string{"POST http://one:9080/publish" + query, "POST http://two:9080/base/publish" + query}
	if !slices.Equal(seen, want) {
		t.Errorf("\n got %q\nwant %q", seen, want)
	}
}

func TestHeadersOfNchan(t *testing.T) {
	mock := httpmock.NewMockTransport()
	var header http.Header
	mock.RegisterNoResponder(func(r *http.Request) (*http.Response, error) {
		if r.Method == http.MethodPost { // not the question about its health
			header = r.Header
		}
		return httpmock.NewStringResponse(202, ""), nil
	})
	p, err := push.New(push.Config{Hosts: []string{"http://h"}, Module: push.Nchan, Transport: mock})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	outcomes := make([]error, 1)
	p.Publish(t.Context(), messages("x"), outcomes)
	if outcomes[0] != nil || header.Get("X-EventSource-Event") != "post_save" || header["Event-Type"] != nil {
		t.Errorf("got %v, %v", outcomes, header)
	}
}

func TestAnswers(t *testing.T) {
	for code, want := range map[int]string{
		200: "", 201: "", 202: "", 204: "",
		400: "permanent", 413: "permanent", 414: "permanent", 431: "permanent",
		301: "for now", 401: "for now", 403: "for now", 404: "for now", 405: "for now", 408: "for now", 429: "for now",
		500: "for now", 502: "for now", 503: "for now",
	} {
		h := start(t, "one")
		h.set("one", status(code))
		err := h.publish(messages("x"), nil)[0]
		got := ""
		switch {
		case glue.IsPermanent(err):
			got = "permanent"
		case errors.Is(err, glue.ErrUnavailable):
			got = "unavailable"
		case err != nil:
			got = "for now"
		}
		if got != want {
			t.Errorf("%d: got %q (%v), want %q", code, got, err, want)
		}
		if err != nil && !strings.Contains(err.Error(), fmt.Sprintf("host one: answers %d", code)) {
			t.Errorf("the error does not say who answered what: %v", err)
		}
	}
}

func TestAMessageWithoutChannelGoesNowhere(t *testing.T) {
	h := start(t, "one")
	batch := messages("1", "2", "3")
	batch[1].Channels = nil
	outcomes := h.publish(batch, nil)
	if outcomes[0] != nil || !glue.IsPermanent(outcomes[1]) || outcomes[2] != nil {
		t.Errorf("got %v", outcomes)
	}
	h.want("one", "1", "3")
}

func TestWhatIsNoMessageIsNotSent(t *testing.T) {
	h := start(t, "one")
	batch := messages("1", "2", "3", "4")
	batch[0].SetBody(nil)
	batch[1].ID = "a\r\nX: y"
	batch[2].Type = "a b"
	for i, err := range h.publish(batch, nil) {
		if glue.IsPermanent(err) != (i < 3) {
			t.Errorf("message %d: %v", i, err)
		}
	}
	h.want("one", "4")
}

func TestOneMessageRefusedForNow(t *testing.T) {
	h := start(t, "one", "two")
	full := true
	h.set("two", func(_ *http.Request, body string) (*http.Response, error) {
		if body == "2" && full {
			return httpmock.NewStringResponse(500, ""), nil
		}
		return httpmock.NewStringResponse(200, ""), nil
	})
	batch := messages("1", "2", "3")
	outcomes := h.publish(batch, nil)
	if outcomes[0] != nil || outcomes[1] == nil || glue.IsPermanent(outcomes[1]) || outcomes[2] != nil {
		t.Fatalf("got %v", outcomes)
	}
	full = false
	if again := h.publish(batch[1:2], outcomes[1:2]); again[0] != nil {
		t.Errorf("again: %v", again[0])
	}
	h.want("one", "1", "2", "3") // it has 2 already: not again
	h.want("two", "1", "2", "3", "2")
}

func TestABrokenConnectionKeepsTheOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, "one")
		broken := false
		h.set("one", func(_ *http.Request, body string) (*http.Response, error) {
			if body == "2" && !broken {
				broken = true
				return nil, io.ErrUnexpectedEOF
			}
			return httpmock.NewStringResponse(200, ""), nil
		})
		for _, err := range h.publish(messages("1", "2", "3"), nil) {
			if err != nil {
				t.Error(err)
			}
		}
		h.want("one", "1", "2", "2", "3")
	})
}

func TestWhatAHostHasIsNotSentAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, "one", "two")
		h.set("two", status(500))
		batch := messages("1")
		outcomes := h.publish(batch, nil)
		h.setSilent("one", refuse)
		outcomes = h.publish(batch, outcomes)
		h.publish(messages("2"), nil)
		h.setSilent("one", nil)
		time.Sleep(time.Minute)
		h.set("two", nil)
		if got := h.publish(batch, outcomes); got[0] != nil {
			t.Error(got[0])
		}
		h.want("one", "1", "2", "2", "2", "1") // the last one because it was away, and may have lost it
	})
}

// TestHTTPS publishes over TLS, to a host whose authority is known, and not to one whose is not.
func TestHTTPS(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, r.Proto)
	}))
	server.EnableHTTP2 = true // offered, as nginx may; not taken
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	trusted := &tls.Config{RootCAs: server.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs}
	for _, config := range []*tls.Config{trusted, nil} {
		p, err := push.New(push.Config{Hosts: []string{server.URL}, Module: push.Nchan, TLS: config})
		if err != nil {
			t.Fatal(err)
		}
		outcomes := make([]error, 600)
		p.Publish(t.Context(), numbered(len(outcomes)), outcomes)
		p.Close()
		if config != nil {
			wantPublished(t, outcomes)
		} else if !errors.Is(outcomes[0], glue.ErrUnavailable) {
			t.Errorf("without its authority: %v", outcomes[0])
		}
	}
}

func TestStopEndsPublishing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, "one")
		ctx, cancel := context.WithCancel(t.Context())
		h.set("one", func(r *http.Request, body string) (*http.Response, error) {
			if body == "2" {
				cancel()
				<-r.Context().Done()
				return nil, r.Context().Err()
			}
			return httpmock.NewStringResponse(200, ""), nil
		})
		outcomes := make([]error, 3)
		h.push.Publish(ctx, messages("1", "2", "3"), outcomes)
		if outcomes[0] != nil || !errors.Is(outcomes[1], context.Canceled) || !errors.Is(outcomes[2], context.Canceled) {
			t.Errorf("got %v", outcomes)
		}
		if got := h.publish(messages("4"), nil); got[0] != nil {
			t.Errorf("a stop was taken for the host's failure: %v", got[0])
		}
	})
}

func TestNewRefuses(t *testing.T) {
	for want, urls := range map[string][]string{
		"no push hosts; name the base URL of at least one, such as http://127.0.0.1:9080":  {},
		`push host 1 of 1: "ftp://h": want a base URL such as http://10.0.0.1:9080`:        {"ftp://h"},
		`push host 2 of 2: "": want a base URL such as http://10.0.0.1:9080`:               {"http://h", ""},
		"push host 1 of 1: h: want a base URL without query, such as http://10.0.0.1:9080": {"http://h/?token=secret"},
		"push host 1 of 1: h: credentials do not belong into its URL":                      {"http://user:secret@h"},
		"push host 3 of 3: h:1/x is named twice":                                           {"http://h:1", " http://h:1/x", "https://h:1/x/"},
		"push host 2 of 2: it is no URL; want a base URL such as http://10.0.0.1:9080":     {"http://h", "http://user:secret@h:port"},
		"push host 1 of 2: it is no URL; want a base URL such as http://10.0.0.1:9080":     {"10.0.0.1:9080/x", "http://h"},
		"push host 1 of 1: it is no URL; want a base URL such as http://10.0.0.1:9080":     {"user:secret@h:80"},
	} {
		if _, err := push.New(push.Config{Hosts: urls}); err == nil || err.Error() != want {
			t.Errorf("%q: got %v, want %s", urls, err, want)
		}
	}
	if _, err := push.ParseModule("nginx"); err == nil || err.Error() != `"nginx" is no push module; there are push-stream and nchan` {
		t.Errorf("got %v", err)
	}
}

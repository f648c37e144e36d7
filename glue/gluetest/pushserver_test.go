package gluetest_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"pushglue/glue/eventstream"
	"pushglue/glue/gluetest"
	"pushglue/glue/gluetest/conform"
)

func startPushServer(t *testing.T) (*gluetest.PushServer, string) {
	t.Helper()
	t.Cleanup(func() { goleak.VerifyNone(t) }) // runs last
	push := gluetest.NewPushServer()
	server := httptest.NewServer(push)
	t.Cleanup(func() {
		push.Close()
		server.Close()
		http.DefaultClient.CloseIdleConnections()
	})
	return push, server.URL
}

func TestPushServerConforms(t *testing.T) {
	push := gluetest.NewPushServer()
	public, internal := httptest.NewServer(push.Public()), httptest.NewServer(push.Internal())
	t.Cleanup(func() {
		push.Close()
		public.Close()
		internal.Close()
	})
	conform.PushHost(t, public.URL, internal.URL, "push-stream")
}

func TestPushServerWithoutStoreConforms(t *testing.T) {
	push, url := startPushServer(t)
	push.Store(0)
	conform.UnstoredPushHost(t, url, url)
}

func publish(t *testing.T, url, channels, body string) *http.Response {
	t.Helper()
	resp, err := http.Post(url+"/publish?id="+channels, "text/plain", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body = io.NopCloser(strings.NewReader(string(text)))
	return resp
}

// The bytes that push-stream sends; the conformance suite compares events only.
func TestPushServerWire(t *testing.T) {
	_, url := startPushServer(t)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/publish?id=a", strings.NewReader("x\n\r\n\ny\r\nz"))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Event-Id", "7")
	req.Header.Set("Event-Type", "post")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	publish(t, url, "a", "one\rline")

	resp, err = http.Get(url + "/subscribe/a.b2")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	const want = ": \nid: 7\nevent: post\ndata: x\ndata: y\ndata: z\n\ndata: one\rline\n\n"
	got := make([]byte, len(want))
	if _, err := io.ReadFull(resp.Body, got); err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestPushServerAnswers(t *testing.T) {
	_, url := startPushServer(t)
	var one struct {
		Channel   string
		Published int `json:"published_messages"`
		Stored    int `json:"stored_messages"`
	}
	if err := json.NewDecoder(publish(t, url, "thread:1", "x").Body).Decode(&one); err != nil {
		t.Fatal(err)
	}
	if one.Channel != "thread:1" || one.Published != 1 || one.Stored != 1 {
		t.Errorf("one channel: %+v", one)
	}
	var several struct {
		Channels int
		Infos    []struct{ Channel string }
	}
	if err := json.NewDecoder(publish(t, url, "b/c", "x").Body).Decode(&several); err != nil {
		t.Fatal(err)
	}
	if several.Channels != 3 || len(several.Infos) != 2 || several.Infos[0].Channel != "b" {
		t.Errorf("several channels: %+v", several)
	}
	if got := publish(t, url, "a", "").Header.Get("X-Nginx-PushStream-Explain"); got != "Empty post requests are not allowed." {
		t.Errorf("explanation of 400: %q", got)
	}
}

func TestPushServerStatistics(t *testing.T) {
	_, url := startPushServer(t)
	publish(t, url, "thread:1/thread:2/user:1", "x")
	tests := map[string]int{
		"?id=ALL":             3,
		"?id=thread:*":        2,
		"?id=user:1/thread:2": 2,
		"?id=user:1/thread:*": 2,
		"?id=user:*":          1,
		"?id=x*":              0,
	}
	for query, want := range tests {
		resp, err := http.Get(url + "/channels-stats" + query)
		if err != nil {
			t.Fatal(err)
		}
		var list struct{ Infos []any }
		if err := json.NewDecoder(resp.Body).Decode(&list); err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if len(list.Infos) != want {
			t.Errorf("%s lists %d channels, want %d", query, len(list.Infos), want)
		}
	}
}

func TestPushServerStoresTheLastMessages(t *testing.T) {
	_, url := startPushServer(t)
	for i := range 30 {
		publish(t, url, "a", fmt.Sprint(i))
	}
	s, err := eventstream.Subscribe(t.Context(), url+"/subscribe/a.b99999999999999999999", "")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for i := range 20 {
		if event, err := s.Next(); err != nil || event.Data != fmt.Sprint(10+i) {
			t.Fatalf("message %d is %q, %v", 10+i, event.Data, err)
		}
	}
}

func TestPushServerCloseEndsStreams(t *testing.T) {
	push, url := startPushServer(t)
	var streams []*eventstream.Subscription
	for range 10 {
		s, err := eventstream.Subscribe(t.Context(), url+"/subscribe/a", "")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		streams = append(streams, s)
	}
	push.Close()
	for _, s := range streams {
		if event, err := s.Next(); err == nil {
			t.Errorf("a stream of a closed server delivers %q", event)
		}
	}
	if _, err := eventstream.Subscribe(t.Context(), url+"/subscribe/a", ""); err == nil {
		t.Error("a closed server takes new streams")
	}
	push.Close()
}

// A reader that does not read is cut off; the others and the publisher do not notice.
func TestPushServerCutsOffSlowReaders(t *testing.T) {
	_, url := startPushServer(t)
	slow, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer slow.Close()
	if _, err := io.WriteString(slow, "GET /subscribe/a HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	greeted := make([]byte, 1) // the first byte of the answer: the reader has joined
	if _, err := io.ReadFull(slow, greeted); err != nil {
		t.Fatal(err)
	}
	fast, err := eventstream.Subscribe(t.Context(), url+"/subscribe/a", "")
	if err != nil {
		t.Fatal(err)
	}
	defer fast.Close()

	body := strings.Repeat("x", 60<<10)
	for readers := 2; readers > 1; {
		publish(t, url, "a", body)
		if event, err := fast.Next(); err != nil || event.Data != body {
			t.Fatalf("the fast reader fails: %v", err)
		}
		readers = subscribers(t.Context(), t, url)
	}
}

func subscribers(ctx context.Context, t *testing.T, url string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/channels-stats", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var totals struct{ Subscribers int }
	if err := json.NewDecoder(resp.Body).Decode(&totals); err != nil {
		t.Fatal(err)
	}
	return totals.Subscribers
}

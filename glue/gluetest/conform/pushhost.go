package conform

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"pushglue/glue/eventstream"
)

// patience ends a wait for something that does not come. Only a failing test reaches it.
const patience = 10 * time.Second

// PushHost checks what pushglue and its readers rely on in a push host, whose readers' URLs are
// under publicURL and whose publishers' URLs are under internalURL. The module is "push-stream"
// or "nchan": the differences between the two are part of what is checked.
func PushHost(t *testing.T, publicURL, internalURL, module string) {
	h := newPushHost(t, publicURL, internalURL, module)
	t.Run("bodies", h.testBodies)
	t.Run("id and type", h.testIDAndType)
	t.Run("many channels in one request", h.testManyChannels)
	t.Run("the most channels in one request", h.testMostChannels)
	t.Run("several channels on one stream", h.testSeveralChannels)
	t.Run("order", h.testOrder)
	t.Run("many readers", h.testManyReaders)
	t.Run("names", h.testNames)
	t.Run("slash in a name", h.testSlash)
	t.Run("refused to publish", h.testRefusedToPublish)
	t.Run("refused to subscribe", h.testRefusedToSubscribe)
	t.Run("new readers get new messages", h.testNewMessagesOnly)
	t.Run("resume", h.testResume)
	t.Run("resume with an unknown id", h.testResumeUnknown)
	t.Run("all that is stored", h.testStored)
	if !h.nchan { // which has none; its refusal is under "refused to subscribe"
		t.Run("backtrack", h.testBacktrack)
		t.Run("backtrack of a publisher", h.testPublishBacktrack)
	}
	t.Run("long polling", h.testLongPolling)
	t.Run("statistics", h.testStatistics)
	if !h.nchan { // which has none
		t.Run("statistics of channels", h.testStatisticsOfChannels)
		t.Run("statistics count readers", h.testStatisticsCountReaders)
	}
	t.Run("health", h.testHealth)
	if publicURL != internalURL {
		t.Run("the public side does not publish", h.testPublicDoesNotPublish)
	}
}

// UnstoredPushHost checks a push-stream host that keeps nothing for readers who come back.
func UnstoredPushHost(t *testing.T, publicURL, internalURL string) {
	h := newPushHost(t, publicURL, internalURL, "push-stream")
	t.Run("nothing is replayed", h.testUnstored)
	t.Run("statistics count readers", h.testStatisticsCountReaders)
}

func newPushHost(t *testing.T, publicURL, internalURL, module string) *pushHost {
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return &pushHost{
		public:   publicURL,
		internal: internalURL,
		nchan:    module == "nchan",
		client:   &http.Client{Transport: transport, Timeout: patience},
	}
}

type pushHost struct {
	public, internal string
	nchan            bool
	client           *http.Client
	names            atomic.Int64
}

// channel returns a name that no other test uses: the host is the same for all of them.
func (h *pushHost) channel() string {
	return fmt.Sprintf("conform:%d", h.names.Add(1))
}

// escape encodes a channel's name as pushglue's publisher does: everything but unreserved
// characters and a few that are safe in a query.
func escape(name string) string {
	var text strings.Builder
	for _, c := range []byte(name) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte("-._~:,@!$", c) >= 0:
			text.WriteByte(c)
		default:
			fmt.Fprintf(&text, "%%%02X", c)
		}
	}
	return text.String()
}

func list(names []string, escape func(string) string) string {
	escaped := make([]string, len(names))
	for i, name := range names {
		escaped[i] = escape(name)
	}
	return strings.Join(escaped, "/")
}

// post sends a message to a list of channels that is in its URL's form already. It uses a
// connection of its own: where push-stream refuses a list of channels it does not read the
// message, and takes it for the connection's next request.
func (h *pushHost) post(t *testing.T, channels string, m message) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, h.internal+"/publish?id="+channels, strings.NewReader(m.body))
	if err != nil {
		t.Fatal(err)
	}
	req.Close = true
	req.Header.Set("Content-Type", "application/json")
	for name, value := range h.headers(m) {
		req.Header.Set(name, value)
	}
	return h.status(t, req)
}

// message is what a test publishes; id and kind may be empty.
type message struct{ id, kind, body string }

// headers returns the module's way of saying a message's id and type.
func (h *pushHost) headers(m message) map[string]string {
	headers := make(map[string]string)
	switch {
	case h.nchan && m.kind != "":
		headers["X-EventSource-Event"] = m.kind
	case h.nchan:
	default:
		if m.id != "" {
			headers["Event-Id"] = m.id
		}
		if m.kind != "" {
			headers["Event-Type"] = m.kind
		}
	}
	return headers
}

func (h *pushHost) status(t *testing.T, req *http.Request) int {
	t.Helper()
	resp, err := h.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode
}

// accepted reports whether status means that the host took a message.
func (h *pushHost) accepted(status int) bool {
	if h.nchan {
		return status == http.StatusCreated || status == http.StatusAccepted // somebody, nobody listens
	}
	return status == http.StatusOK
}

// publish sends a message to channels and requires that the host takes it.
func (h *pushHost) publish(t *testing.T, m message, channels ...string) {
	t.Helper()
	if status := h.post(t, list(channels, escape), m); !h.accepted(status) {
		t.Fatalf("publish to %q: status %d", channels, status)
	}
}

// subscribe opens a stream of channels that ends with the test.
func (h *pushHost) subscribe(t *testing.T, lastEventID string, channels ...string) *eventstream.Subscription {
	t.Helper()
	return h.open(t, list(channels, escape), lastEventID)
}

func (h *pushHost) open(t *testing.T, channels, lastEventID string) *eventstream.Subscription {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	s, err := eventstream.Subscribe(ctx, h.public+"/subscribe/"+channels, lastEventID)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// next waits for an event and requires its data.
func next(t *testing.T, s *eventstream.Subscription, data string) eventstream.Event {
	t.Helper()
	event, err := s.Next()
	if err != nil {
		t.Fatalf("wait for %.100q: %v", data, err)
	}
	if event.Data != data {
		t.Fatalf("got %.100q, want %.100q", event.Data, data)
	}
	return event
}

func (h *pushHost) get(t *testing.T, url string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := h.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

func (h *pushHost) testStatistics(t *testing.T) {
	channel := h.channel()
	h.subscribe(t, "", channel)
	h.publish(t, message{body: "x"}, channel)
	status, text := h.get(t, h.internal+"/channels-stats")
	if status != http.StatusOK {
		t.Fatalf("status %d", status)
	}
	fields := []string{`"channels":`, `"published_messages":`, `"stored_messages":`, `"messages_in_trash":`, `"subscribers":`, `"by_worker":`}
	if h.nchan {
		fields = []string{"total published messages: ", "stored messages: ", "shared memory used: ", "channels: ", "subscribers: "}
	}
	for _, field := range fields {
		if !strings.Contains(text, field) {
			t.Errorf("statistics lack %s:\n%s", field, text)
		}
	}
}

func (h *pushHost) testHealth(t *testing.T) {
	status, text := h.get(t, h.internal+"/healthz")
	var pid int
	if _, err := fmt.Sscanf(text, "ok %d\n", &pid); err != nil || status != http.StatusOK || pid == 0 {
		t.Errorf("got %d %q, want 200 and ok with a process id", status, text)
	}
}

func (h *pushHost) testPublicDoesNotPublish(t *testing.T) {
	channel := h.channel()
	s := h.subscribe(t, "", channel)
	for _, path := range []string{"/publish?id=" + channel, "/subscribe/" + channel, "/poll/" + channel, "/ws/" + channel} {
		for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodDelete} {
			req, err := http.NewRequestWithContext(t.Context(), method, h.public+path, strings.NewReader("injected"))
			if err != nil {
				t.Fatal(err)
			}
			req.Close = true
			if status := h.status(t, req); !slices.Contains([]int{400, 403, 404, 405, 413}, status) {
				t.Errorf("%s %s: status %d", method, path, status)
			}
		}
	}
	for _, path := range []string{"/publish?id=" + channel, "/channels-stats", "/healthz", "/", ""} {
		if status, _ := h.get(t, h.public+path); status != http.StatusNotFound {
			t.Errorf("GET %s: status %d, want 404", path, status)
		}
	}
	h.publish(t, message{body: "from inside"}, channel)
	next(t, s, "from inside")
}

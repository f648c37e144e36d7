package push_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"pushglue/glue"
	"pushglue/glue/push"
)

// pipeHost is a push host over a real connection. It answers as handle says, and 200 without it.
type pipeHost struct {
	*httptest.Server
	push   *push.Publisher
	ledger glue.Ledger

	mu    sync.Mutex
	got   []string        // bodies, in order
	conns map[string]bool // those that carried messages
}

func startPipeHost(t *testing.T, timeout time.Duration, handle func(h *pipeHost, n int, body string, w http.ResponseWriter)) *pipeHost {
	t.Helper()
	h := &pipeHost{conns: map[string]bool{}}
	h.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			return
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		h.mu.Lock()
		h.got = append(h.got, string(body))
		h.conns[r.RemoteAddr] = true
		n := len(h.got)
		h.mu.Unlock()
		if handle != nil {
			handle(h, n, string(body), w)
		}
	}))
	h.Start()
	t.Cleanup(h.Close)
	var err error
	h.push, err = push.New(push.Config{Hosts: []string{h.URL}, Module: push.PushStream, Timeout: timeout, Ledger: &h.ledger})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.push.Close)
	return h
}

// publish publishes n messages and returns their outcomes; the account of the host must balance.
func (h *pipeHost) publish(t *testing.T, batch []*glue.Message) []error {
	t.Helper()
	outcomes := make([]error, len(batch))
	h.push.Publish(t.Context(), batch, outcomes)
	if err := h.ledger.Sums().Balance(); err != nil {
		t.Error(err)
	}
	return outcomes
}

func numbered(n int) []*glue.Message {
	bodies := make([]string, n)
	for i := range bodies {
		bodies[i] = fmt.Sprintf(`{"n":%d}`, i)
	}
	return messages(bodies...)
}

// wantOrder wants each message at least once, and none before its predecessor was there.
func (h *pipeHost) wantOrder(t *testing.T, batch []*glue.Message) {
	t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	next := 0
	for _, body := range h.got {
		if next < len(batch) && body == string(batch[next].Body()) {
			next++
		}
	}
	if next < len(batch) {
		t.Errorf("%s is not there, or too early: got %.500q", batch[next].Body(), h.got)
	}
}

func wantPublished(t *testing.T, outcomes []error) {
	t.Helper()
	for i, err := range outcomes {
		if err != nil {
			t.Fatalf("message %d: %v", i, err)
		}
	}
}

func TestOneConnectionTakesAll(t *testing.T) {
	h := startPipeHost(t, time.Minute, nil)
	batch := numbered(2000)
	for part := range 4 {
		wantPublished(t, h.publish(t, batch[part*500:(part+1)*500]))
	}
	h.wantOrder(t, batch)
	if len(h.got) != 2000 || len(h.conns) != 1 {
		t.Errorf("%d requests over %d connections", len(h.got), len(h.conns))
	}
}

// TestTheServerEndsConnections has the server close them after some answers, as nginx does after
// keepalive_requests, with and without a word.
func TestTheServerEndsConnections(t *testing.T) {
	for name, end := range map[string]func(w http.ResponseWriter){
		"announced":  func(w http.ResponseWriter) { w.Header().Set("Connection", "close") },
		"unexpected": hangUp,
	} {
		t.Run(name, func(t *testing.T) {
			h := startPipeHost(t, time.Minute, func(_ *pipeHost, n int, _ string, w http.ResponseWriter) {
				if n%7 == 0 {
					end(w)
				}
			})
			batch := numbered(300)
			wantPublished(t, h.publish(t, batch))
			h.wantOrder(t, batch)
		})
	}
}

// hangUp closes the connection without an answer.
func hangUp(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err == nil {
		conn.Close()
	}
}

func TestAnIdleConnectionThatTheServerClosed(t *testing.T) {
	h := startPipeHost(t, time.Minute, nil)
	wantPublished(t, h.publish(t, numbered(2)))
	h.CloseClientConnections()
	wantPublished(t, h.publish(t, numbered(2)))
	if sums := h.ledger.Sums().Hosts[0]; sums.Accepted != 4 || len(h.conns) != 2 {
		t.Errorf("%+v over %d connections", sums, len(h.conns))
	}
}

func TestARefusalAmongMany(t *testing.T) {
	h := startPipeHost(t, time.Minute, func(_ *pipeHost, _ int, body string, w http.ResponseWriter) {
		switch body {
		case `{"n":3}`, `{"n":4}`, `{"n":250}`:
			w.WriteHeader(http.StatusBadRequest)
		}
	})
	batch := numbered(300)
	for i, err := range h.publish(t, batch) {
		if bad := i == 3 || i == 4 || i == 250; bad != glue.IsPermanent(err) || !bad && err != nil {
			t.Errorf("message %d: %v", i, err)
		}
	}
	h.wantOrder(t, batch)
	if sums := h.ledger.Sums().Hosts[0]; sums.Accepted != 297 || sums.Rejected != 3 || sums.Sent > 1200 {
		t.Errorf("%+v", sums)
	}
}

// TestABodyThatReadsLikeARequestStandsAlone looks at the wire: behind such a body nothing comes before its answer.
func TestABodyThatReadsLikeARequestStandsAlone(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	early := make(chan int, 1)
	serve := func(conn net.Conn) {
		defer conn.Close()
		in := bufio.NewReader(conn)
		for {
			r, err := http.ReadRequest(in)
			if err != nil {
				return
			}
			body, err := io.ReadAll(r.Body)
			if err != nil {
				return
			}
			if string(body) == "GET /healthz?" {
				time.Sleep(50 * time.Millisecond) // what is written by then was written too early
				early <- in.Buffered()
			}
			if _, err := io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"); err != nil {
				return
			}
		}
	}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go serve(conn)
		}
	}()
	p, err := push.New(push.Config{Hosts: []string{"http://" + listener.Addr().String()}, Module: push.Nchan})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	outcomes := make([]error, 4)
	batch := messages("{}", "x", "{}", "{}")
	batch[1].SetBody([]byte("GET /healthz?"))
	p.Publish(t.Context(), batch, outcomes)
	wantPublished(t, outcomes)
	if n := <-early; n > 0 {
		t.Errorf("%d bytes came behind it", n)
	}
}

func TestLongBodiesDoNotBlock(t *testing.T) {
	h := startPipeHost(t, time.Minute, func(_ *pipeHost, _ int, _ string, w http.ResponseWriter) {
		_, _ = io.WriteString(w, strings.Repeat("x", 20_000)) // a long answer to each
	})
	batch := numbered(500)
	for i, m := range batch {
		m.SetBody([]byte(fmt.Sprintf(`{"n":%d,"text":%q}`, i, strings.Repeat("long ", 10_000))))
	}
	wantPublished(t, h.publish(t, batch))
	h.wantOrder(t, batch)
}

func TestAHostThatSaysNothing(t *testing.T) {
	block := make(chan struct{})
	h := startPipeHost(t, 100*time.Millisecond, func(_ *pipeHost, n int, _ string, _ http.ResponseWriter) {
		if n == 3 {
			<-block
		}
	})
	defer close(block)
	outcomes := h.publish(t, numbered(5))
	for i, err := range outcomes {
		if down := i >= 2; down != errors.Is(err, glue.ErrUnavailable) {
			t.Errorf("message %d: %v", i, err)
		}
	}
}

func TestAStopEndsAnExchange(t *testing.T) {
	block := make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	h := startPipeHost(t, time.Minute, func(_ *pipeHost, n int, _ string, _ http.ResponseWriter) {
		if n == 3 {
			cancel()
			<-block
		}
	})
	outcomes := make([]error, 5)
	h.push.Publish(ctx, numbered(5), outcomes)
	close(block)
	if !errors.Is(outcomes[2], context.Canceled) || !errors.Is(outcomes[4], context.Canceled) {
		t.Errorf("got %v", outcomes)
	}
	wantPublished(t, h.publish(t, numbered(3)))
}

// TestAnswersThatGetShorter has a host give ever shorter answers, so that what the reader waits for at once never comes.
func TestAnswersThatGetShorter(t *testing.T) {
	h := startPipeHost(t, time.Minute, func(_ *pipeHost, n int, _ string, w http.ResponseWriter) {
		if n < 3 {
			_, _ = io.WriteString(w, strings.Repeat("x", 1500))
		}
	})
	batch := numbered(1000)
	wantPublished(t, h.publish(t, batch))
	h.wantOrder(t, batch)
}

// TestAFewConnections spreads messages by their first channel, whose order is kept.
func TestAFewConnections(t *testing.T) {
	h := startPipeHost(t, time.Minute, nil)
	p, err := push.New(push.Config{Hosts: []string{h.URL}, Module: push.PushStream, Connections: 3, Ledger: &h.ledger})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	h.push = p
	batch := numbered(900)
	channels := map[string][]*glue.Message{}
	for i, m := range batch {
		name := fmt.Sprint("c", i%7)
		m.Channels = []string{name, "all"}
		channels[name] = append(channels[name], m)
	}
	wantPublished(t, h.publish(t, batch))
	for _, messages := range channels {
		h.wantOrder(t, messages)
	}
	if len(h.got) != len(batch) || len(h.conns) != 3 {
		t.Errorf("%d requests over %d connections", len(h.got), len(h.conns))
	}
}

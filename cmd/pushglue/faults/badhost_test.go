package faults

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// badHost answers messages as it likes, and says that it is well.
type badHost struct {
	answer   func(message []byte) string // empty for none, with which the connection stays open
	listener net.Listener
	asked    atomic.Int64
	wg       sync.WaitGroup

	mu    sync.Mutex
	conns []net.Conn
}

// setUp starts it, beside a good one.
func (h *badHost) setUp(r *round) {
	r.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		r.Fatal(err)
	}
	h.listener = listener
	h.wg.Go(h.accept)
	r.Cleanup(func() {
		listener.Close()
		h.mu.Lock()
		for _, conn := range h.conns {
			conn.Close()
		}
		h.mu.Unlock()
		h.wg.Wait()
	})
	r.startHosts()
	r.urls = append(r.urls, "http://"+listener.Addr().String())
}

func (h *badHost) fault(r *round) {
	r.progress(1000)
	if h.asked.Load() == 0 {
		r.Error("the host was never asked")
	}
}

func (h *badHost) accept() {
	for {
		conn, err := h.listener.Accept()
		if err != nil {
			return
		}
		h.mu.Lock()
		h.conns = append(h.conns, conn)
		h.mu.Unlock()
		h.wg.Go(func() { h.serve(conn) })
	}
}

// serve reads requests until the other side ends the connection, or an answer is none.
func (h *badHost) serve(conn net.Conn) {
	defer conn.Close()
	requests := bufio.NewReader(conn)
	for {
		req, err := http.ReadRequest(requests)
		if err != nil {
			return
		}
		body, err := io.ReadAll(req.Body)
		if err != nil {
			return
		}
		answer := "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nok 1"
		if req.Method == http.MethodPost {
			h.asked.Add(1)
			answer = h.answer(body)
		}
		if _, err := io.WriteString(conn, answer); err != nil {
			return
		}
		if answer != "" && !strings.HasPrefix(answer, "HTTP/1.1 ") || strings.HasSuffix(answer, "half") {
			return
		}
	}
}

func empty(status string) string { return "HTTP/1.1 " + status + "\r\nContent-Length: 0\r\n\r\n" }

// isMarked is what a host refuses that takes everything else.
const isMarked = `"marked":true`

// TestBadHost has a push host beside a good one that answers, but not what it should.
func TestBadHost(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]string{
		"host answers 500":            empty("500 Internal Server Error"),
		"host answers 503":            empty("503 Service Unavailable"),
		"host answers garbage":        "\x00\xff<html>\r\n\r\n",
		"host answers half an answer": "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf",
		"host answers nothing":        "",
	} {
		run(t, func() scenario {
			bad := badHost{answer: func([]byte) string { return answer }}
			return scenario{name: name, hosts: 1, retried: true, setUp: bad.setUp, fault: bad.fault}
		})
	}
	run(t, func() scenario {
		picky := badHost{answer: func(message []byte) string {
			if bytes.Contains(message, []byte(isMarked)) {
				return empty("413 Request Entity Too Large")
			}
			return empty("202 Accepted")
		}}
		return scenario{
			name: "host answers 413", hosts: 1, once: true,
			setUp: func(r *round) {
				picky.setUp(r)
				r.spoil, r.refuser = 50, picky.listener.Addr().String()
				r.poisons = []poison{func(j *job) { // the other host takes it
					j.payload, j.refused = strings.Replace(j.payload, "{", "{"+isMarked+",", 1), true
				}}
			},
			fault: picky.fault,
			check: (*round).checkSpoilt,
		}
	})
}

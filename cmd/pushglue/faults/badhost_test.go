package faults

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// badHost answers each message that it gets with the same text, and says that it is well.
type badHost struct {
	listener net.Listener
	answer   string // empty for none, with which the connection stays open
	asked    atomic.Int64
	wg       sync.WaitGroup

	mu    sync.Mutex
	conns []net.Conn
}

func startBadHost(r *round, answer string) *badHost {
	r.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		r.Fatal(err)
	}
	h := &badHost{listener: listener, answer: answer}
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
	return h
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
		if _, err := io.Copy(io.Discard, req.Body); err != nil {
			return
		}
		answer := "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nok 1"
		if req.URL.Path != "/healthz" {
			h.asked.Add(1)
			answer = h.answer
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

// TestBadHost has a push host beside a good one that answers, but not what it should.
func TestBadHost(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]string{
		"host answers 500":            empty("500 Internal Server Error"),
		"host answers 503":            empty("503 Service Unavailable"),
		"host answers 413":            empty("413 Request Entity Too Large"),
		"host answers garbage":        "\x00\xff<html>\r\n\r\n",
		"host answers half an answer": "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf",
		"host answers nothing":        "",
	} {
		run(t, func() scenario {
			var host *badHost
			return scenario{
				name: name, hosts: 1, retried: true, refused: strings.Contains(name, "413"),
				setUp: func(r *round) {
					host = startBadHost(r, answer)
					r.startHosts()
					r.urls = append(r.urls, "http://"+host.listener.Addr().String())
				},
				fault: func(r *round) {
					r.progress(1000)
					if host.asked.Load() == 0 {
						r.Error("the host was never asked")
					}
				},
			}
		})
	}
}

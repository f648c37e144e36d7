package main

import (
	"io"
	"net"
	"strings"
	"sync"
	"testing"
)

// gate is the network between browsers and a push host.
type gate struct {
	url    string
	target string
	wg     sync.WaitGroup

	mu    sync.Mutex
	shut  bool
	mute  map[net.Conn]bool // what is sent gets lost
	conns map[net.Conn]bool
}

// openGate returns a way to a host.
func openGate(t *testing.T, target string) *gate {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := &gate{url: "http://" + listener.Addr().String(), target: strings.TrimPrefix(target, "http://"), mute: map[net.Conn]bool{}, conns: map[net.Conn]bool{}}
	g.wg.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			g.wg.Go(func() { g.carry(conn) })
		}
	})
	t.Cleanup(func() {
		listener.Close()
		g.cut()
		g.wg.Wait()
	})
	return g
}

func (g *gate) carry(near net.Conn) {
	defer near.Close()
	far, err := net.Dial("tcp", g.target)
	if err != nil {
		return
	}
	defer far.Close()
	g.mu.Lock()
	shut := g.shut
	g.conns[near], g.conns[far] = true, true
	g.mu.Unlock()
	if shut {
		return
	}
	g.wg.Go(func() {
		_, _ = io.Copy(far, near) // ends with the connection
		far.Close()
	})
	text := make([]byte, 32<<10)
	for {
		n, err := far.Read(text)
		if err != nil {
			return
		}
		g.mu.Lock()
		mute := g.mute[near]
		g.mu.Unlock()
		if mute {
			continue
		}
		if _, err := near.Write(text[:n]); err != nil {
			return
		}
	}
}

// cut ends all connections, and new ones at once until join.
func (g *gate) cut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shut = true
	for conn := range g.conns {
		conn.Close()
	}
	clear(g.conns)
}

func (g *gate) join() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shut = false
}

// silence loses what comes on the connections that stand.
func (g *gate) silence() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for conn := range g.conns {
		g.mute[conn] = true
	}
}

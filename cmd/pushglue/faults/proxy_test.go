package faults

import (
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// proxy carries connections to a server, badly when it is told to.
type proxy struct {
	target   string
	listener net.Listener
	delay    atomic.Int64 // of each piece, in each direction, in ns
	refusing atomic.Bool  // new connections end at once
	wg       sync.WaitGroup

	mu    sync.Mutex
	links map[*link]bool
}

// link is one connection and its continuation.
type link struct {
	near, far net.Conn
	silent    atomic.Bool // what is sent gets lost, and nobody is told
}

func (l *link) close() {
	l.near.Close()
	l.far.Close()
}

func startProxy(r *round, target string) *proxy {
	r.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		r.Fatal(err)
	}
	p := &proxy{target: target, listener: listener, links: map[*link]bool{}}
	p.wg.Go(p.accept)
	r.Cleanup(func() {
		listener.Close()
		p.refusing.Store(true)
		p.cut()
		p.wg.Wait()
	})
	return p
}

func (p *proxy) addr() string { return p.listener.Addr().String() }

func (p *proxy) accept() {
	for {
		near, err := p.listener.Accept()
		if err != nil {
			return
		}
		far, err := net.Dial("tcp", p.target)
		if err != nil {
			near.Close()
			continue
		}
		l := &link{near: near, far: far}
		p.mu.Lock()
		p.links[l] = true
		p.mu.Unlock()
		if p.refusing.Load() {
			p.drop(l)
			continue
		}
		p.wg.Go(func() { p.carry(l, near, far) })
		p.wg.Go(func() { p.carry(l, far, near) })
	}
}

func (p *proxy) drop(l *link) {
	l.close()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.links, l)
}

// piece is what was read at once, and when it goes on.
type piece struct {
	bytes []byte
	due   time.Time
}

// carry carries what comes from one side to the other, until one of them ends.
func (p *proxy) carry(l *link, from, to net.Conn) {
	pieces := make(chan piece, 1024)
	p.wg.Go(func() {
		defer p.drop(l)
		for piece := range pieces {
			time.Sleep(time.Until(piece.due))
			if l.silent.Load() {
				continue
			}
			if _, err := to.Write(piece.bytes); err != nil {
				return
			}
		}
	})
	defer close(pieces)
	defer p.drop(l)
	for {
		bytes := make([]byte, 32<<10)
		n, err := from.Read(bytes)
		if err != nil {
			return
		}
		select {
		case pieces <- piece{bytes[:n], time.Now().Add(time.Duration(p.delay.Load()))}:
		case <-time.After(patience): // nobody takes them
			return
		}
	}
}

// cut ends all connections.
func (p *proxy) cut() {
	for _, l := range p.all() {
		l.close()
	}
}

// silence loses what is on its way and all that follows on the connections that stand, which stay open on both
// sides: half-open ones.
func (p *proxy) silence() {
	for _, l := range p.all() {
		l.silent.Store(true)
	}
}

func (p *proxy) all() []*link {
	p.mu.Lock()
	defer p.mu.Unlock()
	var links []*link
	for l := range p.links {
		links = append(links, l)
	}
	return links
}

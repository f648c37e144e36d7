package push

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"math"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"
)

// pipe is the permanent connection to a push host. Requests are written ahead of the answers to those before
// them, many with one system call. One exchange uses it at a time.
type pipe struct {
	address string
	tls     *tls.Config // nil for none
	timeout time.Duration

	// What differs by host, around each request's head.
	before, after []byte

	made    int      // connections so far
	conn    net.Conn // nil until the first request, and after a failure
	reader  patientReader
	answers *bufio.Reader
	latest  []byte      // the bytes of an accepted answer, with which the next one is compared
	parts   net.Buffers // of the requests that are written, kept for its memory
}

// answerBuffer is for the answers that wait to be read, in bytes.
const answerBuffer = 64 << 10

func newPipe(base *url.URL, config *tls.Config, timeout time.Duration, authorization string) *pipe {
	p := &pipe{address: base.Host, timeout: timeout, answers: bufio.NewReaderSize(nil, answerBuffer)}
	p.reader.timeout = timeout
	port := "80"
	if base.Scheme == "https" {
		port = "443"
		p.tls = &tls.Config{MinVersion: tls.VersionTLS12}
		if config != nil {
			p.tls = config.Clone()
		}
		if p.tls.ServerName == "" {
			p.tls.ServerName = base.Hostname()
		}
		p.tls.NextProtos = []string{"http/1.1"}
	}
	if base.Port() == "" {
		p.address = net.JoinHostPort(base.Hostname(), port)
	}
	p.before, p.after = around(base, authorizationLine(authorization))
	return p
}

// around returns what differs by host, before and behind each request's head, with more lines of it.
func around(base *url.URL, lines string) (before, after []byte) {
	return []byte("POST " + base.EscapedPath() + "/publish?"), []byte("Host: " + base.Host + "\r\n" + lines + "\r\n")
}

// exchange implements carrier.
func (p *pipe) exchange(ctx context.Context, requests []*request, answered func(answer)) (sent int, err error) {
	stale := p.conn != nil
	got := 0
	count := func(a answer) { got++; answered(a) }
	sent, err = p.try(ctx, requests, count)
	// The server may have closed a connection that was idle: that is no failure.
	if err != nil && stale && got == 0 && !isTimeout(err) && ctx.Err() == nil {
		var again int
		again, err = p.try(ctx, requests, count)
		sent += again
	}
	return sent, err
}

// try does an exchange over the connection, or over a new one.
func (p *pipe) try(ctx context.Context, requests []*request, answered func(answer)) (sent int, err error) {
	if p.conn == nil {
		if err := p.connect(ctx); err != nil {
			return 1, err // the attempt counts as one request without an answer
		}
	}
	conn := p.conn
	p.reader.ctx = ctx
	interrupt := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	var writing sync.WaitGroup
	writing.Go(func() { _ = p.write(conn, requests) }) // what goes wrong there shows in the reading
	keep, err := p.read(len(requests), answered)
	if err != nil || !keep {
		conn.Close() // ends the writing as well
	}
	writing.Wait()
	if !interrupt() && err == nil {
		err, keep = ctx.Err(), false
		conn.Close()
	}
	if err != nil || !keep {
		p.conn = nil
	}
	return len(requests), err
}

func (p *pipe) connect(ctx context.Context) error {
	dialer := net.Dialer{Timeout: p.timeout, KeepAlive: 30 * time.Second}
	conn, err := dialer.DialContext(ctx, "tcp", p.address)
	if err != nil {
		return err
	}
	if p.tls != nil {
		secure := tls.Client(conn, p.tls)
		ctx, cancel := context.WithTimeout(ctx, p.timeout)
		defer cancel()
		if err := secure.HandshakeContext(ctx); err != nil {
			conn.Close()
			return err
		}
		conn = secure
	}
	p.conn = conn
	p.made++
	p.reader.conn, p.reader.mark, p.reader.total = conn, newMark(conn), 0
	p.answers.Reset(&p.reader)
	return nil
}

// patientReader reads from a connection that must say something within timeout, each time.
type patientReader struct {
	ctx     context.Context // of the exchange
	conn    net.Conn
	timeout time.Duration

	mark     mark
	missing  int // answers
	shortest int // answer of this exchange so far, in bytes
	total    int // bytes read
}

// markTime is how long what has come waits for a mark, in case the mark is too far.
const markTime = 50 * time.Millisecond

// Read implements io.Reader.
func (r *patientReader) Read(b []byte) (n int, err error) {
	r.mark.set(r.nextMark())
	if r.mark.at > 1 && r.timeout > markTime {
		if n, err = r.readWithin(b, markTime); n > 0 || !isTimeout(err) {
			return n, err
		}
		r.mark.set(1)
	}
	return r.readWithin(b, r.timeout)
}

// markAnswers bounds how many answers the reader waits for. A host has 10 small packets on the way before it
// waits for an acknowledgement, which the reader's kernel puts off for 40 ms when nobody reads.
const markAnswers = 8

// nextMark returns how many bytes to wait for: some of the missing answers, so that a host which
// answers each request by itself does not wake the reader each time.
func (r *patientReader) nextMark() int {
	if r.missing < 4 || r.shortest > maxAnswerLine {
		return 1
	}
	return min(r.missing/2, markAnswers) * r.shortest
}

func (r *patientReader) readWithin(b []byte, timeout time.Duration) (int, error) {
	if err := r.conn.SetReadDeadline(time.Now().Add(timeout)); err != nil {
		return 0, err
	}
	// What ends the exchange sets a deadline too, which this one may have undone.
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := r.conn.Read(b)
	r.total += n
	return n, err
}

// write writes all requests.
func (p *pipe) write(conn net.Conn, requests []*request) error {
	if err := conn.SetWriteDeadline(time.Now().Add(p.timeout)); err != nil {
		return err
	}
	p.parts = p.parts[:0]
	for _, r := range requests {
		p.parts = append(p.parts, p.before, r.head, p.after, r.body)
	}
	parts := p.parts // WriteTo moves it
	if p.tls == nil {
		_, err := parts.WriteTo(conn)
		return err
	}
	// As few records as possible.
	out := bufio.NewWriterSize(conn, answerBuffer)
	if _, err := parts.WriteTo(out); err != nil {
		return err
	}
	return out.Flush()
}

// read reads the answers to n requests, until one is refused. It reports whether the connection can
// be used on: behind a refusal it cannot, because push-stream leaves the body of a
// request that it refuses unread, nginx takes it for the next request, and the answer to that would
// be taken for the next message's.
func (p *pipe) read(n int, answered func(answer)) (keep bool, err error) {
	p.reader.shortest = math.MaxInt
	for i := range n {
		p.reader.missing = n - i
		before := p.consumed()
		a, err := p.next()
		p.reader.shortest = min(p.reader.shortest, p.consumed()-before)
		if err != nil {
			return false, err
		}
		answered(a)
		if a.last || !a.accepted() {
			return false, nil
		}
	}
	return p.answers.Buffered() == 0, nil
}

// next reads the next answer. A host says the same again and again, to the byte, until the second in its Date
// is over: what equals an answer that was read before needs no second reading.
func (p *pipe) next() (answer, error) {
	n := len(p.latest)
	if n > 0 && p.answers.Buffered() >= n {
		if text, _ := p.answers.Peek(n); bytes.Equal(text, p.latest) {
			_, err := p.answers.Discard(n)
			return answer{status: http.StatusOK}, err
		}
	}
	text, _ := p.answers.Peek(p.answers.Buffered())
	before := p.consumed()
	a, err := readAnswer(p.answers)
	size := p.consumed() - before
	if err == nil && a == (answer{status: http.StatusOK}) && size <= len(text) {
		p.latest = append(p.latest[:0], text[:size]...)
	}
	return a, err
}

// consumed returns how many bytes of answers were taken in.
func (p *pipe) consumed() int { return p.reader.total - p.answers.Buffered() }

// connections implements carrier.
func (p *pipe) connections() int { return p.made }

func (p *pipe) close() {
	if p.conn != nil {
		p.conn.Close()
		p.conn = nil
	}
}

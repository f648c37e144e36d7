package push

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"pushglue/glue"
)

// A host is down when it gives no answer connectAttempts times in a row and is not well either, or
// when maxRefusals messages in a row get no answer, or one that may pass.
const (
	connectAttempts = 3
	connectPause    = 50 * time.Millisecond // doubles with each attempt
	maxRefusals     = int64(10)
)

// host is one push host.
type host struct {
	name      string
	base      *url.URL
	timeout   time.Duration
	transport http.RoundTripper
	ledger    *glue.Ledger

	// one is held for a request and its answer. It keeps other batches off a connection on
	// which an answer may be followed by another one; see post.
	one sync.Mutex

	health   health
	refusals atomic.Int64 // answers in a row that may pass
}

// newHost returns a host that is up. stop ends what it does beside messages.
func newHost(stop context.Context, base *url.URL, c Config) *host {
	h := &host{name: base.Host + base.Path, base: base, timeout: c.Timeout, transport: c.Transport, ledger: c.Ledger}
	h.health = health{log: c.Log.With().Str("host", h.name).Logger(), ping: h.ping, stop: stop}
	return h
}

// errDown is the answer of a host that is down.
var errDown = fmt.Errorf("push host is down: %w", glue.ErrUnavailable)

// publish sends the requests one after the other and writes an answer for each: nil for
// accepted, errDown, a permanent error, or an error that may pass. n is the host's number.
func (h *host) publish(ctx context.Context, requests []request, n int, answers []error) {
	ok, trial := h.health.allow()
	if !ok {
		fill(answers, errDown)
		return
	}
	refusals := maxRefusals
	if trial {
		refusals = 1
	}
	sums := glue.HostSums{Name: h.name}
	defer func() { h.ledger.AddHost(sums) }()
	for i := range requests {
		r := &requests[i]
		if r.err != nil || r.has[n] {
			continue
		}
		var err error
		if answers[i], err = h.send(ctx, r, refusals, &sums); err != nil {
			fill(answers[i:], err)
			return
		}
		refusals = maxRefusals
	}
}

func fill(answers []error, err error) {
	for i := range answers {
		answers[i] = err
	}
}

// send sends one request until it is answered. err tells why nothing more can be sent now. The
// host is down after so many refusals in a row.
func (h *host) send(ctx context.Context, r *request, refusals int64, sums *glue.HostSums) (answer, err error) {
	for attempt := 1; ; attempt++ {
		sums.Sent++
		answer, err = h.post(ctx, r)
		if err == nil {
			break
		}
		sums.Unanswered++
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if attempt == connectAttempts || isTimeout(err) {
			if answer, err = h.blame(ctx, err); err != nil {
				return nil, err
			}
			return answer, h.judge(answer, refusals)
		}
		if !glue.Sleep(ctx, connectPause<<(attempt-1)) {
			return nil, ctx.Err()
		}
	}
	if answer == nil {
		sums.Accepted++
	} else {
		sums.Rejected++
	}
	return answer, h.judge(answer, refusals)
}

// judge tells what an answer says of the host: errDown if it was one refusal too many.
func (h *host) judge(answer error, refusals int64) error {
	if answer == nil || glue.IsPermanent(answer) {
		h.refusals.Store(0)
		h.health.up()
		return nil
	}
	if h.refusals.Add(1) < refusals {
		return nil
	}
	h.refusals.Store(0)
	h.health.down(refusing, answer)
	return errDown
}

// blame finds out who is at fault when a request gets no answer: the message, if the host is
// well otherwise, which then fails for now; else the host.
func (h *host) blame(ctx context.Context, cause error) (answer, err error) {
	if !isTimeout(cause) && h.ping(ctx) == nil {
		return fmt.Errorf("gives no answer to this message: %w", cause), nil
	}
	h.health.down(silent, cause)
	return nil, errDown
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

// post sends one request. answer is what the host said: nil, a permanent error, or one that may
// pass. err is why it did not answer.
//
// A connection ends with an answer that is not 2xx. push-stream leaves the body of a request that it
// refuses unread, nginx takes it for the next request on the connection, and the answer to that
// would be taken for the next message's.
func (h *host) post(ctx context.Context, r *request) (answer, err error) {
	h.one.Lock()
	defer h.one.Unlock()
	ctx, cancel := context.WithTimeout(ctx, h.timeout)
	defer cancel()
	var conn net.Conn
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(info httptrace.GotConnInfo) { conn = info.Conn },
	})
	defer func() {
		if answer != nil && conn != nil {
			conn.Close()
		}
	}()
	u := *h.base
	u.Path += "/publish"
	u.RawQuery = r.query
	req := &http.Request{
		Method: http.MethodPost, URL: &u, Host: u.Host, Header: r.header,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		ContentLength: int64(len(r.body)),
		GetBody:       func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(r.body)), nil },
	}
	req.Body, _ = req.GetBody()
	return h.roundTrip(req.WithContext(ctx))
}

// maxAnswer bounds what is read of an answer's body, which nobody looks at, to keep the connection.
const maxAnswer = 64 << 10

func (h *host) roundTrip(req *http.Request) (answer, err error) {
	resp, err := h.transport.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if _, err := io.CopyN(io.Discard, resp.Body, maxAnswer); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read answer: %w", err)
	}
	return classify(resp), nil
}

// classify turns an answer into an outcome. What is about the message is permanent; what is
// about the host's state or configuration may pass.
func classify(resp *http.Response) error {
	if resp.StatusCode >= 200 && resp.StatusCode <= 299 {
		return nil
	}
	err := fmt.Errorf("answers %d %s", resp.StatusCode, http.StatusText(resp.StatusCode))
	if why := resp.Header.Get("X-Nginx-PushStream-Explain"); why != "" {
		err = fmt.Errorf("%w: %.100q", err, why)
	}
	switch resp.StatusCode {
	case http.StatusBadRequest, http.StatusForbidden, http.StatusRequestEntityTooLarge,
		http.StatusRequestURITooLong, http.StatusRequestHeaderFieldsTooLarge:
		return glue.Permanent(err)
	case http.StatusNotFound, http.StatusMethodNotAllowed:
		return fmt.Errorf("%w: is its URL that of the publish side?", err)
	}
	return err
}

// ping asks the host's health endpoint.
func (h *host) ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, h.timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, h.base.JoinPath("healthz").String(), nil)
	if err != nil {
		return err
	}
	answer, err := h.roundTrip(req)
	return errors.Join(err, answer)
}

package push

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
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
	name   string
	base   *url.URL
	ledger *glue.Ledger

	// exchanging is held while requests are on the way, so that batches do not mix.
	exchanging sync.Mutex
	lanes      []*lane
	audience   *audience // nil unless messages that nobody listens to are skipped

	pinger   http.RoundTripper
	timeout  time.Duration
	health   health
	refusals atomic.Int64 // answers in a row that may pass
}

// lane is one of the connections to a host. What goes over it keeps its order.
type lane struct {
	carrier carrier
	window  int // requests of the next exchange: fewer after a failure, so that little is sent twice
}

// carrier takes requests to a host, in order. One exchange at a time uses it.
type carrier interface {
	// exchange sends requests and calls answered with the answer to each, in order. It ends when all
	// are answered, when one is refused, or when the connection ends, with an error if nobody said
	// that it would. It returns how many requests it sent, repetitions included.
	exchange(ctx context.Context, requests []*request, answered func(answer)) (sent int, err error)

	// close closes the connection, if there is one.
	close()
}

// newHost returns a host that is up. stop ends what it does beside messages.
func newHost(stop context.Context, base *url.URL, c Config) *host {
	h := &host{name: base.Host + base.Path, base: base, timeout: c.Timeout, ledger: c.Ledger, pinger: c.Transport}
	for range max(1, c.Connections) {
		l := &lane{window: maxWindow}
		if c.Transport != nil {
			l.carrier = &roundTripper{c.Transport, base, c.Module, c.Timeout}
		} else {
			l.carrier = newPipe(base, c.TLS, c.Timeout, c.Authorization)
		}
		h.lanes = append(h.lanes, l)
	}
	if h.pinger == nil {
		pinger := newTransport(c.TLS, c.Timeout)
		pinger.DisableKeepAlives = true
		h.pinger = authorize(pinger, c.Authorization)
	}
	log := c.Log.With().Str("host", h.name).Logger()
	h.health = health{log: log, ping: h.ping, stop: stop}
	if c.SkipEmpty {
		h.audience = newAudience(base, c, log)
	}
	return h
}

// maxWindow bounds the requests that wait for an answer.
const maxWindow = 256

// errDown is the answer of a host that is down.
var errDown = fmt.Errorf("push host is down: %w", glue.ErrUnavailable)

// publish sends the requests, in order on each lane, and writes an answer for each: nil for accepted, or
// skipped because nobody listens; errDown, a permanent error, or an error that may pass. n is the host's number.
func (h *host) publish(ctx context.Context, requests []request, n int, answers []error) {
	var todo []int
	for i := range requests {
		if r := &requests[i]; r.err == nil && !r.has[n] {
			todo = append(todo, i)
		}
	}
	h.exchanging.Lock()
	defer h.exchanging.Unlock()
	refusals := maxRefusals
	switch ok, trial := h.health.allow(); {
	case !ok:
		fill(answers, todo, errDown)
		return
	case trial: // which is a message, whoever listens
		refusals = 1
	case h.audience != nil:
		due := len(todo)
		todo = h.audience.skip(ctx, requests, todo)
		h.ledger.AddHost(glue.HostSums{Name: h.name, Skipped: int64(due - len(todo))})
	}
	parts := h.split(requests, todo)
	together(len(parts), func(l int) {
		d := delivery{host: h, lane: h.lanes[l], requests: requests, answers: answers, todo: parts[l], refusals: refusals}
		d.deliver(ctx)
	})
}

// split returns what is to be done on each lane.
func (h *host) split(requests []request, todo []int) [][]int {
	if len(h.lanes) == 1 {
		return [][]int{todo}
	}
	parts := make([][]int, len(h.lanes))
	for _, i := range todo {
		l := requests[i].lane(len(h.lanes))
		parts[l] = append(parts[l], i)
	}
	return parts
}

func fill(answers []error, places []int, err error) {
	for _, i := range places {
		answers[i] = err
	}
}

// delivery is what one batch has for a lane, on its way to the host.
type delivery struct {
	*host
	*lane
	requests []request
	answers  []error
	todo     []int // what is not answered, in order
	refusals int64 // in a row, after which the host is down
	attempts int   // of the first of todo that got no answer
}

// deliver sends all requests in todo, or fails them.
func (d *delivery) deliver(ctx context.Context) {
	if len(d.todo) == 0 {
		return
	}
	sums := glue.HostSums{Name: d.name}
	for len(d.todo) > 0 {
		if err := d.exchange(ctx, &sums); err != nil {
			fill(d.answers, d.todo, err)
			break
		}
	}
	d.ledger.AddHost(sums)
}

// exchange sends what is next and takes the answers. err tells why nothing more can be sent now.
func (d *delivery) exchange(ctx context.Context, sums *glue.HostSums) error {
	window := d.next()
	got := make([]answer, 0, len(window))
	sent, err := d.carrier.exchange(ctx, window, func(a answer) { got = append(got, a) })
	sums.Sent += int64(sent)
	sums.Unanswered += int64(sent - len(got))
	if len(got) == len(window) && got[len(got)-1].accepted() {
		d.window = min(2*d.window, maxWindow)
	}
	for _, a := range got {
		i := d.todo[0]
		d.todo, d.attempts = d.todo[1:], 0
		d.answers[i] = a.outcome()
		if a.accepted() {
			sums.Accepted++
		} else {
			sums.Rejected++
			d.window = 1
		}
		if err := d.judge(i); err != nil {
			return err
		}
	}
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case len(got) > 0 && !isTimeout(err):
		return nil // the connection ended, and the rest goes over the next one
	}
	return d.unanswered(ctx, err)
}

// next returns the requests of the next exchange.
func (d *delivery) next() []*request {
	window := make([]*request, 0, min(d.window, len(d.todo)))
	for _, i := range d.todo[:cap(window)] {
		window = append(window, &d.requests[i])
		if d.refusals == 1 || d.requests[i].standsAlone() {
			break
		}
	}
	return window
}

// judge tells what the answer to request i says of the host: errDown if it was one refusal too
// many, and then it is the request's outcome too.
func (d *delivery) judge(i int) error {
	answer := d.answers[i]
	if answer == nil || glue.IsPermanent(answer) {
		d.host.refusals.Store(0)
		d.health.up(refusing)
		d.refusals = maxRefusals
		return nil
	}
	if d.host.refusals.Add(1) < d.refusals {
		return nil
	}
	d.host.refusals.Store(0)
	d.health.down(refusing, answer)
	d.answers[i] = errDown
	return errDown
}

// unanswered deals with a connection that ended before the first request was answered: it is tried again on
// others, alone. When that does not help either it is the message's fault, if the host is well
// otherwise, and the message fails for now; else the host's.
func (d *delivery) unanswered(ctx context.Context, cause error) error {
	d.window = 1
	d.attempts++
	if d.attempts < connectAttempts && !isTimeout(cause) {
		if !glue.Sleep(ctx, connectPause<<(d.attempts-1)) {
			return ctx.Err()
		}
		return nil
	}
	if isTimeout(cause) || d.ping(ctx) != nil {
		d.health.down(silent, cause)
		return errDown
	}
	i := d.todo[0]
	d.todo, d.attempts = d.todo[1:], 0
	d.answers[i] = fmt.Errorf("gives no answer to this message: %w", cause)
	return d.judge(i)
}

// close ends what the host does beside messages, and its connections.
func (h *host) close() {
	h.health.asking.Wait()
	h.exchanging.Lock()
	defer h.exchanging.Unlock()
	for _, l := range h.lanes {
		l.carrier.close()
	}
	if h.audience != nil {
		h.audience.close()
	}
}

// newTransport returns a transport for what is asked beside messages, over connections of its own. There is
// no proxy: push hosts are near.
func newTransport(config *tls.Config, timeout time.Duration) *http.Transport {
	return &http.Transport{
		DialContext:         (&net.Dialer{Timeout: timeout}).DialContext,
		TLSClientConfig:     config,
		TLSHandshakeTimeout: timeout,
	}
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

// ping asks the host's health endpoint.
func (h *host) ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, h.timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, h.base.JoinPath("healthz").String(), nil)
	if err != nil {
		return err
	}
	resp, err := h.pinger.RoundTrip(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	return answer{status: resp.StatusCode}.outcome()
}

// Package push publishes messages to push hosts: nginx with push-stream or Nchan.
//
// Publish appends a batch to the backlog, which keeps what was published of late, in order (backlog.go).
// Each push host has a lane, a goroutine that takes the backlog to the host at the host's own pace (lane.go):
// one POST for each message with all its channels. Publish waits until the hosts that are up have
// answered, or as many as the policy asks for.
//
// A host that takes longer than others by the deadline is behind: messages do not wait for it until it has caught up.
// A host that cannot be reached, or refuses everything, is down, and is tried once a second (health.go). When it
// comes back it gets what it missed, as far as the backlog goes; when it was restarted, and so has
// lost its memory, all that the backlog has. When too few hosts are up nothing is published, and messages
// wait in order.
//
// A lane has one connection (pipe.go), or a few if there is more to publish than one worker of nginx
// takes; then the first channel of a message decides which one it takes. On a connection requests are written ahead of the answers to
// those before them: up to 256, with one system call. Answers come in the same order. What is
// unanswered when the connection ends goes over the next one, in order. After a refusal or a
// connection that broke, requests go one by one, and then by more again (delivery.go).
package push

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"pushglue/glue"
)

// Config is what a Publisher is made of.
type Config struct {
	Hosts       []string      // base URLs of the publish side, such as http://10.0.0.1:9080
	Module      Module        // what the hosts run
	Timeout     time.Duration // for a connection, and for each answer; default 5s
	Policy      Policy        // which hosts must have a message
	Deadline    time.Duration // how long messages wait for hosts that are slower than others; default 1s
	Recent      Recent        // what is kept for hosts that are behind or were restarted; without Time, DefaultRecent
	Connections int           // to each host; default 1. With more, only messages with the same first channel keep their order.
	SkipEmpty   bool          // send a host nothing that nobody listens to there; see CheckSkipEmpty
	TLS         *tls.Config   // for https; nil for the system's authorities; see TLSFiles
	// Authorization is that header of each request, such as "Basic …"; empty for none. It is a secret: see CheckAuthorization.
	Authorization string
	Transport     http.RoundTripper // carries requests one by one, as tests want it; nil for a pipelined connection to each host
	Ledger        *glue.Ledger      // nil for one of its own
	Log           zerolog.Logger
}

// Publisher publishes to push hosts.
type Publisher struct {
	backlog
	module   Module
	policy   Policy
	deadline time.Duration

	start, closing sync.Once
	stop           context.CancelFunc // ends the lanes
	begun          context.Context    // until stop
	lanes          sync.WaitGroup
}

var _ glue.Publisher = (*Publisher)(nil)

// New returns a Publisher, which connects to nothing before it publishes. The caller closes it.
func New(c Config) (*Publisher, error) {
	if len(c.Hosts) == 0 {
		return nil, errors.New("no push hosts; name the base URL of at least one, such as http://127.0.0.1:9080")
	}
	c = c.withDefaults()
	bases, err := parseBases(c.Hosts)
	if err != nil {
		return nil, err
	}
	if c.SkipEmpty {
		if err := CheckSkipEmpty(c.Module); err != nil {
			return nil, err
		}
	}
	if err := c.Policy.check(len(bases)); err != nil {
		return nil, err
	}
	if err := CheckAuthorization(c.Authorization); err != nil {
		return nil, err
	}
	c.Transport = authorize(c.Transport, c.Authorization)
	p := &Publisher{module: c.Module, policy: c.Policy, deadline: c.Deadline}
	p.init(c.Recent, c.Ledger)
	p.begun, p.stop = context.WithCancel(context.Background())
	for n, base := range bases {
		h := newHost(base, n, &p.backlog, c)
		p.hosts = append(p.hosts, h)
		c.Ledger.AddHost(glue.HostSums{Name: h.name})
	}
	return p, nil
}

func (c Config) withDefaults() Config {
	if c.Timeout == 0 {
		c.Timeout = 5 * time.Second
	}
	if c.Deadline == 0 {
		c.Deadline = time.Second
	}
	if c.Recent.Time == 0 {
		c.Recent = DefaultRecent()
	}
	if c.Ledger == nil {
		c.Ledger = new(glue.Ledger)
	}
	return c
}

// CheckHosts returns an error if New would refuse one of these base URLs. It tells no credentials.
func CheckHosts(bases []string) error {
	_, err := parseBases(bases)
	return err
}

func parseBases(bases []string) ([]*url.URL, error) {
	var urls []*url.URL
	for i, base := range bases {
		u, err := parseBase(base)
		if err == nil && slices.ContainsFunc(urls, func(other *url.URL) bool { return other.Host+other.Path == u.Host+u.Path }) {
			err = fmt.Errorf("%s is named twice", u.Host+u.Path)
		}
		if err != nil {
			return nil, fmt.Errorf("push host %d of %d: %w", i+1, len(bases), err)
		}
		urls = append(urls, u)
	}
	return urls, nil
}

// parseBase never quotes what can have credentials in it.
func parseBase(base string) (*url.URL, error) {
	u, err := url.Parse(strings.TrimSpace(base))
	switch {
	case err != nil, u.User == nil && strings.Contains(base, "@"):
		return nil, errors.New("it is no URL; want a base URL such as http://10.0.0.1:9080")
	case u.User != nil:
		return nil, fmt.Errorf("%s: credentials do not belong into its URL", u.Host)
	case u.Host == "" && u.RawQuery+u.Fragment != "":
		return nil, errors.New("want a base URL such as http://10.0.0.1:9080, without query")
	case u.RawQuery != "" || u.Fragment != "":
		return nil, fmt.Errorf("%s: want a base URL without query, such as http://10.0.0.1:9080", u.Host)
	case u.Scheme != "http" && u.Scheme != "https", u.Host == "":
		return nil, fmt.Errorf("%q: want a base URL such as http://10.0.0.1:9080", base)
	}
	u.Path = strings.TrimSuffix(u.Path, "/")
	return u, nil
}

// NeedsChannels tells the pipelines file's reader that messages need channels to come here.
func (p *Publisher) NeedsChannels() {}

// Publish implements glue.Publisher.
func (p *Publisher) Publish(ctx context.Context, messages []*glue.Message, outcomes []error) {
	p.start.Do(p.run)
	b := p.newBatch(messages)
	handed := p.hand(b, outcomes)
	if handed {
		p.await(ctx, b)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	b.open = false
	for i := range b.requests {
		outcomes[i] = p.outcome(b, i, ctx.Err())
		switch {
		case handed:
			p.conclude(place{b, i}, outcomes[i])
		case outcomes[i] == nil: // a host has it from before; those that lack it would never get it
			outcomes[i] = p.partial(&b.requests[i], errDown)
		}
		if receipt := messages[i].Receipt; receipt != nil {
			receipt.Hosts = count(b.requests[i].has)
		}
	}
}

// run starts the lanes.
func (p *Publisher) run() {
	for _, h := range p.hosts {
		p.lanes.Go(func() { h.run(p.begun) })
		p.lanes.Go(func() { h.watch(p.begun) })
	}
}

// hand appends b to the backlog, unless too few hosts can take it now. earlier are the messages' outcomes so far.
func (p *Publisher) hand(b *batch, earlier []error) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range b.requests {
		var partial *partialError
		if errors.As(earlier[i], &partial) {
			p.have(partial, b.requests[i].has)
		}
		b.expect(i)
	}
	if !p.choose(b, p.policy.least()) {
		return false
	}
	p.add(b)
	return true
}

// await waits until b is settled or ctx is done.
func (p *Publisher) await(ctx context.Context, b *batch) {
	deadline := time.NewTimer(p.deadline)
	defer deadline.Stop()
	for late := false; !p.settled(b, late); {
		select {
		case <-b.changed:
		case <-deadline.C:
			late = true
		case <-ctx.Done():
			p.abandon(b)
			return
		}
	}
}

// abandon ends what is under way with b, and returns when it is known what the hosts have of it.
func (p *Publisher) abandon(b *batch) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range b.requests {
		if r := &b.requests[i]; r.err == nil {
			r.err = errVoid
		}
	}
	for n, h := range p.hosts {
		if !b.awaited[n] || b.missing[n] == 0 || !h.busy {
			continue
		}
		h.interrupt()
		for round := h.round; h.busy && h.round == round; {
			p.moved.Wait()
		}
	}
}

// settled reports whether nothing is to be waited for: all hosts that b waits for have answered; or as many
// as the policy asks for have all of b; or, when it is late, enough have it, and then the others fall behind.
func (p *Publisher) settled(b *batch, late bool) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	done := 0
	var waiting []*host
	for n, h := range p.hosts {
		switch {
		case b.awaited[n] && b.missing[n] > 0:
			waiting = append(waiting, h)
		case b.awaited[n]:
			done++
		}
	}
	if len(waiting) == 0 || p.policy != All && p.isEverywhere(b) {
		return true
	}
	if !late || done < p.policy.least() && !p.isEverywhere(b) {
		return false
	}
	for _, h := range waiting {
		h.fallBehind()
	}
	return true
}

// isEverywhere reports whether as many hosts as the policy asks for have all of b.
func (p *Publisher) isEverywhere(b *batch) bool {
	for i := range b.requests {
		if r := &b.requests[i]; r.err == nil && count(r.has) < p.policy.least() {
			return false
		}
	}
	return true
}

func count(has []bool) (n int) {
	for _, has := range has {
		if has {
			n++
		}
	}
	return n
}

// together calls do for each number under n, all at once. One of them takes no goroutine of its own: there is
// mostly one.
func together(n int, do func(int)) {
	var wg sync.WaitGroup
	for i := range n - 1 {
		wg.Go(func() { do(i) })
	}
	do(n - 1)
	wg.Wait()
}

// Ping asks every host whether it is well and returns what each one says, by its name.
func (p *Publisher) Ping(ctx context.Context) map[string]error {
	health := map[string]error{}
	for _, h := range p.hosts {
		health[h.name] = h.look(ctx)
	}
	return health
}

// Skips asks every host whether messages that nobody listens to are skipped on it, and returns why not,
// by the host's name; nothing without Config.SkipEmpty.
func (p *Publisher) Skips(ctx context.Context) map[string]error {
	skips := map[string]error{}
	for _, h := range p.hosts {
		if h.audience != nil {
			skips[h.name] = h.audience.check(ctx)
		}
	}
	return skips
}

// Flush waits until every host that is not down has all that was published, or ctx is done.
func (p *Publisher) Flush(ctx context.Context) error {
	defer context.AfterFunc(ctx, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.moved.Broadcast()
	})()
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		i := slices.IndexFunc(p.hosts, func(h *host) bool { return h.isBusy() })
		if i < 0 {
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("push host %s lacks messages still: %w", p.hosts[i].name, ctx.Err())
		}
		p.moved.Wait()
	}
}

// Close ends the lanes and closes the connections. What hosts lack they do not get any more.
func (p *Publisher) Close() { p.closing.Do(p.close) }

func (p *Publisher) close() {
	p.stop()
	p.lanes.Wait()
	for _, h := range p.hosts {
		h.close()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, h := range p.hosts {
		h.missAll()
	}
}

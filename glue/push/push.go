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
	"slices"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"pushglue/glue"
)

// Config is what a Publisher is made of.
type Config struct {
	Hosts       []string      // base URLs of the publish side, such as http://10.0.0.1:9080; SetHosts names others later
	Waits       bool          // there may be no hosts at first, and messages wait until SetHosts names some
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
	config   Config // of hosts that come later
	module   Module
	policy   Policy
	deadline time.Duration

	closing  sync.Once
	changing sync.Mutex         // the hosts change; not to be locked with backlog.mu held
	stop     context.CancelFunc // ends the lanes
	begun    context.Context    // until stop
	started  bool               // the lanes run; guarded by backlog.mu
	lanes    sync.WaitGroup
}

var _ glue.Publisher = (*Publisher)(nil)

// New returns a Publisher, which connects to nothing before it publishes. The caller closes it.
func New(c Config) (*Publisher, error) {
	c = c.withDefaults()
	sites, err := parseTargets(Targets(c.Hosts...))
	if err != nil {
		return nil, err
	}
	if c.SkipEmpty {
		if err := CheckSkipEmpty(c.Module); err != nil {
			return nil, err
		}
	}
	if !c.Waits || len(sites) > 0 {
		if err := checkNumber(len(sites), c.Policy); err != nil {
			return nil, err
		}
	}
	if err := CheckAuthorization(c.Authorization); err != nil {
		return nil, err
	}
	c.Transport = authorize(c.Transport, c.Authorization)
	p := &Publisher{config: c, module: c.Module, policy: c.Policy, deadline: c.Deadline}
	p.init(c.Recent, c.Ledger)
	p.begun, p.stop = context.WithCancel(context.Background())
	for _, s := range sites {
		p.enter(s)
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

// NeedsChannels tells the pipelines file's reader that messages need channels to come here.
func (p *Publisher) NeedsChannels() {}

// Publish implements glue.Publisher.
func (p *Publisher) Publish(ctx context.Context, messages []*glue.Message, outcomes []error) {
	b := p.newBatch(messages)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.run()
	handed := p.hand(b, outcomes)
	if handed {
		p.mu.Unlock()
		p.await(ctx, b)
		p.mu.Lock()
	}
	b.open = false
	defer p.part()
	for i := range b.requests {
		outcomes[i] = p.outcome(b, i, ctx.Err())
		switch {
		case handed:
			p.conclude(place{b, i}, outcomes[i])
		case outcomes[i] == nil: // a host has it from before; those that lack it would never get it
			outcomes[i] = p.partial(&b.requests[i], errDown)
		}
		if receipt := messages[i].Receipt; receipt != nil {
			receipt.Hosts = p.count(b.requests[i].has)
			receipt.Answers = p.answers(b, i)
		}
	}
}

// run starts the lanes, if they do not run. The caller holds p.mu.
func (p *Publisher) run() {
	if p.started || p.begun.Err() != nil {
		return
	}
	p.started = true
	for _, h := range p.hosts {
		p.runLane(h)
	}
}

func (p *Publisher) runLane(h *host) {
	for _, do := range []func(){func() { h.run(p.begun) }, func() { h.watch(h.staying) }} {
		p.lanes.Add(1)
		h.lane.Go(func() { defer p.lanes.Done(); do() })
	}
}

// hand appends b to the backlog, unless too few hosts can take it now. earlier are the messages' outcomes so far.
// The caller holds p.mu.
func (p *Publisher) hand(b *batch, earlier []error) bool {
	b.makeRoom(p.slots)
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
	for _, h := range p.hosts {
		if !b.isAwaiting(h) || !h.busy {
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
	for _, h := range p.hosts {
		switch {
		case b.isAwaiting(h):
			waiting = append(waiting, h)
		case b.awaited[h.number]:
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
		for _, other := range p.from(h.at.batch) {
			if other.open && !p.needs(other, h) {
				other.leave(h.number)
			}
		}
	}
	p.moved.Broadcast()
	return true
}

// needs reports whether too few would be left that b waits for if it did not wait for h.
func (p *Publisher) needs(b *batch, h *host) bool {
	others := 0
	for _, other := range p.hosts {
		if other != h && b.awaited[other.number] {
			others++
		}
	}
	return others < p.policy.least() && !p.isEverywhere(b)
}

// isEverywhere reports whether as many hosts as the policy asks for have all of b.
func (p *Publisher) isEverywhere(b *batch) bool {
	for i := range b.requests {
		if r := &b.requests[i]; r.err == nil && p.count(r.has) < p.policy.least() {
			return false
		}
	}
	return true
}

// count returns how many hosts have a message. One that was removed counts no more.
func (p *Publisher) count(has []bool) (n int) {
	for _, h := range p.hosts {
		if has[h.number] {
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
	for _, h := range p.present() {
		health[h.name] = h.look(ctx)
	}
	return health
}

// Skips asks every host whether messages that nobody listens to are skipped on it, and returns why not,
// by the host's name; nothing without Config.SkipEmpty.
func (p *Publisher) Skips(ctx context.Context) map[string]error {
	skips := map[string]error{}
	for _, h := range p.present() {
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
	p.mu.Lock()
	p.stop() // with the lock, for no lane begins after that
	p.mu.Unlock()
	p.changing.Lock()
	defer p.changing.Unlock()
	p.lanes.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, h := range p.hosts {
		h.close()
		h.missAll(p.end(), errClosed)
	}
}

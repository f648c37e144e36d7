// Package push publishes messages to push hosts: nginx with push-stream or Nchan.
//
// A message goes to every push host that is up, in one POST for all its channels, in order. A
// host that cannot be reached, or fails again and again, is down: from then on messages do not
// wait for it, and it is asked once a second whether it is back. When all hosts are down nothing
// is published and messages wait in order.
//
// Each host has one connection (pipe.go), or a few if there is more to publish than one worker of nginx
// takes; then the first channel of a message decides which one it takes. On a connection requests are written ahead of the answers to
// those before them: up to 256, with one system call. Answers come in the same order. What is
// unanswered when the connection ends goes over the next one, in order. After a refusal or a
// connection that broke, requests go one by one, and then by more again.
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
	Hosts       []string          // base URLs of the publish side, such as http://10.0.0.1:9080
	Module      Module            // what the hosts run
	Timeout     time.Duration     // for a connection, and for each answer; default 5s
	Connections int               // to each host; default 1. With more, only messages with the same first channel keep their order.
	SkipEmpty   bool              // send a host nothing that nobody listens to there; see CheckSkipEmpty
	TLS         *tls.Config       // for https; nil for the system's authorities
	Transport   http.RoundTripper // carries requests one by one, as tests want it; nil for a pipelined connection to each host
	Ledger      *glue.Ledger      // nil for one of its own
	Log         zerolog.Logger
}

// Publisher publishes to push hosts.
type Publisher struct {
	hosts  []*host
	module Module
	stop   context.CancelFunc // ends what hosts do beside messages
}

var _ glue.Publisher = (*Publisher)(nil)

// New returns a Publisher, and connects to nothing. The caller closes it.
func New(c Config) (*Publisher, error) {
	if len(c.Hosts) == 0 {
		return nil, errors.New("no push hosts; name the base URL of at least one, such as http://127.0.0.1:9080")
	}
	if c.Timeout == 0 {
		c.Timeout = 5 * time.Second
	}
	if c.Ledger == nil {
		c.Ledger = new(glue.Ledger)
	}
	bases, err := parseBases(c.Hosts)
	if err != nil {
		return nil, err
	}
	if c.SkipEmpty {
		if err := CheckSkipEmpty(c.Module); err != nil {
			return nil, err
		}
	}
	stopping, stop := context.WithCancel(context.Background())
	p := &Publisher{module: c.Module, stop: stop}
	for _, base := range bases {
		h := newHost(stopping, base, c)
		p.hosts = append(p.hosts, h)
		c.Ledger.AddHost(glue.HostSums{Name: h.name})
	}
	return p, nil
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
	case u.Scheme != "http" && u.Scheme != "https", u.Host == "":
		return nil, fmt.Errorf("%q: want a base URL such as http://10.0.0.1:9080", base)
	case u.RawQuery != "" || u.Fragment != "":
		return nil, fmt.Errorf("%s: want a base URL without query, such as http://10.0.0.1:9080", u.Host)
	}
	u.Path = strings.TrimSuffix(u.Path, "/")
	return u, nil
}

// NeedsChannels tells the pipelines file's reader that messages need channels to come here.
func (p *Publisher) NeedsChannels() {}

// Publish implements glue.Publisher.
func (p *Publisher) Publish(ctx context.Context, batch []*glue.Message, outcomes []error) {
	requests := p.requests(batch, outcomes)
	defer requests.release()
	answers := make([][]error, len(p.hosts))
	together(len(p.hosts), func(n int) {
		answers[n] = make([]error, len(batch))
		p.hosts[n].publish(ctx, requests.list, n, answers[n])
	})
	for i := range batch {
		outcomes[i] = p.outcome(&requests.list[i], answers, i)
	}
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

// outcome folds the hosts' answers for message i. A message is published when all hosts that
// are up have it, and there is one.
func (p *Publisher) outcome(r *request, answers [][]error, i int) error {
	if r.err != nil {
		return r.err
	}
	var permanent, temporary, down error
	accepted := false
	for n, h := range p.hosts {
		err := answers[n][i]
		switch {
		case r.has[n] || err == nil:
			r.has[n], accepted = true, true
		case errors.Is(err, glue.ErrUnavailable):
			down = glue.AtHost(h.name, err)
		case glue.IsPermanent(err):
			permanent = glue.AtHost(h.name, err)
		default:
			temporary = glue.AtHost(h.name, err)
		}
	}
	switch {
	case permanent != nil:
		return permanent
	case temporary != nil:
		return &partialError{has: slices.Clone(r.has), err: temporary}
	case accepted:
		return nil
	}
	return down
}

// partialError is the outcome of a message that a host refused for now; has tells which hosts
// have it, so that the next attempt leaves them out.
type partialError struct {
	has []bool
	err error
}

func (e *partialError) Error() string { return e.err.Error() }
func (e *partialError) Unwrap() error { return e.err }

// Ping asks every host whether it is well and returns what each one says, by its name.
func (p *Publisher) Ping(ctx context.Context) map[string]error {
	health := map[string]error{}
	for _, h := range p.hosts {
		health[h.name] = h.ping(ctx)
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

// Close ends what p does beside Publish, and closes its connections.
func (p *Publisher) Close() {
	p.stop()
	for _, h := range p.hosts {
		h.close()
	}
}

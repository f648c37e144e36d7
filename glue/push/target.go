package push

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Target is where a push host is.
type Target struct {
	URL        string // base URL of the publish side, such as http://10.0.0.1:9080
	ServerName string // whom its certificate must be for; empty for the host in URL
}

// Targets returns the targets at these URLs.
func Targets(urls ...string) []Target {
	targets := make([]Target, len(urls))
	for i, u := range urls {
		targets[i].URL = u
	}
	return targets
}

// site is a Target that was parsed.
type site struct {
	base       *url.URL
	serverName string
}

// name is what a host is called, in the ledger, in the log and by operators.
func (s site) name() string { return s.base.Host + s.base.Path }

// is reports whether both are the same host, reached in the same way.
func (s site) is(other site) bool {
	return s.base.String() == other.base.String() && s.serverName == other.serverName
}

// config returns a TLS configuration for the site alone.
func (s site) config(c *tls.Config) *tls.Config {
	if s.serverName == "" {
		return c
	}
	own := &tls.Config{MinVersion: tls.VersionTLS12}
	if c != nil {
		own = c.Clone()
	}
	own.ServerName = s.serverName
	return own
}

// checkNumber returns an error if so few hosts can never be enough.
func checkNumber(hosts int, policy Policy) error {
	if hosts == 0 {
		return errors.New("no push hosts; name the base URL of at least one, such as http://127.0.0.1:9080")
	}
	return policy.check(hosts)
}

func parseTargets(targets []Target) ([]site, error) {
	var sites []site
	for i, t := range targets {
		base, err := parseBase(t.URL)
		s := site{base, t.ServerName}
		if err == nil && slices.ContainsFunc(sites, func(other site) bool { return other.name() == s.name() }) {
			err = fmt.Errorf("%s is named twice", s.name())
		}
		if err != nil {
			return nil, fmt.Errorf("push host %d of %d: %w", i+1, len(targets), err)
		}
		sites = append(sites, s)
	}
	return sites, nil
}

func isPort(text string) bool {
	n, err := strconv.ParseUint(text, 10, 16)
	return err == nil && n > 0
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
	case u.Port() != "" && !isPort(u.Port()):
		return nil, fmt.Errorf("%s: a port is a number from 1 to 65535", u.Host)
	}
	u.Path = strings.TrimSuffix(u.Path, "/")
	return u, nil
}

package push_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"pushglue/glue/push"
)

// names is a DNS that answers as it is told.
type names struct {
	mu sync.Mutex
	of map[string][]string
}

func (n *names) set(name string, addresses ...string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.of == nil {
		n.of = map[string][]string{}
	}
	n.of[name] = addresses
}

func (n *names) lookup(_ context.Context, name string) ([]netip.Addr, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.of[name] == nil {
		return nil, errors.New("no such host, said 127.0.0.1:" + time.Now().String())
	}
	var addresses []netip.Addr
	for _, a := range n.of[name] {
		addresses = append(addresses, netip.MustParseAddr(a))
	}
	return addresses, nil
}

// following is a Discovery that is followed.
type following struct {
	t   *testing.T
	log lockedBuffer

	mu   sync.Mutex
	sets [][]string // what was handed on
	err  error      // what the receiver says
}

// refuse has the receiver say this.
func (f *following) refuse(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err = err
}

// handed returns what was handed on so far.
func (f *following) handed() [][]string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.sets)
}

func follow(t *testing.T, d *push.Discovery) *following {
	t.Helper()
	f := &following{t: t}
	d.Log = zerolog.New(&f.log)
	set := func(targets []push.Target) error {
		var urls []string
		for _, target := range targets {
			urls = append(urls, strings.TrimSuffix(target.URL+" "+target.ServerName, " "))
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		f.sets = append(f.sets, urls)
		return f.err
	}
	if err := d.Begin(t.Context(), set); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { d.Follow(ctx, set); close(ended) }()
	t.Cleanup(func() { cancel(); <-ended })
	return f
}

// want wants that the hosts were handed on so often, and which the last time.
func (f *following) want(times int, urls ...string) {
	f.t.Helper()
	synctest.Wait()
	if sets := f.handed(); len(sets) != times || times > 0 && !slices.Equal(sets[times-1], urls) {
		f.t.Errorf("got %q, want %d, at last %q", sets, times, urls)
	}
}

func (f *following) wantLogged(times int, text string) {
	f.t.Helper()
	if n := strings.Count(f.log.String(), text); n != times {
		f.t.Errorf("the log has %q %d times, want %d: %s", text, n, times, f.log.String())
	}
}

func TestHostsByName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var dns names
		dns.set("push", "10.0.0.2", "::ffff:10.0.0.1", "fd00::1")
		f := follow(t, &push.Discovery{Hosts: []string{"http://10.0.0.2:9080", "dns+http://push:9080", "dns+https://secure/base"}, Lookup: dns.lookup})
		f.want(1, "http://10.0.0.2:9080", "http://10.0.0.1:9080", "http://[fd00::1]:9080")
		f.wantLogged(1, "its hosts get nothing until it has one")
		dns.set("secure", "fd00::2", "10.0.0.3")
		time.Sleep(11 * time.Second)
		f.want(2, "http://10.0.0.2:9080", "http://10.0.0.1:9080", "http://[fd00::1]:9080", "https://10.0.0.3/base secure", "https://[fd00::2]/base secure")
		f.wantLogged(1, "good again")
		second := f.handed()[1]
		dns.set("secure")
		dns.set("push", []string{}...)
		time.Sleep(time.Minute)
		f.want(2, second...)
		f.wantLogged(2, "those from before stay")
		dns.set("push", "10.0.0.9")
		time.Sleep(11 * time.Second)
		f.want(3, "http://10.0.0.2:9080", "http://10.0.0.9:9080", "https://10.0.0.3/base secure", "https://[fd00::2]/base secure")
	})
}

// TestNoNameHasAnAddress at first: it is tried again.
func TestNoNameHasAnAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var dns names
		d := &push.Discovery{Hosts: []string{"dns+http://push:9080"}, Lookup: dns.lookup, Every: 2 * time.Second}
		if hosts, err := d.Find(t.Context()); err == nil || !strings.Contains(err.Error(), "dns name push: no such host") || hosts != nil {
			t.Errorf("found %q, %v", hosts, err)
		}
		f := follow(t, d)
		time.Sleep(time.Minute)
		f.want(0)
		dns.set("push", "10.0.0.1")
		time.Sleep(3 * time.Second)
		f.want(1, "http://10.0.0.1:9080")
	})
}

// TestHostsThatAreRefused are handed on again and again, and the log says so once.
func TestHostsThatAreRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var dns names
		dns.set("push", "10.0.0.1")
		d := &push.Discovery{Hosts: []string{"dns+http://push:9080"}, Lookup: dns.lookup}
		f := follow(t, d)
		f.refuse(errors.New("too few"))
		dns.set("push", "10.0.0.2")
		time.Sleep(time.Minute)
		f.wantLogged(1, "too few")
		f.refuse(nil)
		time.Sleep(2 * time.Second)
		n := len(f.handed())
		time.Sleep(time.Minute)
		f.want(n, "http://10.0.0.2:9080")
	})
}

func TestHostsByFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "hosts")
		write := func(text string) {
			t.Helper()
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		write("# the hosts\n\nhttp://one:9080\t# first\r\n  http://two:9080/")
		f := follow(t, &push.Discovery{File: path})
		f.want(1, "http://one:9080", "http://two:9080")
		first := f.handed()[0]
		write("http://one:9080\nhttp://three:9080\n")
		time.Sleep(1500 * time.Millisecond)
		f.want(1, first...) // it may be written still
		time.Sleep(time.Second)
		f.want(2, "http://one:9080", "http://three:9080")
		second := f.handed()[1]

		write("http://one:9080\nhttp://four:9080?secret=1\n")
		time.Sleep(time.Minute)
		f.want(2, second...)
		f.wantLogged(1, "line 2: four:9080: want a base URL without query")
		f.wantLogged(0, "secret")
		write("")
		time.Sleep(time.Minute)
		f.wantLogged(1, "it names no push host")
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		f.wantLogged(1, "no such file")
		f.want(2, second...)

		// As Kubernetes does it: a link is renamed.
		other := path + "-other"
		if err := os.WriteFile(other, []byte("http://five:9080\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(os.Symlink(other, path+"-link"), os.Rename(path+"-link", path)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Second)
		f.want(3, "http://five:9080")
		f.wantLogged(1, "good again")
	})
}

func TestDiscoveryRefuses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "hosts")
	if err := os.WriteFile(path, []byte("http://one\n\n# two\nhttp://user:pass@two\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		d    push.Discovery
		want string
	}{
		{push.Discovery{Hosts: []string{"http://one", "dns+ftp://two"}}, "push host 2 of 2"},
		{push.Discovery{Hosts: []string{"dns+http://10.0.0.1:9080"}}, "10.0.0.1:9080 is an address"},
		{push.Discovery{Hosts: []string{"dns+http://a", "dns+https://a"}}, "a is named twice"},
		{push.Discovery{File: path}, "line 4: two: credentials"},
		{push.Discovery{File: path + "-none"}, "no such file"},
	} {
		for what, err := range map[string]error{"Check": test.d.Check(), "Begin": test.d.Begin(t.Context(), nil)} {
			if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "pass") {
				t.Errorf("%s: got %v, want %q", what, err, test.want)
			}
		}
	}
}

// TestTheCertificateIsForTheName by which a host was found, not for its address.
func TestTheCertificateIsForTheName(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	authorities := x509.NewCertPool()
	authorities.AddCert(server.Certificate())
	for name, isRight := range map[string]bool{"example.com": true, "example.org": false} {
		p, err := push.New(push.Config{Waits: true, Module: push.Nchan, TLS: &tls.Config{RootCAs: authorities, MinVersion: tls.VersionTLS12}, Deadline: time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		if err := p.SetHosts([]push.Target{{URL: server.URL, ServerName: name}}); err != nil {
			t.Fatal(err)
		}
		outcomes := make([]error, 1)
		p.Publish(t.Context(), messages("1"), outcomes)
		if (outcomes[0] == nil) != isRight {
			t.Errorf("%s: a message: %v", name, outcomes[0])
		}
		for _, err := range p.Ping(t.Context()) {
			if (err == nil) != isRight {
				t.Errorf("%s: its health: %v", name, err)
			}
		}
		p.Close()
	}
}

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"pushglue/glue/eventstream"
	"pushglue/glue/gluetest/service"
	"pushglue/glue/push"
)

// listener is a reader of channel a on a push host.
type listener struct {
	*eventstream.Subscription
	mu  sync.Mutex
	got []string
}

func listen(t *testing.T, host *service.Nginx) *listener {
	t.Helper()
	s, err := eventstream.Subscribe(t.Context(), host.PublicURL()+"/subscribe/a", "")
	if err != nil {
		t.Fatal(err)
	}
	l := &listener{Subscription: s}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			event, err := s.Next()
			if err != nil {
				return
			}
			l.mu.Lock()
			l.got = append(l.got, event.Data)
			l.mu.Unlock()
		}
	}()
	t.Cleanup(func() { s.Close(); <-ended })
	return l
}

func (l *listener) has(payloads ...string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Equal(l.got, payloads)
}

// fleet is a daemon that finds its push hosts in the file "hosts".
type fleet struct {
	t      *testing.T
	store  *service.Redis
	daemon *service.Daemon
	addr   string
}

func startFleet(t *testing.T, settings ...string) *fleet {
	t.Helper()
	f := &fleet{t: t, store: service.StartRedis(t), addr: nobody(t)}
	settings = append(settings, "REDIS_URL="+f.store.URL(), "PUSH_HOSTS_FILE=hosts", "HTTP_ADDR="+f.addr)
	f.daemon = startDaemon(t, settings...)
	return f
}

// writeHosts puts another file in the place of the one with the hosts.
func writeHosts(t *testing.T, urls ...string) {
	t.Helper()
	if err := os.WriteFile("hosts.new", []byte("# push hosts\n"+strings.Join(urls, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename("hosts.new", "hosts"); err != nil {
		t.Fatal(err)
	}
}

func (f *fleet) put(n int) string {
	f.t.Helper()
	payload := fmt.Sprintf(`{"id":%d}`, n)
	putOn(f.t, f.store, payload)
	return payload
}

// hosts runs pushglue hosts with these arguments.
func (f *fleet) hosts(args ...string) map[string]push.HostReport {
	f.t.Helper()
	code, out, errs := command(f.t, "", environment("HTTP_ADDR="+f.addr), append([]string{"hosts", "--json"}, args...)...)
	var report hostsReport
	if code != 0 || json.Unmarshal([]byte(out), &report) != nil {
		f.t.Fatalf("hosts %q: exit code %d\n%s%s", args, code, out, errs)
	}
	byName := map[string]push.HostReport{}
	for _, h := range report.Hosts {
		byName["http://"+h.Name] = h
	}
	return byName
}

// TestPushHostsComeAndGo: one is added to the file, drained, taken out, put back and restarted, and removed from the file. Readers miss nothing.
func TestPushHostsComeAndGo(t *testing.T) {
	for _, module := range []string{service.Nchan, service.PushStream} {
		t.Run(module, func(t *testing.T) {
			one, two := service.StartNginx(t, module), service.StartNginx(t, module)
			a, b := one.InternalURL(), two.InternalURL()
			workdir(t, goodPipelines)
			writeHosts(t, a)
			f := startFleet(t, "PUSH_MODULE="+module, "REPLAY_TIME=5m")
			atOne, atTwo := listen(t, one), listen(t, two)
			var all []string
			put := func() { t.Helper(); all = append(all, f.put(len(all))) }
			put()
			eventually(t, "the first message", func() bool { return atOne.has(all...) })

			writeHosts(t, a, b)
			eventually(t, "a host that is new has what was published of late", func() bool { return atTwo.has(all...) })
			eventually(t, "it is up", func() bool { h := f.hosts()[b]; return h.State == "up" && h.Ready && h.Readers == 1 && h.Channels >= 1 })

			f.hosts("drain", a)
			put()
			eventually(t, "hosts that drain get messages", func() bool { return atOne.has(all...) && atTwo.has(all...) })
			f.hosts("out", strings.TrimPrefix(a, "http://"))
			put()
			eventually(t, "the other one gets messages", func() bool { return atTwo.has(all...) })
			if h := f.hosts()[a]; h.Role != push.Out || h.State != "down" || h.Due != 1 || !h.Ready || !atOne.has(all[:2]...) {
				t.Errorf("a host that is out: %+v", h)
			}
			f.hosts("in", a+"/")
			eventually(t, "it gets what it missed", func() bool { return atOne.has(all...) })
			eventually(t, "it is up", func() bool { return f.hosts()[a].State == "up" })

			f.hosts("out", b)
			two.Stop()
			put()
			eventually(t, "the first one gets messages", func() bool { return atOne.has(all...) })
			if h := f.hosts()[b]; h.Ready || h.NotReady == "" {
				t.Errorf("a host that is stopped: %+v", h)
			}
			two.Start()
			again := listen(t, two)
			f.hosts("in", b)
			eventually(t, "a host that was restarted has what was published of late", func() bool { return again.has(all...) })
			put()
			eventually(t, "both get messages", func() bool { return atOne.has(all...) && again.has(all...) })

			writeHosts(t, b)
			eventually(t, "there is one host", func() bool { return len(f.hosts()) == 1 })
			put()
			eventually(t, "the other one gets messages", func() bool { return again.has(all...) })
			if !atOne.has(all[:len(all)-1]...) {
				t.Error("a host that was removed got a message, or one twice")
			}
			if log := f.daemon.Log(); strings.Contains(log, `"level":"error"`) {
				t.Errorf("the log alarms: %s", log)
			}
			f.daemon.Stop()
		})
	}
}

// TestPushHostsByName lets the daemon find this machine by its name.
func TestPushHostsByName(t *testing.T) {
	host := service.StartNginx(t, service.Nchan)
	store := service.StartRedis(t)
	workdir(t, goodPipelines)
	port := host.InternalURL()[strings.LastIndex(host.InternalURL(), ":"):]
	settings := []string{"REDIS_URL=" + store.URL(), "PUSH_POLICY=any", "PUSH_HOSTS=dns+http://localhost" + port}
	_, out, errs := invoke(t, "", environment(settings...), "check", "--connect")
	if !strings.Contains(out, "push host 127.0.0.1"+port+" answers\n") {
		t.Errorf("%s%s", out, errs)
	}
	reader := listen(t, host)
	startDaemon(t, settings...)
	putOn(t, store, `{"id":1}`)
	eventually(t, "the message", func() bool { return reader.has(`{"id":1}`) })
}

// TestPushHostsThatAreNotThere: check says so, and the daemon waits for them.
func TestPushHostsThatAreNotThere(t *testing.T) {
	store := service.StartRedis(t)
	workdir(t, goodPipelines)
	settings := []string{"REDIS_URL=" + store.URL(), "PUSH_HOSTS=dns+http://push.invalid:9080"}
	if code, _, errs := invoke(t, "", environment(settings...), "check"); code != 0 {
		t.Errorf("check asks for names: %s", errs)
	}
	code, _, errs := invoke(t, "", environment(settings...), "check", "--connect")
	if code != 1 || !strings.Contains(errs, "dns name push.invalid: ") {
		t.Errorf("exit code %d: %s", code, errs)
	}
	daemon := startDaemon(t, settings...)
	feed := putOn(t, store, `{"id":1}`)
	awaitLog(t, daemon, "there are no push hosts yet: messages wait")
	awaitLog(t, daemon, "its hosts get nothing until it has one")
	daemon.Stop()
	if counts, err := feed.Counts(t.Context()); err != nil || counts.Queued != 1 || counts.Stalled != 0 {
		t.Errorf("the feed holds %+v, %v", counts, err)
	}
}

func TestHostsUsage(t *testing.T) {
	addr := nobody(t)
	for args, want := range map[string]struct {
		code int
		text string
	}{
		"hosts":                      {1, "pushglue: no daemon answers at " + addr + ": "},
		"hosts out h":                {1, "pushglue: no daemon answers at " + addr + ": "},
		"hosts out":                  {2, "pushglue hosts out: HOST is missing"},
		"hosts out a b":              {2, `pushglue hosts out: takes HOST alone, and got "b" too`},
		"hosts dran":                 {2, `pushglue hosts: unknown command "dran"; did you mean drain?`},
		"hosts --addr nowhere":       {2, `pushglue hosts: --addr: "nowhere" is no address`},
		"hosts --addr 127.0.0.1:99x": {2, `pushglue hosts: --addr: "127.0.0.1:99x" is no address`},
	} {
		code, out, errs := invoke(t, "", environment("HTTP_ADDR="+addr), strings.Fields(args)...)
		if code != want.code || out != "" || !strings.HasPrefix(errs, want.text) {
			t.Errorf("%s: exit code %d\n%s%swant %d\n%s", args, code, out, errs, want.code, want.text)
		}
	}
	if code, _, errs := invoke(t, "", environment(), "hosts"); code != 1 || !strings.HasPrefix(errs, "pushglue: PUSHGLUE_HTTP_ADDR is empty") {
		t.Errorf("without an address: exit code %d: %s", code, errs)
	}
}

// TestHostsAreShown for people, by a daemon that has one host which is not there.
func TestHostsAreShown(t *testing.T) {
	workdir(t, goodPipelines)
	gone := nobody(t)
	writeHosts(t, "http://"+gone)
	f := startFleet(t)
	env := environment("HTTP_ADDR=" + f.addr)
	code, out, errs := invoke(t, "", env, "hosts", "out", gone)
	lines := strings.Split(out, "\n")
	if code != 0 || len(lines) != 4 || !strings.HasPrefix(lines[1], gone+"  down   out   ") || lines[2] != "warning: no push host is in service and up" {
		t.Errorf("exit code %d\n%s%s", code, out, errs)
	}
	code, _, errs = invoke(t, "", env, "hosts", "in", "elsewhere:9080")
	if want := `pushglue: there is no push host called "elsewhere:9080"; there are ` + gone + "\n"; code != 1 || errs != want {
		t.Errorf("exit code %d\n%swant\n%s", code, errs, want)
	}
}

// TestRolesAreChangedFromHere alone, and not by web pages.
func TestRolesAreChangedFromHere(t *testing.T) {
	p, err := push.New(push.Config{Hosts: []string{"http://" + nobody(t)}, Module: push.Nchan})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	name := p.Hosts()[0].Name
	h := newAnswers(t, "", p).handler()
	good := fmt.Sprintf(`{"host":%q,"role":"drain"}`, name)
	for what, test := range map[string]struct {
		method, host, from, kind, body string
		code                           int
		proxy                          string // who asks it
	}{
		"good":              {"POST", "127.0.0.1:9070", "127.0.0.1:1", "application/json; charset=utf-8", good, 200, ""},
		"good, by name":     {"POST", "localhost:9070", "[::1]:1", "application/json", good, 200, ""},
		"good, by its own":  {"POST", "glue1:9070", "192.0.2.7:1", "application/json", good, 200, ""},
		"a proxy":           {"POST", "127.0.0.1:9070", "127.0.0.1:1", "application/json", good, 403, "10.0.0.1"},
		"shown":             {"GET", "[::1]:9070", "10.0.0.1:1", "", "", 200, ""},
		"a form":            {"POST", "127.0.0.1:9070", "127.0.0.1:1", "text/plain", good, 415, ""},
		"no type":           {"POST", "127.0.0.1:9070", "127.0.0.1:1", "", good, 415, ""},
		"another name":      {"POST", "evil.example:9070", "127.0.0.1:1", "application/json", good, 421, ""},
		"shown to a name":   {"GET", "evil.example", "127.0.0.1:1", "", "", 421, ""},
		"from elsewhere":    {"POST", "10.0.0.2:9070", "10.0.0.1:1", "application/json", good, 403, ""},
		"no JSON":           {"POST", "127.0.0.1:9070", "127.0.0.1:1", "application/json", "host=x", 400, ""},
		"more JSON":         {"POST", "127.0.0.1:9070", "127.0.0.1:1", "application/json", good + good, 400, ""},
		"an unknown field":  {"POST", "127.0.0.1:9070", "127.0.0.1:1", "application/json", `{"host":"x","rule":"in"}`, 400, ""},
		"a wrong role":      {"POST", "127.0.0.1:9070", "127.0.0.1:1", "application/json", fmt.Sprintf(`{"host":%q,"role":"off"}`, name), 400, ""},
		"an unknown host":   {"POST", "127.0.0.1:9070", "127.0.0.1:1", "application/json", `{"host":"x","role":"in"}`, 404, ""},
		"a body of 1 MiB":   {"POST", "127.0.0.1:9070", "127.0.0.1:1", "application/json", `{"host":"` + strings.Repeat("x", 1<<20) + `"}`, 400, ""},
		"a wrong method":    {"PUT", "127.0.0.1:9070", "127.0.0.1:1", "application/json", good, 405, ""},
		"a browser's check": {"OPTIONS", "127.0.0.1:9070", "127.0.0.1:1", "", "", 405, ""},
	} {
		if err := p.SetRole(name, push.In); err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequest(test.method, "/hosts", strings.NewReader(test.body))
		r.Host, r.RemoteAddr = test.host, test.from
		r = r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, &net.TCPAddr{IP: net.IPv4(192, 0, 2, 7), Port: 9070}))
		if test.proxy != "" {
			r.Header.Set("X-Forwarded-For", test.proxy)
		}
		if test.kind != "" {
			r.Header.Set("Content-Type", test.kind)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		isChanged := p.Hosts()[0].Role != push.In
		if w.Code != test.code || isChanged != strings.HasPrefix(what, "good") || w.Header().Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s: %d %s; changed: %t", what, w.Code, w.Body, isChanged)
		}
		if w.Code != http.StatusMethodNotAllowed && !json.Valid(w.Body.Bytes()) {
			t.Errorf("%s: no JSON: %s", what, w.Body)
		}
	}
}

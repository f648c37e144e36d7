package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"pushglue/glue/eventstream"
	"pushglue/glue/gluetest/service"
	"pushglue/glue/tree"
)

// TestTailWatch tells a watch of two hosts what comes, and looks at the lines that it makes of it.
func TestTailWatch(t *testing.T) {
	start := time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)
	streams := []*tailStream{{host: "a", channel: "c"}, {host: "bb", channel: "c"}}
	w := newTailWatch(streams, 2*time.Second, tree.Path{"at"})
	hear := func(stream int, after time.Duration, event eventstream.Event) []tailLine {
		return w.hear(tailNews{stream: stream, at: start.Add(after), event: &event})
	}
	var got []string
	write := func(lines []tailLine) {
		for i := range lines {
			got = append(got, lines[i].String())
		}
	}
	long := strings.Repeat("x", 99) + "é and more"
	write(w.hear(tailNews{at: start, open: true}))
	write(hear(0, 0, eventstream.Event{ID: "0", Type: "message", Data: "before bb was there"}))
	write(w.hear(tailNews{stream: 1, at: start, open: true}))
	write(hear(0, 1, eventstream.Event{ID: "1", Type: "message", Data: "plain\x1b[31m"}))
	write(hear(1, 5*time.Millisecond, eventstream.Event{ID: "1", Type: "message", Data: "plain\x1b[31m"}))
	write(hear(1, 6*time.Millisecond, eventstream.Event{ID: "1", Type: "message", Data: "plain\x1b[31m"}))
	write(hear(0, 10*time.Millisecond, eventstream.Event{ID: "1764244800:0", Type: "e", Data: `{"id":7,"at":"2026-11-27T11:59:59Z"}`}))
	write(hear(1, 11*time.Millisecond, eventstream.Event{ID: "1764244801:3", Type: "e", Data: `{"id":7,"at":1795780799}`}))
	write(hear(0, 20*time.Millisecond, eventstream.Event{ID: "9", Type: "coalesced", Data: `[{"id":"8","data":{"a":1}},{"id":"9","type":"e","data":"` + long + `"}]`}))
	write(w.look(start.Add(2 * time.Second)))
	write(w.look(start.Add(2*time.Second + 20*time.Millisecond)))
	write(w.look(start.Add(3 * time.Second)))
	write(hear(1, 3*time.Second, eventstream.Event{ID: "8", Type: "message", Data: `{"a":1}`}))
	write(w.hear(tailNews{stream: 1, at: start, ended: errors.New("cut"), again: time.Second}))
	write(w.summary())
	want := `12:00:00.000  a  c  open
12:00:00.000  a  c  0  message  19 bytes  first  before bb was there
12:00:00.000  bb  c  open
12:00:00.000  a  c  1  message  10 bytes  first  plain\x1b[31m
12:00:00.005  bb  c  1  message  10 bytes  +5.0 ms  plain\x1b[31m
12:00:00.006  bb  c  1  message  10 bytes  twice  +6.0 ms
12:00:00.010  a  c  7  e  36 bytes  first  age 1010.0 ms  {"id":7,"at":"2026-11-27T11:59:59Z"}
12:00:00.011  bb  c  7  e  24 bytes  +1.0 ms  age 1011.0 ms  {"id":7,"at":1795780799}
12:00:00.020  a  c  8  message  7 bytes  first  {"a":1}
12:00:00.020  a  c  9  e  110 bytes  first  ` + strings.Repeat("x", 99) + `…
12:00:02.020  bb  c  8  message  7 bytes  missing  +2000.0 ms
12:00:02.020  bb  c  9  e  110 bytes  missing  +2000.0 ms
12:00:03.000  bb  c  8  message  7 bytes  +2980.0 ms  {"a":1}
12:00:00.000  bb  c  ended: cut; again in 1s
a: 5 messages, 0 twice, 0 missing
bb: 3 messages, 1 twice, 1 missing, opened again 1 time`
	if text := strings.Join(got, "\n"); text != want {
		t.Errorf("got\n%s\nwant\n%s", text, want)
	}
	w.look(start.Add(time.Hour))
	if len(w.seen) > 0 || len(w.order) > 0 {
		t.Errorf("it remembers %d messages for ever", len(w.seen))
	}
}

// tail is a running tail --json.
type tail struct {
	t   *testing.T
	cmd *exec.Cmd

	mu    sync.Mutex
	lines []tailLine
}

func startTail(t *testing.T, env []string, args ...string) *tail {
	t.Helper()
	p := &tail{t: t, cmd: exec.CommandContext(t.Context(), os.Args[0], append([]string{"tail", "--json"}, args...)...)}
	p.cmd.Env, p.cmd.Stderr = env, os.Stderr
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for decoder := json.NewDecoder(out); ; {
			var line tailLine
			if decoder.Decode(&line) != nil {
				return
			}
			p.mu.Lock()
			p.lines = append(p.lines, line)
			p.mu.Unlock()
		}
	}()
	t.Cleanup(func() { <-ended })
	return p
}

// count returns how many lines there are about this host: "" for all; and with this id: "" for all.
func (p *tail) count(what, url, id string) (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, line := range p.lines {
		if line.What == what && (url == "" || "http://"+line.Host == url) && (id == "" || line.ID == id) {
			n++
		}
	}
	return n
}

// stop ends it as Ctrl-C does, and returns the sums of the hosts, by their URLs.
func (p *tail) stop() map[string]string {
	p.t.Helper()
	if err := p.cmd.Process.Signal(os.Interrupt); err != nil {
		p.t.Fatal(err)
	}
	eventually(p.t, "the sums", func() bool { return p.count(tailSummary, "", "") == 2 })
	if err := p.cmd.Wait(); err != nil {
		p.t.Errorf("tail ended with %v", err)
	}
	sums := map[string]string{}
	for _, line := range p.lines {
		if line.What == tailSummary {
			sums["http://"+line.Host] = fmt.Sprintf("%d messages, %d twice, %d missing", *line.Messages, *line.Twice, *line.Missing)
		}
	}
	return sums
}

// publish publishes to private:b of one host alone, as no daemon does.
func publish(t *testing.T, module string, host *service.Nginx, id, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, host.InternalURL()+"/publish?id=private:b", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if module == service.PushStream {
		req.Header.Set("Event-Id", id)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		t.Fatalf("publish: %s", resp.Status)
	}
}

// TestTail: a daemon publishes to two hosts, one of which somebody else publishes to as well, and one of which restarts.
func TestTail(t *testing.T) {
	for _, module := range []string{service.Nchan, service.PushStream} {
		t.Run(module, func(t *testing.T) {
			workdir(t, goodPipelines)
			const key = "PRIVATE_KEY=0123456789abcdef0123456789abcdef"
			shared := service.NginxFile("common/private-key.conf", "set $private_key "+strings.TrimPrefix(key, "PRIVATE_KEY=")+";\n")
			one, two := service.StartNginx(t, module, shared), service.StartNginx(t, module, shared)
			store := service.StartRedis(t)
			daemon := startDaemon(t, "REDIS_URL="+store.URL(), "PUSH_MODULE="+module, "PUSH_HOSTS="+one.InternalURL()+","+two.InternalURL())
			p := startTail(t, environment(key), "--late", "500ms", "--url", one.PublicURL()+","+two.PublicURL(), "--signed", "a", "private:b")
			eventually(t, "four streams", func() bool { return p.count(tailOpen, "", "") == 4 })

			putOn(t, store, `{"id":"m1","text":"hello"}`)
			eventually(t, "a message of the daemon at both", func() bool { return p.count(tailMessage, "", "m1") == 2 })
			publish(t, module, one, "m2", `{"id":"m2"}`)
			eventually(t, "what one host lacks", func() bool { return p.count(tailMissing, two.PublicURL(), "m2") == 1 })
			publish(t, module, one, "m2", `{"id":"m2"}`)
			eventually(t, "what came twice", func() bool { return p.count(tailTwice, one.PublicURL(), "m2") == 1 })

			two.Stop()
			eventually(t, "the end of two streams", func() bool { return p.count(tailEnded, two.PublicURL(), "") >= 2 })
			two.Start()
			eventually(t, "the streams again", func() bool { return p.count(tailOpen, two.PublicURL(), "") == 4 })
			publish(t, module, two, "m3", `{"id":"m3"}`)
			publish(t, module, one, "m3", `{"id":"m3"}`)
			eventually(t, "a message over the new streams", func() bool { return p.count(tailMessage, "", "m3") == 2 })
			daemon.Stop()
			sums := p.stop()
			if got := sums[one.PublicURL()]; got != "3 messages, 1 twice, 0 missing" {
				t.Errorf("the sums of one: %s", got)
			}
			if got := sums[two.PublicURL()]; !strings.HasPrefix(got, "2 messages, ") || !strings.HasSuffix(got, "1 missing") {
				t.Errorf("the sums of two: %s", got)
			}
			for _, line := range p.lines {
				if line.ID == "m1" && line.What == tailMessage && (line.Channel != "a" || line.Type != "message" || line.Data != `{"id":"m1","text":"hello"}`) {
					t.Errorf("the first message: %+v", line)
				}
			}
		})
	}
}

// TestTailRefuses: it says why, and ends.
func TestTailRefuses(t *testing.T) {
	host := service.StartNginx(t, service.Nchan)
	for name, test := range map[string]struct {
		args []string
		code int
		want string
	}{
		"a channel":                {[]string{"a/b"}, exitUsage, `"a/b": channel name contains '/'`},
		"a URL":                    {[]string{"--url", "10.0.0.1", "a"}, exitUsage, `"10.0.0.1" is no base URL`},
		"a URL twice":              {[]string{"--url", "http://x,http://x/", "a"}, exitUsage, "x is there twice"},
		"late":                     {[]string{"--late", "0s", "a"}, exitUsage, "--late must be more than 0s"},
		"no key":                   {[]string{"--signed", "--url", host.PublicURL(), "private:a"}, exitError, "PUSHGLUE_PRIVATE_KEY"},
		"private without --signed": {[]string{"--url", host.PublicURL(), "private:a"}, exitError, "no push host lets anybody read"},
	} {
		t.Run(name, func(t *testing.T) {
			code, _, errs := command(t, "", environment(), append([]string{"tail"}, test.args...)...)
			if code != test.code || !strings.Contains(errs, test.want) {
				t.Errorf("exit code %d, %s", code, errs)
			}
		})
	}
	c := tailing{}
	t.Setenv("PUSHGLUE_PUSH_HOSTS", "http://10.0.0.1:9080,https://[::1]:9443")
	bases, err := c.bases(t.Context())
	if err != nil || len(bases) != 2 || bases[0].String() != "http://10.0.0.1" || bases[1].String() != "http://[::1]" {
		t.Errorf("the hosts' public side by default: %v, %v", bases, err)
	}
}

// TestTailOfAHostThatHangs: it takes connections, and says nothing.
func TestTailOfAHostThatHangs(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	s := &tailStream{base: "http://" + listener.Addr().String(), channel: "a", patience: time.Millisecond}
	said := make(chan tailNews)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { s.read(ctx, 0, said); close(ended) }()
	for range 2 {
		if n := <-said; n.ended == nil || n.ended.Error() != "the host does not answer in 1ms" || n.again == 0 {
			t.Errorf("it tells %+v", n)
		}
	}
	cancel()
	select {
	case <-said: // it was telling
		<-ended
	case <-ended:
	}
}

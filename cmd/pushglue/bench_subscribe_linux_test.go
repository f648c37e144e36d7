package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"

	"pushglue/cmd/pushglue/bench"
	"pushglue/glue/gluetest/service"
)

// benchSite is what a bench aims at.
type benchSite struct {
	t     *testing.T
	store *service.Redis
	host  *service.Nginx
	env   []string
}

func newBenchSite(t *testing.T, module string) *benchSite {
	t.Helper()
	s := &benchSite{t: t, store: service.StartRedis(t), host: service.StartNginx(t, module)}
	s.env = environment("REDIS_URL="+s.store.URL(), "PUSH_HOSTS="+s.host.InternalURL(), "PUSH_MODULE="+module, "LOG_LEVEL=warn")
	return s
}

func (s *benchSite) args(more ...string) []string {
	return append([]string{"bench", "subscribe", "--subscribe-url", s.host.PublicURL() + "/subscribe/"}, more...)
}

// isClean checks that no feed is left.
func (s *benchSite) isClean() {
	s.t.Helper()
	keys, err := s.store.Client(s.t).Keys(s.t.Context(), "*bench*").Result()
	if err != nil || len(keys) > 0 {
		s.t.Errorf("left in Redis: %q, %v", keys, err)
	}
}

// TestBenchSubscribe opens readers in two processes, over channels that take turns.
func TestBenchSubscribe(t *testing.T) {
	for _, module := range []string{service.Nchan, service.PushStream} {
		t.Run(module, func(t *testing.T) {
			site := newBenchSite(t, module)
			code, out, errs := command(t, "", site.env, site.args("--readers", "300", "--channels", "10", "--processes", "2",
				"--rate", "105", "--for", "1s", "--wait", "1m", "--json")...)
			var r bench.SubscribeReport
			if err := json.Unmarshal([]byte(out), &r); err != nil || code != 0 {
				t.Fatalf("exit code %d, %v\n%s%s", code, err, out, errs)
			}
			got := fmt.Sprint(r.Connected, r.Processes, r.Messages, r.Deliveries, r.Lost, r.OutOfOrder, r.Duplicates, r.Foreign, r.Stalled, len(r.Ended))
			if want := fmt.Sprint(300, 2, 105, 105*30, 0, 0, 0, 0, 0, 0); got != want {
				t.Errorf("%s, want %s", got, want)
			}
			if r.Latency == nil || r.Accepted == nil || r.Connects == 0 || r.Rate == 0 || r.DaemonCPU == 0 || r.ReaderCPU == 0 {
				t.Errorf("something was not measured: %s", out)
			}
			if m := r.Memory; m.Processes == nil || m.Server == nil || m.Machine == nil || m.Missing != "" {
				t.Errorf("memory was not measured: %s", out)
			}
			if !strings.Contains(errs, " of 300 readers open, ") {
				t.Errorf("no progress is told: %s", errs)
			}
			site.isClean()
		})
	}
}

// TestBenchSubscribeIdle needs neither Redis nor a daemon. Two channels have no reader.
func TestBenchSubscribeIdle(t *testing.T) {
	host := service.StartNginx(t, service.Nchan)
	code, out, errs := command(t, "", environment("REDIS_URL=redis://"+nobody(t)), "bench", "subscribe",
		"--subscribe-url", host.PublicURL()+"/subscribe/", "--readers", "20", "--channels", "22", "--rate", "0", "--for", "1ms")
	if code != 0 || !strings.HasPrefix(out, "readers          20 of 20 connected, 22 channels") || strings.Contains(out, "deliveries") {
		t.Errorf("exit code %d\n%s%s", code, out, errs)
	}
}

func TestBenchSubscribeRefuses(t *testing.T) {
	here := nobody(t)
	for name, test := range map[string]struct {
		settings []string
		args     string
		code     int
		want     string
	}{
		"a remote push host": {nil, "--subscribe-url http://192.0.2.1/subscribe/", 1, "--subscribe-url: 192.0.2.1 is not this machine; a bench loads it as much as it can: --allow-remote if you mean it"},
		"remote publishing":  {[]string{"PUSH_HOSTS=http://192.0.2.1"}, "", 1, "PUSHGLUE_PUSH_HOSTS: 192.0.2.1 is not this machine"},
		"a remote queue":     {[]string{"REDIS_URL=redis://192.0.2.1"}, "", 1, "PUSHGLUE_REDIS_URL: 192.0.2.1 is not this machine"},
		"no push host":       {nil, "--rate 0 --readers 2 --subscribe-url http://" + here + "/", 1, "2 readers did not connect"},
		"TLS":                {nil, "--subscribe-url https://127.0.0.1/subscribe/", 2, "--subscribe-url: readers speak http alone, not https"},
		"no URL":             {nil, "--subscribe-url 127.0.0.1", 2, `--subscribe-url: "127.0.0.1" is no URL such as http://127.0.0.1/subscribe/`},
		"a query":            {nil, "--subscribe-url http://127.0.0.1/?id=", 2, "--subscribe-url must end with the path's last slash"},
		"no readers":         {nil, "--readers 0", 2, "--readers and --channels must be at least 1"},
		"many processes":     {nil, "--readers 2 --processes 3", 2, "--processes must be from 1 to --readers"},
		"few processes":      {nil, "--readers 100000000 --processes 1", 2, "--processes: a process has descriptors for"},
		"a rate of nothing":  {nil, "--rate NaN", 2, "--rate must be 0 to 100000 messages a second"},
		"no message":         {nil, "--rate 0.1 --for 1s", 2, "--rate and --for give no message at all"},
		"no time":            {nil, "--for 0s", 2, "--for and --wait must be more than 0"},
		"an argument":        {nil, "comments", 2, `takes no arguments, and got "comments"`},
	} {
		t.Run(name, func(t *testing.T) {
			code, out, errs := command(t, "", environment(test.settings...), append([]string{"bench", "subscribe"}, strings.Fields(test.args)...)...)
			if code != test.code || !strings.Contains(errs, test.want) {
				t.Errorf("exit code %d\n%s%s\nwant %d, %s", code, out, errs, test.code, test.want)
			}
		})
	}
}

// running is a bench at work.
type running struct {
	t        *testing.T
	cmd      *exec.Cmd
	children []string // its processes
	mu       sync.Mutex
	errs     strings.Builder
	out      strings.Builder
	exited   chan struct{}
}

// Write takes what the bench tells.
func (r *running) Write(text []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.errs.Write(text)
}

func (r *running) told() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.errs.String()
}

// startBench starts a bench and waits until it tells what a regular expression says and has so many
// processes.
func startBench(t *testing.T, env []string, telling string, processes int, args ...string) *running {
	t.Helper()
	r := &running{t: t, cmd: exec.Command(os.Args[0], args...), exited: make(chan struct{})}
	r.cmd.Env, r.cmd.Stdout, r.cmd.Stderr = env, &r.out, r
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(r.exited)
		_ = r.cmd.Wait() // its exit code is looked at
	}()
	t.Cleanup(func() {
		_ = r.cmd.Process.Kill() // it has ended, unless the test failed
		<-r.exited
	})
	eventually(t, "the bench tells "+telling, func() bool { return regexp.MustCompile(telling).MatchString(r.told()) })
	lists, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", r.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, list := range lists {
		text, err := os.ReadFile(list)
		if err != nil {
			t.Fatal(err)
		}
		r.children = append(r.children, strings.Fields(string(text))...)
	}
	if len(r.children) != processes {
		t.Fatalf("the bench has the processes %q, want %d", r.children, processes)
	}
	return r
}

// ends waits for the end of the bench and of its processes, and returns the exit code.
func (r *running) ends() int {
	r.t.Helper()
	eventually(r.t, "the bench ends", func() bool {
		select {
		case <-r.exited:
			return true
		default:
			return false
		}
	})
	for _, pid := range r.children {
		eventually(r.t, "process "+pid+" ends", func() bool {
			stat, err := os.ReadFile("/proc/" + pid + "/stat")
			return err != nil || strings.Contains(string(stat), ") Z ") // nobody may wait for it
		})
	}
	return r.cmd.ProcessState.ExitCode()
}

// TestBenchSubscribeCutOff stops nginx while readers wait.
func TestBenchSubscribeCutOff(t *testing.T) {
	host := service.StartNginx(t, service.Nchan)
	r := startBench(t, environment(), "100 of 100 readers open", 2, "bench", "subscribe", "--processes", "2",
		"--subscribe-url", host.PublicURL()+"/subscribe/", "--readers", "100", "--rate", "0", "--for", "1h")
	host.Stop()
	if code := r.ends(); code != 1 || !strings.Contains(r.told(), "pushglue: 100 readers ended too early") ||
		!strings.Contains(r.out.String(), "streams ended    100: the server closed") {
		t.Errorf("exit code %d\n%s%s", code, r.out.String(), r.told())
	}
}

// TestBenchInterrupted ends benches in the middle: nothing is left of them.
func TestBenchInterrupted(t *testing.T) {
	site := newBenchSite(t, service.Nchan)
	for name, test := range map[string]struct {
		args      []string
		telling   string
		processes int
		signal    syscall.Signal
		says      string
	}{
		"subscribe, SIGINT":  {site.args("--readers", "10", "--for", "1h"), "10 of 10 readers open, [1-9]", 2, syscall.SIGINT, "interrupt signal received"},
		"subscribe, SIGTERM": {site.args("--readers", "10", "--for", "1h"), "10 of 10 readers open, [1-9]", 2, syscall.SIGTERM, "terminated signal received"},
		"publish, SIGINT":    {[]string{"bench", "publish", "--rate", "10"}, "jobs after", 1, syscall.SIGINT, "interrupt signal received"},
	} {
		t.Run(name, func(t *testing.T) {
			r := startBench(t, site.env, test.telling, test.processes, test.args...)
			if err := r.cmd.Process.Signal(test.signal); err != nil {
				t.Fatal(err)
			}
			if code := r.ends(); code != 1 || !strings.HasSuffix(r.told(), "pushglue: "+test.says+"\n") {
				t.Errorf("exit code %d\n%s", code, r.told())
			}
			site.isClean()
		})
	}
}

// TestBenchKilled kills a bench: its processes end too.
func TestBenchKilled(t *testing.T) {
	site := newBenchSite(t, service.Nchan)
	r := startBench(t, site.env, "10 of 10 readers open, [1-9]", 3, site.args("--readers", "10", "--processes", "2", "--for", "1h")...)
	if err := r.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	r.ends()
}

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"pushglue/glue"
)

// asPushglue makes the test binary behave as pushglue, so that tests run the real command as a
// process, with the race detector in it.
const asPushglue = "TEST_AS_PUSHGLUE"

func TestMain(m *testing.M) {
	if os.Getenv(asPushglue) != "" {
		main()
	}
	os.Exit(m.Run())
}

// patience bounds every wait of the tests; none is expected to come near it.
const patience = 60 * time.Second

// daemonProcess is a running "pushglue run".
type daemonProcess struct {
	t      *testing.T
	cmd    *exec.Cmd
	exited chan error

	mu  sync.Mutex
	log []string
}

// startDaemon starts the daemon with settings like "REDIS_URL=…", and waits until it runs.
func startDaemon(t *testing.T, settings ...string) *daemonProcess {
	t.Helper()
	return startDaemonIn(t, environment(settings...))
}

// startDaemonIn is startDaemon in an environment.
func startDaemonIn(t *testing.T, env []string) *daemonProcess {
	t.Helper()
	d := &daemonProcess{t: t, cmd: exec.Command(os.Args[0], "run"), exited: make(chan error, 1)}
	d.cmd.Env = env
	stderr, err := d.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	running := make(chan struct{})
	go func() {
		lines := bufio.NewScanner(stderr)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			d.mu.Lock()
			d.log = append(d.log, lines.Text())
			d.mu.Unlock()
			if strings.Contains(lines.Text(), `"message":"running"`) {
				close(running)
			}
		}
		d.exited <- d.cmd.Wait()
	}()
	t.Cleanup(func() {
		if err := d.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("log of the daemon:\n%.20000s", d.logText())
		}
	})
	select {
	case <-running:
	case err := <-d.exited:
		t.Fatalf("the daemon ended: %v\n%s", err, d.logText())
	case <-time.After(patience):
		t.Fatal("the daemon does not start")
	}
	return d
}

// raceAtExit keeps the race detector from sleeping for a second at the end of each process.
const raceAtExit = "GORACE=atexit_sleep_ms=0"

// environment returns an environment with these settings of pushglue and no others.
func environment(settings ...string) []string {
	env := []string{asPushglue + "=1", "PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), "PUSHGLUE_HTTP_ADDR=", raceAtExit}
	for _, s := range settings {
		env = append(env, "PUSHGLUE_"+s)
	}
	return env
}

func (d *daemonProcess) logText() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return strings.Join(d.log, "\n")
}

// stop sends SIGTERM, expects exit code 0, and returns the ledger that the daemon logs at its end.
func (d *daemonProcess) stop() glue.Sums {
	d.t.Helper()
	if err := d.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		d.t.Fatal(err)
	}
	select {
	case err := <-d.exited:
		if err != nil {
			d.t.Fatalf("the daemon ended with %v", err)
		}
	case <-time.After(patience):
		d.t.Fatal("the daemon does not stop")
	}
	for _, line := range d.log {
		var last struct {
			Message string    `json:"message"`
			Ledger  glue.Sums `json:"ledger"`
		}
		if json.Unmarshal([]byte(line), &last) == nil && last.Message == "stopped" {
			if err := last.Ledger.Balance(); err != nil {
				d.t.Error(err)
			}
			return last.Ledger
		}
	}
	d.t.Fatal("the daemon logged no ledger")
	return glue.Sums{}
}

// command runs pushglue to its end.
func command(t *testing.T, stdin string, env []string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0], args...)
	cmd.Env, cmd.Stdin = env, strings.NewReader(stdin)
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if ctx.Err() != nil {
		t.Fatalf("pushglue %s does not end", strings.Join(args, " "))
	}
	if err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), errs.String()
}

// eventually waits until done says so.
func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not in %s: %s", patience, what)
		}
	}
}

// nobody returns an address of this machine where nobody listens.
func nobody(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

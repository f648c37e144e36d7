package service

import (
	"bufio"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"pushglue/glue"
)

// daemonPatience bounds every wait for a daemon. Only a broken test reaches it.
const daemonPatience = 60 * time.Second

// Daemon is a running "pushglue run".
type Daemon struct {
	tb      testing.TB
	process *exec.Cmd
	exited  chan error // gets how it ended

	mu  sync.Mutex
	log []string
}

// StartDaemon starts the daemon with a command that is or becomes "pushglue run", in an environment
// of just these variables, and returns when it runs. It is killed at the end of the test, if it
// runs then; the log of a test that failed has what it logged.
func StartDaemon(tb testing.TB, env []string, command ...string) *Daemon {
	tb.Helper()
	d := &Daemon{tb: tb, process: exec.Command(command[0], command[1:]...), exited: make(chan error, 1)}
	d.process.Env = env
	stderr, err := d.process.StderrPipe()
	if err != nil {
		tb.Fatalf("start the daemon: %v", err)
	}
	if err := d.process.Start(); err != nil {
		tb.Fatalf("start the daemon: %v", err)
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
		d.exited <- d.process.Wait()
	}()
	tb.Cleanup(func() {
		d.Signal(syscall.SIGKILL)
		if tb.Failed() {
			tb.Logf("log of the daemon %d:\n%.20000s", d.process.Process.Pid, d.Log())
		}
	})
	select {
	case <-running:
	case err := <-d.exited:
		tb.Fatalf("the daemon ended: %v\n%s", err, d.Log())
	case <-time.After(daemonPatience):
		tb.Fatal("the daemon does not start")
	}
	return d
}

// Log returns what the daemon has logged so far.
func (d *Daemon) Log() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return strings.Join(d.log, "\n")
}

// Kill ends the daemon by SIGKILL, and returns when it has ended.
func (d *Daemon) Kill() {
	d.tb.Helper()
	d.Signal(syscall.SIGKILL)
	_ = d.Await() // killed
}

// Pause stops the daemon where it stands, and Continue lets it go on: a machine that hangs.
func (d *Daemon) Pause() { d.Signal(syscall.SIGSTOP) }

// Continue ends Pause.
func (d *Daemon) Continue() { d.Signal(syscall.SIGCONT) }

// Stop sends SIGTERM, expects exit code 0, and returns the ledger that the daemon logs at its end,
// which must balance.
func (d *Daemon) Stop() glue.Sums {
	d.tb.Helper()
	d.Signal(syscall.SIGTERM)
	if err := d.Await(); err != nil {
		d.tb.Errorf("the daemon ended with %v", err)
	}
	for _, line := range d.log {
		var last struct {
			Message string    `json:"message"`
			Ledger  glue.Sums `json:"ledger"`
		}
		if json.Unmarshal([]byte(line), &last) == nil && last.Message == "stopped" {
			if err := last.Ledger.Balance(); err != nil {
				d.tb.Error(err)
			}
			return last.Ledger
		}
	}
	d.tb.Fatal("the daemon logged no ledger")
	return glue.Sums{}
}

// Await waits until the daemon has ended, and returns how, as exec.Cmd.Wait does. It can be called once.
func (d *Daemon) Await() error {
	d.tb.Helper()
	select {
	case err := <-d.exited:
		return err
	case <-time.After(daemonPatience):
		d.tb.Fatal("the daemon does not end")
		return nil
	}
}

// Signal sends the daemon a signal, unless it has ended.
func (d *Daemon) Signal(signal os.Signal) {
	d.tb.Helper()
	if err := d.process.Process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		d.tb.Errorf("send the daemon the signal %v: %v", signal, err)
	}
}

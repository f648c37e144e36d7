package main

import (
	"bufio"
	"io"
	"net"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestDemo(t *testing.T) {
	code, stdout, stderr := command(t, "", environment(), "demo", "--for", "1s", "--rate", "200", "--addr", "127.0.0.1:0")
	if code != 0 || stderr != "" || !regexp.MustCompile(`(?s)^The demo is at http://127.*\nThe ledger:\n.*\n(\d+) jobs put, \d+ messages received, and the ledger balances\.\n$`).MatchString(stdout) {
		t.Errorf("exit code %d\n%.3000s%s", code, stdout, stderr)
	}
}

func TestDemoOnABusyPort(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	code, stdout, stderr := command(t, "", environment(), "demo", "--addr", taken.Addr().String())
	if code != 1 || stdout != "" || !strings.Contains(stderr, "address already in use; choose another address, or 127.0.0.1:0 for any free port") {
		t.Errorf("exit code %d\n%s%s", code, stdout, stderr)
	}
}

func TestDemoHasBounds(t *testing.T) {
	for _, rate := range []string{"1e-12", "0.0009", "100001", "Inf"} {
		code, _, stderr := command(t, "", environment(), "demo", "--rate", rate)
		if code != 2 || !strings.Contains(stderr, "--rate must be 0.001 to 100000 comments a second") {
			t.Errorf("%s: exit code %d: %s", rate, code, stderr)
		}
	}
}

func TestDemoEndsInOrder(t *testing.T) {
	d := startDemo(t, "--rate", "500", "--for", "1h")
	d.stop()
}

// demoProcess is a running "pushglue demo".
type demoProcess struct {
	t      *testing.T
	cmd    *exec.Cmd
	url    string // of the page
	stdout *bufio.Reader
}

// startDemo starts the demo on a free port and waits until it tells its address.
func startDemo(t *testing.T, args ...string) *demoProcess {
	t.Helper()
	d := &demoProcess{t: t, cmd: exec.Command(os.Args[0], append([]string{"demo", "--addr", "127.0.0.1:0"}, args...)...)}
	d.cmd.Env = environment()
	stdout, err := d.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	d.stdout = bufio.NewReader(stdout)
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if d.cmd.ProcessState != nil {
			return
		}
		if err := d.cmd.Process.Kill(); err != nil {
			t.Error(err)
		}
		_ = d.cmd.Wait() // it was killed
	})
	line, err := d.stdout.ReadString('\n')
	if err != nil {
		t.Fatalf("the demo does not start: %v", err)
	}
	d.url = strings.TrimSpace(strings.TrimPrefix(line, "The demo is at "))
	return d
}

// stop sends SIGTERM, and expects exit code 0 and a ledger that balances.
func (d *demoProcess) stop() {
	d.t.Helper()
	if err := d.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		d.t.Fatal(err)
	}
	kill := time.AfterFunc(patience, func() { _ = d.cmd.Process.Kill() }) // it may be gone
	defer kill.Stop()
	text, err := io.ReadAll(d.stdout)
	if err != nil {
		d.t.Error(err)
	}
	if err := d.cmd.Wait(); err != nil || !strings.HasSuffix(string(text), "and the ledger balances.\n") {
		d.t.Errorf("the demo ended with %v:\n%s", err, text)
	}
}

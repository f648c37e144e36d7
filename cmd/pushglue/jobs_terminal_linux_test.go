package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"pushglue/glue/thoonk"
)

// terminal opens a pseudo terminal: the side of the person and the side of the program.
func terminal(t *testing.T) (person, program *os.File) {
	t.Helper()
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { person.Close() })
	var number, locked int32
	ioctl(t, person, syscall.TIOCGPTN, &number)
	ioctl(t, person, syscall.TIOCSPTLCK, &locked)
	program, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { program.Close() })
	return person, program
}

// ioctl reads or writes a number that belongs to a file.
func ioctl(t *testing.T, f *os.File, request uintptr, number *int32) {
	t.Helper()
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, f.Fd(), request, uintptr(unsafe.Pointer(number))); errno != 0 {
		t.Fatal(errno)
	}
}

func TestJobsAsk(t *testing.T) {
	o := newOperator(t, thoonk.ThoonkPy)
	ids := o.put("1", "2", "3")
	o.claim(3)
	for _, test := range []struct {
		args, answer string
		code         int
		stdout, want string
	}{
		{"cancel --all", "n\n", 1, "", "cancel 3 claimed jobs of feed f, also those of workers that are alive? [y/N] pushglue: the answer is no: nothing was changed\n"},
		{"cancel --all", "\n", 1, "", "cancel 3 claimed jobs of feed f, also those of workers that are alive? [y/N] pushglue: the answer is no: nothing was changed\n"},
		{"cancel --all --older 1ms", "\x04", 1, "", "cancel 3 claimed jobs of feed f whose claims are older than 1ms? [y/N] pushglue: the answer is no: nothing was changed\n"},
		{"cancel --all --older 1h", "", 0, "cancelled 0 jobs\n", ""},
		{"cancel --all --older 1ms", "y\n", 0, "cancelled 3 jobs\n", "cancel 3 claimed jobs of feed f whose claims are older than 1ms? [y/N] "},
		{"retry --all", "", 0, "retried 0 jobs\n", ""},
		{"retract --all --state queued", "what?\n", 1, "", "retract 3 queued jobs of feed f, for good? [y/N] pushglue: the answer is no: nothing was changed\n"},
		{"retract " + ids[0], "", 0, "retracted 1 job\n", ""},
		{"retract --all --state queued", " YES \n", 0, "retracted 2 jobs\n", "retract 2 queued jobs of feed f, for good? [y/N] "},
	} {
		person, program := terminal(t)
		cmd := exec.Command(os.Args[0], append([]string{"jobs", "f"}, strings.Fields(test.args)...)...)
		cmd.Env, cmd.Stdin = o.env, program
		var stdout, stderr strings.Builder
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		if _, err := person.WriteString(test.answer); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Run() // its exit code is looked at
		if code := cmd.ProcessState.ExitCode(); code != test.code || stdout.String() != test.stdout || stderr.String() != test.want {
			t.Errorf("%s: exit code %d\n%s%s\nwant %d\n%s%s", test.args, code, stdout.String(), stderr.String(), test.code, test.stdout, test.want)
		}
	}
}

// TestJobsShowOnATerminal shows a payload that would clear the screen.
func TestJobsShowOnATerminal(t *testing.T) {
	o := newOperator(t, thoonk.ThoonkPy)
	ids := o.put("{\"a\":\"ä\\\\\"}\x1b[2J\a\n\u202e\xff")
	person, program := terminal(t)
	cmd := exec.Command(os.Args[0], "jobs", "f", "show", ids[0])
	cmd.Env, cmd.Stdout = o.env, program
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	program.Close()
	shown, _ := io.ReadAll(person) // a terminal that nobody has open ends in an error
	if want := "\r\n\r\n" + `{"a":"ä\\"}\x1b[2J\a\n\u202e\xff` + "\r\n"; !strings.HasSuffix(string(shown), want) {
		t.Errorf("got %q, want %q", shown, want)
	}
}

// TestJobsRetractWhatWasCounted has others change the feed while the question stands: what they put,
// claim and stall then was not asked about.
func TestJobsRetractWhatWasCounted(t *testing.T) {
	dialects(t, func(o *operator) {
		for state, others := range map[string]struct {
			before func()
			after  func() (stay []string)
			gone   int
		}{
			"queued": {func() { o.put("1", "2", "3") }, func() []string {
				o.claim(2)
				stay := o.put("4", "5", "6")
				urgent, err := o.feed.Put(o.t.Context(), [][]byte{[]byte("7")}, thoonk.PutOptions{Priority: true})
				if err != nil {
					o.t.Fatal(err)
				}
				return append(urgent, stay...)
			}, 1},
			"claimed": {func() { o.put("1", "2", "3"); o.claim(3) }, func() []string {
				claimed := o.list("claimed")
				for _, id := range claimed.ids()[1:] {
					o.worker.Finish(id)
				}
				stay := o.put("4", "5")
				o.claim(2)
				return stay
			}, 1},
			"stalled": {func() { o.stall("1", "2", "3") }, func() []string {
				stalled := o.list("stalled")
				o.change(0, append([]string{"retract"}, stalled.ids()[:2]...)...)
				return o.stall("4", "5")
			}, 1},
		} {
			if err := o.rdb.FlushAll(o.t.Context()).Err(); err != nil {
				o.t.Fatal(err)
			}
			others.before()
			var stay []string
			stdout := o.answer(func() { stay = others.after() }, "retract", "--all", "--state", state)
			if stdout != "retracted "+number(others.gone, "job")+"\n" {
				o.t.Errorf("%s: got\n%s", state, stdout)
			}
			l := o.list(state)
			if ids := l.ids(); !slices.Equal(slices.Sorted(slices.Values(ids)), slices.Sorted(slices.Values(stay))) {
				o.t.Errorf("%s: %q are left, want %q", state, ids, stay)
			}
		}
	})
}

// stall puts jobs and has the worker stall them.
func (o *operator) stall(payloads ...string) []string {
	o.t.Helper()
	ids := o.put(payloads...)
	for _, id := range ids {
		o.claim(1)
		o.worker.Stall(id)
	}
	return ids
}

// asked is a command that has asked its question.
type asked struct {
	*exec.Cmd
	person *os.File
	stdout strings.Builder
	stderr *bufio.Reader // what comes behind the question mark
}

// ask runs a command on a terminal until it asks.
func (o *operator) ask(args ...string) *asked {
	o.t.Helper()
	person, program := terminal(o.t)
	a := &asked{Cmd: exec.Command(os.Args[0], append([]string{"jobs", "f"}, args...)...), person: person}
	a.Env = append(slices.Clone(o.env), "PUSHGLUE_REDIS_URL=redis://"+o.rdb.Options().Addr+"?read_timeout=60s")
	a.Stdin, a.Stdout = program, &a.stdout
	stderr, err := a.StderrPipe()
	if err != nil {
		o.t.Fatal(err)
	}
	if err := a.Start(); err != nil {
		o.t.Fatal(err)
	}
	a.stderr = bufio.NewReader(stderr)
	if said, err := a.stderr.ReadString('?'); err != nil {
		o.t.Fatalf("%q, %v", said, err)
	}
	return a
}

// yes answers.
func (a *asked) yes(t *testing.T) {
	t.Helper()
	if _, err := a.person.WriteString("y\n"); err != nil {
		t.Fatal(err)
	}
}

// end waits for the end of the command, and returns the rest of what it says.
func (a *asked) end(t *testing.T) (stderr string) {
	t.Helper()
	rest, err := io.ReadAll(a.stderr)
	if err != nil {
		t.Fatal(err)
	}
	_ = a.Wait() // its exit code is looked at
	return string(rest)
}

// answer runs a command, and answers yes when others have done what they do. It returns what the
// command prints.
func (o *operator) answer(others func(), args ...string) string {
	o.t.Helper()
	a := o.ask(args...)
	counted, err := o.feed.Now(o.t.Context())
	if err != nil {
		o.t.Fatal(err)
	}
	eventually(o.t, "a millisecond is over", func() bool {
		now, err := o.feed.Now(o.t.Context())
		return err == nil && now.After(counted)
	})
	others()
	a.yes(o.t)
	a.end(o.t)
	return a.stdout.String()
}

// TestJobsInterrupted signals a retract in its first page: it brings that to its end and says so.
func TestJobsInterrupted(t *testing.T) {
	o := newOperator(t, thoonk.ThoonkPy)
	if _, err := o.feed.Put(t.Context(), make([][]byte, 30_000), thoonk.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	cmd := o.ask("retract", "--all", "--state", "queued")
	// Redis holds back what writes until it is told to go on.
	if err := o.rdb.Do(t.Context(), "CLIENT", "PAUSE", patience.Milliseconds(), "WRITE").Err(); err != nil {
		t.Fatal(err)
	}
	cmd.yes(t)
	eventually(t, "the first page waits", func() bool {
		return strings.Contains(o.rdb.ClientList(t.Context()).Val(), "flags=b")
	})
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the signal has arrived", func() bool {
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", cmd.Process.Pid))
		if err != nil {
			t.Fatal(err)
		}
		return strings.Contains(string(status), "\nShdPnd:\t0000000000000000\n")
	})
	if err := o.rdb.Do(t.Context(), "CLIENT", "UNPAUSE").Err(); err != nil {
		t.Fatal(err)
	}
	stderr := cmd.end(t)
	if code := cmd.ProcessState.ExitCode(); code != 1 {
		t.Errorf("exit code %d", code)
	}
	counts, err := o.feed.Counts(t.Context())
	done := 30_000 - int(counts.Queued)
	if err != nil || done == 0 || done == 30_000 {
		t.Errorf("%d jobs were retracted, %v", done, err)
	}
	if want := fmt.Sprintf(" [y/N] pushglue: interrupted; retracted %s of 30,000 jobs\n", thousands(done)); stderr != want || cmd.stdout.String() != "retracted "+number(done, "job")+"\n" {
		t.Errorf("got\n%s%swant %s", cmd.stdout.String(), stderr, want)
	}
}

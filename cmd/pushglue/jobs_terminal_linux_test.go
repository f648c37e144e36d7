package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
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

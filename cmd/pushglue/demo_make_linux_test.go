package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestMakeDemo presses Ctrl-C, as the demo itself recommends: make has nothing to complain about then.
func TestMakeDemo(t *testing.T) {
	person, program := terminal(t)
	cmd := makeDemo(t, fmt.Sprintf("exec '%s' \"$@\" --addr 127.0.0.1:0", os.Args[0]))
	cmd.Stdin, cmd.Stdout, cmd.Stderr = program, program, program
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	program.Close()
	hangUp := time.AfterFunc(patience, func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }) // it may be gone
	defer hangUp.Stop()

	var shown strings.Builder
	screen := bufio.NewReader(io.TeeReader(person, &shown))
	for !strings.Contains(shown.String(), "Ctrl-C ends it.") {
		if _, err := screen.ReadString('\n'); err != nil {
			t.Fatalf("%v:\n%s", err, shown.String())
		}
	}
	if _, err := person.WriteString("\x03"); err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, screen) // a terminal that nobody has open ends in an error
	_ = cmd.Wait()                     // make dies of Ctrl-C like anybody, if it has no error to tell
	if status := cmd.ProcessState.Sys().(syscall.WaitStatus); status.ExitStatus() != 0 && status.Signal() != syscall.SIGINT {
		t.Errorf("make ended with %s", cmd.ProcessState)
	}
	if text := shown.String(); strings.Contains(text, "***") || !strings.HasSuffix(text, "and the ledger balances.\r\n") {
		t.Errorf("the terminal shows\n%s", text)
	}
}

func TestMakeDemoFails(t *testing.T) {
	text, err := makeDemo(t, "exit 3").CombinedOutput()
	if err == nil || !strings.Contains(string(text), "Error 3") {
		t.Errorf("%v\n%s", err, text)
	}
}

// makeDemo returns the command "make demo" with a script in the place of the binary.
func makeDemo(t *testing.T, script string) *exec.Cmd {
	t.Helper()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "bin"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "bin", "pushglue"), []byte("#!/bin/sh\n"+script+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	makefile, err := filepath.Abs("../../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("make", "-f", makefile, "--old-file=build", "demo")
	cmd.Dir, cmd.Env = dir, environment()
	return cmd
}

package main

import (
	"context"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"pushglue/glue/gluetest/service"
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

// startDaemon starts the daemon with settings like "REDIS_URL=…", and waits until it runs.
func startDaemon(t *testing.T, settings ...string) *service.Daemon {
	t.Helper()
	return startDaemonIn(t, environment(settings...))
}

// startDaemonIn is startDaemon in an environment.
func startDaemonIn(t *testing.T, env []string) *service.Daemon {
	t.Helper()
	return service.StartDaemon(t, env, os.Args[0], "run")
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

// invoke runs pushglue to its end in this process, in a tenth of the time that another one takes. It is for commands that answer and
// end: a daemon, a benchmark, and what signals end need a process of their own.
func invoke(t *testing.T, stdin string, env []string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	for _, entry := range slices.Concat(os.Environ(), env) {
		name, value, _ := strings.Cut(entry, "=")
		if !strings.HasPrefix(name, "PUSHGLUE_") {
			continue
		}
		t.Setenv(name, value) // the end of the test puts it back
		if !slices.Contains(env, entry) {
			if err := os.Unsetenv(name); err != nil {
				t.Fatal(err)
			}
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var out, errs strings.Builder
	code = run(ctx, args, strings.NewReader(stdin), &out, &errs)
	return code, out.String(), errs.String()
}

// command is invoke with a process of its own.
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

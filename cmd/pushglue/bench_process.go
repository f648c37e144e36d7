package main

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"runtime/pprof"
	"syscall"

	"github.com/spf13/cobra"

	"pushglue/cmd/pushglue/bench"
)

// benchProcess returns a process of a bench: a hidden command of it. The process ends with its standard input.
func benchProcess(c *cobra.Command, args ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], append([]string{"bench"}, args...)...)
	cmd.Stderr = c.ErrOrStderr()
	return cmd
}

// benchDaemon returns a daemon with this pipelines file. Nobody asks it, and its pseudonyms are of no use to anybody.
func benchDaemon(c *cobra.Command, pipelines string, args ...string) *exec.Cmd {
	daemon := benchProcess(c, append([]string{"daemon"}, args...)...)
	// Its log would stand among the bench's progress: only what matters, unless the settings say otherwise.
	daemon.Env = append([]string{"PUSHGLUE_LOG_LEVEL=warn"}, os.Environ()...)
	daemon.Env = append(daemon.Env, "PUSHGLUE_PIPELINES="+pipelines, "PUSHGLUE_HTTP_ADDR=", "PUSHGLUE_ANONYMIZE_KEY=0123456789abcdef0123456789abcdef")
	return daemon
}

// newBenchDaemonCommand is the daemon of a bench: the same as run, with a report of itself at its end.
func newBenchDaemonCommand() *cobra.Command {
	var profile string
	cmd := &cobra.Command{
		Use:    "daemon",
		Hidden: true,
		Args:   arguments(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			defer endWithInput(c)()
			stop, err := startProfile(profile)
			if err != nil {
				return err
			}
			meter := bench.NewMeter()
			if err := errors.Join(daemon(c, meter), stop()); err != nil {
				return err
			}
			report, err := meter.Report()
			return errors.Join(err, writeJSON(c.OutOrStdout(), report))
		},
	}
	cmd.Flags().StringVar(&profile, "cpu-profile", "", "write a CPU profile to this file")
	return cmd
}

// startProfile writes a CPU profile to the file at path until stop; no path is none.
func startProfile(path string) (stop func() error, err error) {
	if path == "" {
		return func() error { return nil }, nil
	}
	f, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return func() error { pprof.StopCPUProfile(); return f.Close() }, nil
}

// interruptible lets a command end in order at SIGINT or SIGTERM, and at once at a second one.
func interruptible(run func(*cobra.Command, []string) error) func(*cobra.Command, []string) error {
	return func(c *cobra.Command, args []string) error {
		ctx, stop := signal.NotifyContext(c.Context(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		defer context.AfterFunc(ctx, stop)()
		c.SetContext(ctx)
		err := run(c, args)
		if ctx.Err() != nil && errors.Is(err, context.Canceled) {
			return context.Cause(ctx)
		}
		return err
	}
}

// endWithInput ends a command's context when its standard input ends: its parent is no more.
func endWithInput(c *cobra.Command) (stop context.CancelFunc) {
	ctx, stop := context.WithCancel(c.Context())
	c.SetContext(ctx)
	go func() {
		defer stop()
		_, _ = io.Copy(io.Discard, c.InOrStdin()) // its end is what matters
	}()
	return stop
}

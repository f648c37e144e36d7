package main

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

// benchProcess returns a process of a bench: a hidden command of it. The process ends with its standard input.
func benchProcess(c *cobra.Command, name string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], "bench", name)
	cmd.Stderr = c.ErrOrStderr()
	return cmd
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

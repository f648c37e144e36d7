package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"pushglue/cmd/pushglue/demo"
)

// The bounds of --rate.
const (
	minRate = 0.001
	maxRate = 100_000
)

// demoTime is how long the demo runs when nobody watches and nothing else is said.
const demoTime = 10 * time.Second

func newDemoCommand() *cobra.Command {
	var d demo.Config
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Show the whole path in one process, with nothing installed",
		Long: `Starts a Redis, pushglue and a push host inside the process, puts comments on a feed, and serves a page
that shows them live: the thread, the way of each job through the stages, and the ledger. What you
post on the page takes the same way.

Without --for it runs until it is told to stop if its output is a terminal, and 10 s if it is not.
SIGINT (Ctrl-C) or SIGTERM ends it and waits for what is on its way; a second one ends it at once.

The exit code is 0 only if a reader in the process received the message of every job that did not
stall, in order, and the ledger balances. Messages that stalled, came again, or were put by somebody
else are counted.`,
		Args: arguments(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			if !(d.Rate > 0) || c.Flags().Changed("for") && d.For <= 0 { // NaN is not more than 0
				return usageError{errors.New("--for and --rate must be more than 0")}
			}
			if d.Rate < minRate || d.Rate > maxRate {
				return usageError{fmt.Errorf("--rate must be %g to %d comments a second", minRate, maxRate)}
			}
			if _, _, err := net.SplitHostPort(d.Addr); err != nil {
				return usageError{fmt.Errorf("--addr: %q is no address such as 127.0.0.1:8642", d.Addr)}
			}
			d.Out, d.Terminal = c.OutOrStdout(), isTerminal(c.OutOrStdout())
			if d.For == 0 && !d.Terminal {
				d.For = demoTime
			}
			d.Log = (&config{LogLevel: "warn"}).logger(c.ErrOrStderr())
			return runDemo(c.Context(), d)
		},
	}
	cmd.Flags().StringVar(&d.Addr, "addr", "127.0.0.1:8642", "where the page is; port 0 is any free one")
	cmd.Flags().DurationVar(&d.For, "for", 0, "how long to put comments, such as 30s (default: see above)")
	cmd.Flags().Float64Var(&d.Rate, "rate", 2, "comments a second, 0.001 to 100000")
	return cmd
}

// runDemo runs the demo until a signal ends it.
func runDemo(ctx context.Context, d demo.Config) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	aborting, abort := context.WithCancel(context.Background())
	defer abort()
	d.Abort = aborting.Done()
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(signals)
	go handleSignals(signals, zerolog.Nop(), stop, abort, nil)
	return demo.Run(ctx, d)
}

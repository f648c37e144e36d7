package main

import (
	"context"
	"net/http"
	"os"

	"github.com/spf13/cobra"

	"pushglue/cmd/pushglue/live"
)

func newTopCommand() *cobra.Command {
	var a asking
	var once bool
	cmd := &cobra.Command{
		Use:   "top",
		Short: "Show what a daemon does: where messages are, and where they stop",
		Long: `Shows what the daemon's page shows, on a terminal: feeds with what waits, the way through the pipelines with what
goes through in a second at each arrow, push hosts, stalled jobs, hot channels, and the last warnings and errors.

q quits, ? shows the keys. Where standard output is no terminal, or with --once, it prints one snapshot.`,
		Example: `  pushglue top
  pushglue top --once --addr 127.0.0.1:9071`,
		Args: arguments(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			address, err := reachable(a.address())
			if err != nil {
				return err
			}
			ask := func(ctx context.Context) (live.Status, error) { return askStatus(ctx, address) }
			in, isFile := c.InOrStdin().(*os.File)
			if once || !isTerminal(c.OutOrStdout()) || !isFile || !isTerminal(in) {
				return live.Once(c.Context(), ask, c.OutOrStdout())
			}
			return live.Top(c.Context(), ask, in, c.OutOrStdout())
		},
	}
	addrFlag(cmd.Flags(), &a.addr)
	cmd.Flags().BoolVar(&once, "once", false, "print one snapshot, with the rates of a second")
	return cmd
}

func askStatus(ctx context.Context, address string) (status live.Status, err error) {
	err = askAt(ctx, http.MethodGet, address, "/status", nil, &status, func() bool { return !status.Started.IsZero() })
	return status, err
}

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"pushglue/glue/thoonk"
)

// newJobsCommand returns a command whose first argument is a feed and whose other ones are for the
// commands of that feed, which newFeedCommand makes: cobra has no commands behind an argument.
func newJobsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:                "jobs FEED [COMMAND]",
		Short:              "Show how a feed stands; list, show, retry, cancel and retract its jobs",
		DisableFlagParsing: true,
		RunE: func(c *cobra.Command, args []string) error {
			switch {
			case len(args) == 0:
				c.SetOut(c.ErrOrStderr())
				return errors.Join(c.Help(), usageError{errors.New("pushglue jobs: which feed?")})
			case args[0] == "-h" || args[0] == "--help":
				return c.Help()
			case args[0] == "" || strings.HasPrefix(args[0], "-"):
				return usageError{fmt.Errorf("pushglue jobs: the feed comes first, as in: pushglue jobs FEED --json; there is %q in its place", args[0])}
			}
			feed := newFeedCommand(args[0])
			feed.SetArgs(args[1:])
			feed.SetIn(c.InOrStdin())
			feed.SetOut(c.OutOrStdout())
			feed.SetErr(c.ErrOrStderr())
			return feed.ExecuteContext(c.Context())
		},
	}
	cmd.SetHelpFunc(func(c *cobra.Command, _ []string) {
		feed := newFeedCommand("")
		feed.SetOut(c.OutOrStdout())
		_ = feed.Help() // it fails only when the output does
	})
	return cmd
}

// newFeedCommand returns the tree of commands for one feed. Without a command, the feed is counted.
func newFeedCommand(name string) *cobra.Command {
	var r reporting
	cmd := &cobra.Command{
		Use:         "jobs",
		Annotations: map[string]string{cobra.CommandDisplayNameAnnotation: "pushglue jobs FEED"},
		Long: `Shows how many jobs a feed holds in each state, how old they are, and how many come and go a
second. The commands list jobs, show one, and move or delete some:

  queued   waits to be claimed by a worker
  claimed  is with a worker
  stalled  is out of the running until it is retried: it cannot work, or was tried too often

Other workers, of pushglue, thoonk.py or thoonk.js, can go on meanwhile.`,
		Example: `  pushglue jobs comments
  pushglue jobs comments list claimed --older 5m
  pushglue jobs comments retry --all`,
		SilenceErrors:     true,
		SilenceUsage:      true,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
		Args: func(c *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usageError{fmt.Errorf("%s: unknown command %q; there are list, show, retry, cancel and retract", c.CommandPath(), args[0])}
			}
			return nil
		},
		RunE: func(c *cobra.Command, _ []string) error {
			if r.over < 0 {
				return usageError{errors.New("--over is less than 0s")}
			}
			r.out = c.OutOrStdout()
			return withFeed(c.Context(), name, func(feed *thoonk.Feed) error { return r.run(c.Context(), feed) })
		},
	}
	cmd.Flags().DurationVar(&r.over, "over", time.Second, "how long to count what is put and finished; 0 for not at all")
	jsonFlag(cmd, &r.asJSON)
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	cmd.AddCommand(newListCommand(name), newShowCommand(name), newRetryCommand(name), newCancelCommand(name), newRetractCommand(name))
	return cmd
}

func jsonFlag(cmd *cobra.Command, asJSON *bool) {
	cmd.Flags().BoolVar(asJSON, "json", false, "print one JSON object")
}

// withFeed connects to Redis and calls do with the feed of this name.
func withFeed(ctx context.Context, name string, do func(*thoonk.Feed) error) error {
	c, err := readConfig()
	if err != nil {
		return err
	}
	rdb, err := connect(ctx, c, zerolog.Nop())
	if err != nil {
		return err
	}
	defer rdb.Close()
	feed, err := openFeed(rdb, c, name)
	if err != nil {
		return err
	}
	return do(feed)
}

// untilSignal returns a context that a SIGINT or SIGTERM ends. What works on many jobs looks at it
// between two pages, and lets the page at hand come to its end: so it can say how far it got. A
// second signal ends the process.
func untilSignal(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	return ctx, stop
}

func parseState(name string) (thoonk.State, error) {
	for _, state := range []thoonk.State{thoonk.Queued, thoonk.Claimed, thoonk.Stalled} {
		if state.String() == name {
			return state, nil
		}
	}
	return 0, fmt.Errorf("%q is no state of a job: it is queued, claimed or stalled", name)
}

// stateCount returns how many jobs of a state the feed holds.
func stateCount(counts thoonk.Counts, state thoonk.State) int {
	switch state {
	case thoonk.Queued:
		return int(counts.Queued)
	case thoonk.Claimed:
		return int(counts.Claimed)
	}
	return int(counts.Stalled)
}

// jobCount names a number of jobs: "1 job", "5,014 jobs", and of a state: "5,014 stalled jobs".
func jobCount(n int, state ...string) string {
	what := "jobs"
	if n == 1 {
		what = "job"
	}
	return strings.Join(append(append([]string{thousands(n)}, state...), what), " ")
}

// thousands writes a number that is not negative for people.
func thousands(n int) string {
	digits := strconv.Itoa(n)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

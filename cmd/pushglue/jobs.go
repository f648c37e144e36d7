package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"pushglue/glue/thoonk"
)

const jobsPurpose = "Show how a feed stands; list, show, retry, cancel and retract its jobs"

// newJobsCommand returns a command whose first argument is a feed and whose other ones are for the
// commands of that feed, which newFeedCommand makes: cobra has no commands behind an argument.
func newJobsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:                "jobs FEED [COMMAND]",
		Short:              jobsPurpose,
		DisableFlagParsing: true,
		ValidArgsFunction:  completeFeed,
		RunE: func(c *cobra.Command, args []string) error {
			switch {
			case len(args) == 0 || args[0] == "":
				return usageError{errors.New("FEED is missing")}
			case args[0] == "-h" || args[0] == "--help":
				return c.Help()
			case strings.HasPrefix(args[0], "-"):
				return noFeed(args[0])
			}
			feed := newFeedCommand(args[0])
			feed.SetArgs(args[1:])
			feed.SetIn(c.InOrStdin())
			feed.SetOut(c.OutOrStdout())
			feed.SetErr(c.ErrOrStderr())
			return execute(c.Context(), feed)
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
		Short:       jobsPurpose,
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
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
		Args: func(c *cobra.Command, args []string) error {
			switch {
			case len(args) == 0:
				return nil
			case isCommand(c, name):
				return noFeed(name)
			}
			return unknownCommand(c, args[0])
		},
		RunE: func(c *cobra.Command, _ []string) error {
			if r.over < 0 {
				return usageError{errors.New("--over is less than 0s")}
			}
			r.out = c.OutOrStdout()
			return withFeed(c, name, func(feed *thoonk.Feed) error { return r.run(c.Context(), feed) })
		},
	}
	cmd.Flags().DurationVar(&r.over, "over", time.Second, "how long to count what is put and finished; 0 for not at all")
	jsonFlag(cmd, &r.asJSON)
	cmd.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		if c == cmd && isCommand(c, name) {
			return noFeed(name)
		}
		return flagError(c, err)
	})
	asTree(cmd)
	cmd.AddCommand(newListCommand(name), newShowCommand(name), newRetryCommand(name), newCancelCommand(name), newRetractCommand(name))
	return cmd
}

// noFeed says that something else stands where the feed should.
func noFeed(word string) error {
	return usageError{fmt.Errorf("the feed comes first, as in: pushglue jobs FEED %s; there is %[1]q in its place", word)}
}

// isCommand reports whether a feed has the name of a command of feeds, and so may be none.
func isCommand(c *cobra.Command, feed string) bool {
	return slices.Contains(commandNames(c.Root()), feed)
}

func jsonFlag(cmd *cobra.Command, asJSON *bool) {
	cmd.Flags().BoolVar(asJSON, "json", false, "print one JSON object")
}

// withFeed connects to Redis and calls do with the feed of this name, for cmd.
func withFeed(cmd *cobra.Command, name string, do func(*thoonk.Feed) error) error {
	c, err := readConfig()
	if err != nil {
		return err
	}
	rdb, err := connect(cmd.Context(), c, zerolog.Nop())
	if err != nil {
		return err
	}
	defer rdb.Close()
	feed, err := openFeed(rdb, c, name)
	if err != nil {
		return err
	}
	warnOfNothing(cmd, feed)
	return do(feed)
}

// warnOfNothing tells a feed on which nothing was ever put from one that is empty now: its name may
// be wrong. That it cannot be counted is no matter, since what comes next fails then too.
func warnOfNothing(cmd *cobra.Command, feed *thoonk.Feed) {
	counts, err := feed.Counts(cmd.Context())
	if err != nil || counts != (thoonk.Counts{}) {
		return
	}
	advice := "look at its name, at PUSHGLUE_DIALECT, and at the database in PUSHGLUE_REDIS_URL"
	if isCommand(cmd, feed.Name()) {
		advice = noFeed(feed.Name()).Error()
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "warning: nothing was ever put on feed %s; %s\n", feed.Name(), advice)
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

// number counts things for people: "1 job", "5,014 stalled jobs".
func number(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return thousands(n) + " " + what
}

// thousands writes a number that is not negative for people.
func thousands(n int) string {
	digits := strconv.Itoa(n)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

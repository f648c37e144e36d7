package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/spf13/cobra"

	"pushglue/glue/thoonk"
)

func newCancelCommand(name string) *cobra.Command {
	var older time.Duration
	var counted time.Time
	c := changing{change: change{
		verb: "cancel", past: "cancelled", state: thoonk.Claimed,
		byID: func(ctx context.Context, feed *thoonk.Feed, ids []string) ([]string, error) {
			return feed.Cancel(ctx, ids...)
		},
		count: func(ctx context.Context, feed *thoonk.Feed) (int, error) {
			n, err := feed.OldClaims(ctx, older)
			counted = time.Now()
			return n, err
		},
		all: func(ctx context.Context, feed *thoonk.Feed, n int) iter.Seq[step] {
			return rounds(n, func(limit int) ([]string, error) {
				if older == thoonk.AnyAge {
					return feed.CancelOlder(ctx, older, limit)
				}
				// A claim that was too young when they were counted still is.
				return feed.CancelOlder(ctx, older+time.Since(counted), limit)
			})
		},
	}}
	cmd := &cobra.Command{
		Use:   "cancel ID… | --all [--older AGE]",
		Short: "End the claims of workers that are gone, so that others get the jobs",
		Long: `Ends claims, whoever made them: the jobs go back to the end of the feed, with one more
cancellation. Those that cannot be cancelled are named, and the exit code is 1 then.

A worker that is alive after all goes on with its job, and another one does it too: readers drop the
second message. So give an age with --all: longer than a worker may take for a job.`,
		Example: `  pushglue jobs comments list claimed --older 5m
  pushglue jobs comments cancel --all --older 5m`,
	}
	cmd.Flags().DurationVar(&older, "older", 0, "with --all, only claims that are older than this, such as 5m")
	return c.command(name, cmd, func() error {
		given := cmd.Flags().Changed("older")
		switch {
		case given && !c.everything:
			return errors.New("--older is for --all")
		case older < 0:
			return errors.New("--older is less than 0s")
		case given:
			c.warning = fmt.Sprintf(" whose claims are older than %s", older)
		default:
			// A claim of thoonk.py's is of the future where that one's clock is ahead.
			older = thoonk.AnyAge
			c.warning = ", also those of workers that are alive"
		}
		return nil
	})
}

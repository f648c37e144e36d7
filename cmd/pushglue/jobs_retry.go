package main

import (
	"context"
	"iter"

	"github.com/spf13/cobra"

	"pushglue/glue/thoonk"
)

func newRetryCommand(name string) *cobra.Command {
	c := changing{change: change{
		verb: "retry", past: "retried", state: thoonk.Stalled,
		byID: func(ctx context.Context, feed *thoonk.Feed, ids []string) ([]string, error) {
			retried, err := feed.Retry(ctx, ids...)
			if err != nil {
				return retried, err
			}
			recovered, err := feed.Recover(ctx, missing(ids, retried)...)
			return append(retried, recovered...), err
		},
		count: countState(thoonk.Stalled),
		all:   retryAll,
	}}
	return c.command(name, &cobra.Command{
		Use:   "retry ID… | --all",
		Short: "Put stalled jobs back on the feed",
		Long: `Puts stalled jobs back at the end of the feed, as if they were put now. Those that cannot be
retried are named, and the exit code is 1 then.

A job that is named by its id and is neither queued nor claimed nor stalled goes to the head of the
feed: a worker of thoonk.py has lost it. One that thoonk.py is claiming just now looks the same, so
wait a little first. To find that out costs Redis a walk over the queue for each such job.`,
		Example: `  pushglue jobs comments retry 0f8fad5bd9cb469fa16570867728950e
  pushglue jobs comments retry --all`,
	}, func() error { return nil })
}

// retryAll goes once through the stalled jobs, so that it comes to an end when they stall again.
func retryAll(ctx context.Context, feed *thoonk.Feed, _ int) iter.Seq[step] {
	return func(yield func(step) bool) {
		for ids, err := range feed.Walk(ctx, thoonk.Stalled) {
			retry := func() ([]string, error) {
				if err != nil {
					return nil, err
				}
				return feed.Retry(ctx, ids...)
			}
			if !yield(retry) {
				return
			}
		}
	}
}

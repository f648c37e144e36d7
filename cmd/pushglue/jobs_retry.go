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
			return feed.Retry(ctx, ids...)
		},
		count: countState(thoonk.Stalled),
		all:   retryAll,
	}}
	return c.command(name, &cobra.Command{
		Use:   "retry ID… | --all",
		Short: "Put stalled jobs back on the feed",
		Long: `Puts stalled jobs back at the end of the feed, as if they were put now. Those that cannot be
retried are named, and the exit code is 1 then.`,
		Example: `  pushglue jobs comments retry 0f8fad5bd9cb469fa16570867728950e
  pushglue jobs comments retry --all`,
	}, func() error { return nil })
}

// retryAll goes once through the stalled jobs, so that it comes to an end when they stall again.
func retryAll(ctx context.Context, feed *thoonk.Feed, _ int) iter.Seq2[[]string, error] {
	return func(yield func([]string, error) bool) {
		for ids, err := range feed.Walk(ctx, thoonk.Stalled) {
			if err == nil {
				ids, err = feed.Retry(ctx, ids...)
			}
			if !yield(ids, err) || err != nil {
				return
			}
		}
	}
}

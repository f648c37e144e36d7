package main

import (
	"context"
	"errors"
	"iter"

	"github.com/spf13/cobra"

	"pushglue/glue/thoonk"
)

func newRetractCommand(name string) *cobra.Command {
	var state string
	c := changing{change: change{
		verb: "retract", past: "retracted", warning: ", for good",
		byID: func(ctx context.Context, feed *thoonk.Feed, ids []string) ([]string, error) {
			return feed.Retract(ctx, ids...)
		},
	}}
	c.count = func(ctx context.Context, feed *thoonk.Feed) (int, error) { return countState(c.state)(ctx, feed) }
	c.all = func(ctx context.Context, feed *thoonk.Feed, n int) iter.Seq2[[]string, error] {
		return rounds(n, func(limit int) ([]string, error) { return feed.Purge(ctx, c.state, limit) })
	}
	cmd := &cobra.Command{
		Use:   "retract ID… | --all --state STATE",
		Short: "Delete jobs",
		Long: `Deletes jobs with their payloads; nobody gets them back. Those that do not exist are named, and the
exit code is 1 then. A worker that has claimed one can publish it nevertheless.

Each queued job that is named by its id costs Redis a walk over the queue; --all costs none. With
--all as many jobs are deleted as there are when it begins; what is put meanwhile is behind them.`,
		Example: `  pushglue jobs comments retract 0f8fad5bd9cb469fa16570867728950e
  pushglue jobs comments retract --all --state stalled`,
	}
	cmd.Flags().StringVar(&state, "state", "", "with --all: queued, claimed or stalled")
	return c.command(name, cmd, func() (err error) {
		switch {
		case state != "" && !c.everything:
			return errors.New("--state is for --all")
		case c.everything && state == "":
			return errors.New("--all needs a --state: queued, claimed or stalled")
		case c.everything:
			c.state, err = parseState(state)
		}
		return err
	})
}

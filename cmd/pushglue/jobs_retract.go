package main

import (
	"context"
	"errors"
	"iter"
	"time"

	"github.com/spf13/cobra"

	"pushglue/glue/thoonk"
)

func newRetractCommand(name string) *cobra.Command {
	var state string
	var those counted
	c := changing{change: change{verb: "retract", past: "retracted", warning: ", for good"}}
	c.byID = func(ctx context.Context, feed *thoonk.Feed, ids []string) ([]string, error) {
		if c.state == 0 {
			return feed.Retract(ctx, ids...)
		}
		return feed.RetractIf(ctx, c.state, ids...)
	}
	c.count = func(ctx context.Context, feed *thoonk.Feed) (n int, err error) {
		those, n, err = count(ctx, feed, c.state)
		return n, err
	}
	c.all = func(ctx context.Context, feed *thoonk.Feed, n int) iter.Seq[step] {
		if c.state == thoonk.Stalled {
			return chunks(those.ids, changePage, func(part []string) ([]string, error) {
				return feed.RetractIf(ctx, c.state, part...)
			})
		}
		return rounds(n, func(limit int) ([]string, error) { return feed.Purge(ctx, c.state, those.until, limit) })
	}
	cmd := &cobra.Command{
		Use:   "retract ID… [--state STATE] | --all --state STATE",
		Short: "Delete jobs",
		Long: `Deletes jobs with their payloads; nobody gets them back. Those that do not exist are named, and the
exit code is 1 then. A worker that has claimed one can publish it nevertheless.

Each queued job that is named by its id costs Redis a walk over the queue; --all costs none. With
--all those jobs are deleted that were there when they were counted: what is put, claimed or stalled
after that stays. So does what has a later time because a producer's or worker's clock is ahead.`,
		Example: `  pushglue jobs comments retract 0f8fad5bd9cb469fa16570867728950e
  pushglue jobs comments retract 0f8fad5bd9cb469fa16570867728950e --state stalled
  pushglue jobs comments retract --all --state stalled`,
	}
	cmd.Flags().StringVar(&state, "state", "", "queued, claimed or stalled; of jobs named by id, only those in this state")
	completeFlag(cmd, "state", cobra.FixedCompletions([]string{"queued", "claimed", "stalled"}, cobra.ShellCompDirectiveNoFileComp))
	return c.command(name, cmd, func() (err error) {
		switch {
		case c.everything && state == "":
			return errors.New("--all needs a --state: queued, claimed or stalled")
		case state != "":
			c.state, err = parseState(state)
		}
		return err
	})
}

// counted tells the jobs that were counted from others: by their time, or, since a stalled one has
// none, by their ids.
type counted struct {
	until time.Time
	ids   []string
}

func count(ctx context.Context, feed *thoonk.Feed, state thoonk.State) (c counted, n int, err error) {
	if state != thoonk.Stalled {
		// The time comes first: what is put between the two stays.
		if c.until, err = feed.Now(ctx); err != nil {
			return c, 0, err
		}
		n, err = countState(state)(ctx, feed)
		return c, n, err
	}
	for ids, err := range feed.Walk(ctx, state) {
		if err != nil {
			return c, 0, err
		}
		c.ids = append(c.ids, ids...)
	}
	return c, len(c.ids), nil
}

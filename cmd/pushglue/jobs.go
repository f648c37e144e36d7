package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"pushglue/glue/thoonk"
)

func newJobsCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "jobs FEED",
		Short: "Show how many jobs a feed holds, and how old they are",
		Args:  arguments(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, args []string) error {
			return jobs(c.Context(), args[0], asJSON, c.OutOrStdout())
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}

// feedReport is what jobs shows of a feed. Ages are in seconds; null when there is no such job.
type feedReport struct {
	Feed        string   `json:"feed"`
	Queued      int64    `json:"queued"`
	Claimed     int64    `json:"claimed"`
	Stalled     int64    `json:"stalled"`
	Cancelled   int64    `json:"cancelled"` // in the feed, and cancelled at least once
	Put         int64    `json:"put"`
	Finished    int64    `json:"finished"`
	OldestPut   *float64 `json:"oldestPutSeconds"`
	OldestClaim *float64 `json:"oldestClaimSeconds"`
}

func jobs(ctx context.Context, name string, asJSON bool, out io.Writer) error {
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
	r, err := report(ctx, feed)
	if err != nil {
		return err
	}
	if asJSON {
		return json.NewEncoder(out).Encode(r)
	}
	return r.write(out)
}

func report(ctx context.Context, feed *thoonk.Feed) (feedReport, error) {
	counts, err := feed.Counts(ctx)
	put, putErr := feed.OldestPut(ctx)
	claim, claimErr := feed.OldestClaim(ctx)
	now := time.Now()
	return feedReport{
		Feed: feed.Name(), Queued: counts.Queued, Claimed: counts.Claimed, Stalled: counts.Stalled,
		Cancelled: counts.Cancelled, Put: counts.Put, Finished: counts.Finished,
		OldestPut: age(now, put), OldestClaim: age(now, claim),
	}, errors.Join(err, putErr, claimErr)
}

// age returns the seconds from then to now, or nil if then is no time.
func age(now, then time.Time) *float64 {
	if then.IsZero() {
		return nil
	}
	seconds := max(0, now.Sub(then).Seconds())
	return &seconds
}

func (r feedReport) write(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "feed %s\t\n", r.Feed)
	fmt.Fprintf(t, "queued\t%d\n", r.Queued)
	fmt.Fprintf(t, "claimed\t%d\n", r.Claimed)
	fmt.Fprintf(t, "stalled\t%d\n", r.Stalled)
	fmt.Fprintf(t, "cancelled once or more\t%d\n", r.Cancelled)
	fmt.Fprintf(t, "oldest queued or claimed\t%s\n", ageText(r.OldestPut))
	fmt.Fprintf(t, "oldest claim\t%s\n", ageText(r.OldestClaim))
	fmt.Fprintf(t, "ever put\t%d\n", r.Put)
	fmt.Fprintf(t, "ever finished\t%d\n", r.Finished)
	return t.Flush()
}

func ageText(seconds *float64) string {
	if seconds == nil {
		return "-"
	}
	return time.Duration(*seconds * float64(time.Second)).Round(time.Millisecond).String()
}

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"pushglue/glue/thoonk"
)

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

	// How many jobs came and went while they were counted twice; left out if they were not.
	Over              *float64 `json:"overSeconds,omitempty"`
	PutPerSecond      *float64 `json:"putPerSecond,omitempty"`
	FinishedPerSecond *float64 `json:"finishedPerSecond,omitempty"`
}

// reporting is one run of jobs without a command.
type reporting struct {
	over   time.Duration
	asJSON bool
	out    io.Writer
}

func (r *reporting) run(ctx context.Context, feed *thoonk.Feed) error {
	before, err := feed.Counts(ctx)
	start := time.Now()
	if err != nil {
		return err
	}
	if r.over == 0 {
		return r.print(report(ctx, feed, before))
	}
	time.Sleep(r.over)
	after, err := feed.Counts(ctx)
	seconds := time.Since(start).Seconds()
	if err != nil {
		return err
	}
	full, err := report(ctx, feed, after)
	put, finished := float64(after.Put-before.Put)/seconds, float64(after.Finished-before.Finished)/seconds
	full.Over, full.PutPerSecond, full.FinishedPerSecond = &seconds, &put, &finished
	return r.print(full, err)
}

func (r *reporting) print(report feedReport, err error) error {
	if err != nil {
		return err
	}
	if r.asJSON {
		return writeJSON(r.out, report)
	}
	return report.write(r.out)
}

func report(ctx context.Context, feed *thoonk.Feed, counts thoonk.Counts) (feedReport, error) {
	put, putErr := feed.OldestPut(ctx)
	claim, claimErr := feed.OldestClaim(ctx)
	now := time.Now()
	return feedReport{
		Feed: feed.Name(), Queued: counts.Queued, Claimed: counts.Claimed, Stalled: counts.Stalled,
		Cancelled: counts.Cancelled, Put: counts.Put, Finished: counts.Finished,
		OldestPut: age(now, put), OldestClaim: age(now, claim),
	}, errors.Join(putErr, claimErr)
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
	if r.Over != nil {
		fmt.Fprintf(t, "put a second\t%.1f over %s\n", *r.PutPerSecond, ageText(r.Over))
		fmt.Fprintf(t, "finished a second\t%.1f over %s\n", *r.FinishedPerSecond, ageText(r.Over))
	}
	return t.Flush()
}

// ageText writes seconds for people: to the millisecond, but where that is of no interest.
func ageText(seconds *float64) string {
	if seconds == nil {
		return "-"
	}
	unit := time.Millisecond
	if *seconds >= 10 {
		unit = time.Second
	}
	return time.Duration(*seconds * float64(time.Second)).Round(unit).String()
}

package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"pushglue/glue"
	"pushglue/glue/thoonk"
)

func newListCommand(name string) *cobra.Command {
	var l listing
	cmd := &cobra.Command{
		Use:   "list STATE",
		Short: "List the jobs in a state: queued, claimed or stalled",
		Long: `Lists jobs without their payloads: queued ones in the order of the queue, the next one first;
claimed ones with the oldest claim first; stalled ones in no order, with the reason that pushglue
had. Another worker that stalls a job notes no reason, and no time.

With --older, queued jobs are those that were put so long ago, the oldest first, claimed ones
those whose claim is so old, and stalled ones those that stalled so long ago. Queued ones are then sought by their time put and not on the queue, so
that those show too which a worker of thoonk.py has lost.`,
		Example: `  pushglue jobs comments list stalled
  pushglue jobs comments list claimed --older 5m
  pushglue jobs comments list queued --limit 0 --json`,
		ValidArgs: []string{"queued", "claimed", "stalled"},
		Args:      arguments(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, args []string) error {
			l.byAge = c.Flags().Changed("older")
			if err := l.check(args[0]); err != nil {
				return usageError{err}
			}
			l.out = bufio.NewWriter(c.OutOrStdout())
			return withFeed(c, name, func(feed *thoonk.Feed) error { return l.run(c.Context(), feed) })
		},
	}
	cmd.Flags().DurationVar(&l.older, "older", 0, "only jobs that were put, were claimed, or stalled, longer ago than this, such as 5m")
	cmd.Flags().IntVar(&l.limit, "limit", 100, "how many jobs to list; 0 for all")
	jsonFlag(cmd, &l.asJSON)
	return cmd
}

// listing is one run of list.
type listing struct {
	state  thoonk.State
	byAge  bool
	older  time.Duration
	limit  int
	asJSON bool
	out    *bufio.Writer

	table  *tabwriter.Writer
	total  *int // jobs in the state, if they can be counted
	listed int
	cut    bool // there are more
}

func (l *listing) check(state string) (err error) {
	l.state, err = parseState(state)
	switch {
	case err != nil:
		return err
	case l.older < 0:
		return errors.New("--older is less than 0s")
	case l.limit < 0:
		return errors.New("--limit is less than 0")
	}
	return nil
}

func (l *listing) run(ctx context.Context, feed *thoonk.Feed) error {
	signalled, stop := untilSignal(ctx)
	defer stop()
	if err := l.count(ctx, feed); err != nil {
		return err
	}
	l.begin(feed.Name())
	err := l.jobs(ctx, signalled, feed)
	return errors.Join(l.end(err != nil), l.out.Flush(), err)
}

func (l *listing) count(ctx context.Context, feed *thoonk.Feed) error {
	switch {
	case !l.byAge:
		counts, err := feed.Counts(ctx)
		n := stateCount(counts, l.state)
		l.total = &n
		return err
	case l.state == thoonk.Claimed:
		n, err := feed.OldClaims(ctx, l.older)
		l.total = &n
		return err
	}
	return nil
}

func (l *listing) pages(ctx context.Context, feed *thoonk.Feed) iter.Seq2[[]string, error] {
	if l.byAge && l.state != thoonk.Stalled {
		return feed.WalkOlder(ctx, l.state, l.older)
	}
	return feed.Walk(ctx, l.state)
}

// jobs lists the jobs, until it is signalled.
func (l *listing) jobs(ctx, signalled context.Context, feed *thoonk.Feed) error {
	for ids, err := range l.pages(ctx, feed) {
		if err != nil {
			return err
		}
		for len(ids) > 0 && !l.cut {
			if signalled.Err() != nil {
				return fmt.Errorf("interrupted; listed %s", number(l.listed, "job"))
			}
			n := len(ids)
			if l.limit > 0 {
				// One more tells whether there are more. Those in another state count for nothing.
				n = min(n, max(l.limit-l.listed+1, idPage))
			}
			entries, err := feed.Describe(ctx, ids[:n]...)
			if err != nil {
				return err
			}
			if err := l.rows(entries); err != nil {
				return err
			}
			ids = ids[n:]
		}
		if l.cut {
			return nil
		}
	}
	return nil
}

// jobRow is what list shows of a job. Ages are in seconds; null when there is no time. A stalled job
// was cancelled null times: Thoonk takes the number away.
type jobRow struct {
	ID        string   `json:"id"`
	State     string   `json:"state"`
	Put       *float64 `json:"putSeconds"`
	Claim     *float64 `json:"claimSeconds"`
	Cancelled *int     `json:"cancelled"`
	Bytes     int      `json:"bytes"`

	Stalled *float64     `json:"stalledSeconds"`
	Reason  *glue.Reason `json:"reason"`
}

func newJobRow(now time.Time, e thoonk.Entry) jobRow {
	cancelled := &e.Cancelled
	if e.State == thoonk.Stalled {
		cancelled = nil
	}
	row := jobRow{
		ID: e.ID, State: e.State.String(), Put: age(now, e.Put), Claim: age(now, e.ClaimedAt),
		Cancelled: cancelled, Bytes: e.Size, Reason: e.Reason,
	}
	if e.Reason != nil {
		row.Stalled = age(now, e.Reason.Time)
	}
	return row
}

// rows writes the jobs that are in the state still.
func (l *listing) rows(entries []thoonk.Entry) error {
	now := time.Now()
	entries = slices.DeleteFunc(entries, func(e thoonk.Entry) bool { return !l.has(e, now) })
	if l.limit > 0 && len(entries) > l.limit-l.listed {
		l.cut = true
		entries = entries[:l.limit-l.listed]
	}
	for _, e := range entries {
		if err := l.row(newJobRow(now, e)); err != nil {
			return err
		}
		l.listed++
	}
	if l.table != nil {
		if err := l.table.Flush(); err != nil {
			return err
		}
	}
	return l.out.Flush()
}

// has reports whether a job belongs on the list. The pages are older than what is known of the job now, and
// those of stalled jobs do not go by age.
func (l *listing) has(e thoonk.Entry, now time.Time) bool {
	if e.State != l.state {
		return false
	}
	return !l.byAge || l.state != thoonk.Stalled || e.Reason != nil && now.Sub(e.Reason.Time) >= l.older
}

func (l *listing) row(r jobRow) error {
	if !l.asJSON {
		return l.line(r)
	}
	line, err := printableJSON(r)
	if err != nil {
		return err
	}
	separator := ",\n"
	if l.listed == 0 {
		separator = "\n"
	}
	_, err = l.out.WriteString(separator + string(line))
	return err
}

// line writes a row of the table, and its head before the first one. Of a stalled job, the reason is what matters.
func (l *listing) line(r jobRow) (err error) {
	id := printable([]byte(r.ID))
	if l.state == thoonk.Stalled {
		if l.listed == 0 {
			fmt.Fprintf(l.table, "ID\tSTALLED\tPIPELINE\tHOST\tATTEMPTS\tBYTES\tERROR\n")
		}
		why := newWhy(r.Reason)
		_, err = fmt.Fprintf(l.table, "%s\t%s\t%s\t%s\t%s\t%d\t%s\n", id, ago(r.Stalled), why.pipeline, why.host, why.attempts, r.Bytes, why.text)
		return err
	}
	if l.listed == 0 {
		fmt.Fprintf(l.table, "ID\tPUT\tCLAIMED\tCANCELLED\tBYTES\n")
	}
	_, err = fmt.Fprintf(l.table, "%s\t%s\t%s\t%s\t%d\n", id, ago(r.Put), ago(r.Claim), times(r.Cancelled), r.Bytes)
	return err
}

// why is a reason for people; a hyphen where nothing is known.
type why struct{ pipeline, host, attempts, text string }

func newWhy(r *glue.Reason) why {
	if r == nil {
		return why{"-", "-", "-", "-"}
	}
	or := func(text string) string { return cmp.Or(printable([]byte(text)), "-") }
	return why{or(r.Pipeline), or(r.Host), strconv.Itoa(r.Attempts), or(r.Error)}
}

func ago(seconds *float64) string {
	if seconds == nil {
		return "-"
	}
	return ageText(seconds) + " ago"
}

func times(n *int) string {
	if n == nil {
		return "-"
	}
	return strconv.Itoa(*n)
}

// begin begins the output. A list can be long, so JSON too is written job by job.
func (l *listing) begin(feed string) {
	if !l.asJSON {
		l.table = tabwriter.NewWriter(l.out, 0, 0, 2, ' ', 0)
		return
	}
	head, _ := printableJSON(map[string]any{"feed": feed, "state": l.state.String(), "total": l.total}) // of these it cannot fail
	fmt.Fprintf(l.out, "%s,\"jobs\":[", head[:len(head)-1])
}

// end ends the output. With JSON that is an object also when it broke off.
func (l *listing) end(broken bool) error {
	state := l.state.String()
	var err error
	switch {
	case l.asJSON:
		_, err = fmt.Fprintf(l.out, "],\"listed\":%d,\"more\":%t}\n", l.listed, l.cut || broken)
	case broken:
	case l.cut && l.total != nil:
		_, err = fmt.Fprintf(l.out, "%s of %s; --limit 0 for all\n", thousands(l.listed), number(max(*l.total, l.listed+1), state+" job"))
	case l.cut:
		_, err = fmt.Fprintf(l.out, "%s, and there are more; --limit 0 for all\n", number(l.listed, state+" job"))
	case l.listed == 0:
		_, err = fmt.Fprintf(l.out, "no %s jobs\n", state)
	}
	return err
}

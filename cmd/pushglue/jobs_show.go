package main

import (
	"context"
	"fmt"
	"io"
	"text/tabwriter"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"pushglue/glue/thoonk"
)

func newShowCommand(name string) *cobra.Command {
	var s showing
	cmd := &cobra.Command{
		Use:   "show ID",
		Short: "Show one job with its payload",
		Long: `Shows where a job is, since when, how often it was cancelled, why it is stalled if it is, and its payload.

On a terminal, the payload's control characters are escaped. With --json a payload that is not UTF-8
is in payloadBase64.`,
		Args: arguments(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, args []string) error {
			s.out = c.OutOrStdout()
			return withFeed(c, name, func(feed *thoonk.Feed) error { return s.run(c.Context(), feed, args[0]) })
		},
	}
	jsonFlag(cmd, &s.asJSON)
	return cmd
}

// showing is one run of show.
type showing struct {
	asJSON bool
	out    io.Writer
}

// jobReport is what show shows of a job.
type jobReport struct {
	Feed string `json:"feed"`
	jobRow
	PutAt     *time.Time `json:"putAt"`
	ClaimedAt *time.Time `json:"claimedAt"`
	StalledAt *time.Time `json:"stalledAt"`

	Payload *string `json:"payload,omitempty"`
	Base64  []byte  `json:"payloadBase64,omitempty"` // instead, if it is no UTF-8
}

func (s *showing) run(ctx context.Context, feed *thoonk.Feed, id string) error {
	job, err := feed.Job(ctx, id)
	if err != nil {
		return err
	}
	entry := thoonk.Entry{ID: job.ID, State: job.State, Put: job.Put, ClaimedAt: job.ClaimedAt, Cancelled: job.Cancelled, Size: len(job.Payload), Reason: job.Reason}
	report := jobReport{Feed: feed.Name(), jobRow: newJobRow(time.Now(), entry), PutAt: moment(job.Put), ClaimedAt: moment(job.ClaimedAt)}
	if job.Reason != nil {
		report.StalledAt = moment(job.Reason.Time)
	}
	if !s.asJSON {
		return report.write(s.out, job.Payload)
	}
	if payload := string(job.Payload); utf8.ValidString(payload) {
		report.Payload = &payload
	} else {
		report.Base64 = job.Payload
	}
	return writeJSON(s.out, report)
}

// moment returns a time for people and programs alike, or nil if it is none.
func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

func (r *jobReport) write(w io.Writer, payload []byte) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "job\t%s\n", printable([]byte(r.ID)))
	fmt.Fprintf(t, "state\t%s\n", r.State)
	fmt.Fprintf(t, "put\t%s\n", since(r.Put, r.PutAt))
	fmt.Fprintf(t, "claimed\t%s\n", since(r.Claim, r.ClaimedAt))
	fmt.Fprintf(t, "times cancelled\t%s\n", times(r.Cancelled))
	fmt.Fprintf(t, "bytes\t%d\n", r.Bytes)
	if r.State == thoonk.Stalled.String() {
		why := newWhy(r.Reason)
		fmt.Fprintf(t, "stalled\t%s\n", since(r.Stalled, r.StalledAt))
		fmt.Fprintf(t, "pipeline\t%s\nhost\t%s\nattempts\t%s\nerror\t%s\n", why.pipeline, why.host, why.attempts, why.text)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if isTerminal(w) {
		payload = []byte(printable(payload))
	}
	_, err := fmt.Fprintf(w, "\n%s\n", payload)
	return err
}

func since(seconds *float64, at *time.Time) string {
	if at == nil {
		return "-"
	}
	return fmt.Sprintf("%s, %s", ago(seconds), at.Format("2006-01-02 15:04:05.000 MST"))
}

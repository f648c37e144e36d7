package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"pushglue/glue"
	"pushglue/glue/thoonk"
)

func newTraceCommand() *cobra.Command {
	var t tracing
	cmd := &cobra.Command{
		Use:   "trace FEED [ID]",
		Short: "Show what became of one job",
		Long: `Asks a daemon on this machine, and Redis, what became of a job: when it was put and claimed, what each stage and
publisher did with it and how long they took, what each push host answered and when, and how it was settled. All times are
since it was put.

A daemon does not remember every job. With PUSHGLUE_TRACE=some, which is the default, it keeps the last 1,000 traces of jobs that
failed, or took longer than a second from claim to settlement, and of the last job of each claim; with PUSHGLUE_TRACE=all those of the last 10,000 jobs. Redis holds a job
until it is finished.

With --wait it waits for a job that is still on the feed, and has it traced. With --put it puts a job, the first line of a file
or of standard input ("-"), and follows that one.`,
		Example: `  pushglue trace comments 5f0c3b1c9c5e4f7f8b7f0f5d3c2b1a00
  head -1 testdata/comments.jsonl | pushglue trace comments --put -`,
		Args:              arguments(cobra.RangeArgs(1, 2)),
		ValidArgsFunction: completeFirst(feedNames, cobra.ShellCompDirectiveNoFileComp),
		RunE: func(c *cobra.Command, args []string) error {
			if (len(args) == 2) == (t.put != "") {
				return usageError{errors.New("want the ID of a job, or --put with a file")}
			}
			t.out = c.OutOrStdout()
			return withFeed(c, args[0], func(feed *thoonk.Feed) error {
				if t.put != "" {
					return t.follow(c.Context(), feed, c.InOrStdin())
				}
				return t.run(c.Context(), feed, args[1])
			})
		},
	}
	addrFlag(cmd.Flags(), &t.asking.addr)
	cmd.Flags().DurationVar(&t.wait, "wait", 0, "wait for the job to be settled, for so long")
	cmd.Flags().StringVar(&t.put, "put", "", "put the first line of this file as a job, and follow it; for 30s, unless --wait says how long")
	jsonFlag(cmd, &t.asJSON)
	completeFlag(cmd, "put", completeFiles)
	return cmd
}

// tracing is one run of trace.
type tracing struct {
	asking asking
	wait   time.Duration
	put    string // a file
	asJSON bool
	out    io.Writer
}

// traceOutput is what trace knows of a job.
type traceOutput struct {
	Feed string `json:"feed"`
	Job  string `json:"job"`
	traceReport
	Redis *jobRow `json:"redis"` // null if Redis does not hold the job
}

// run shows what is known of a job.
func (t *tracing) run(ctx context.Context, feed *thoonk.Feed, id string) error {
	report, err := t.ask(ctx, feed.Name(), id, nil)
	return t.write(ctx, feed, id, report, err)
}

// follow puts a job when the daemon is sure to notice it, and shows what becomes of it.
func (t *tracing) follow(ctx context.Context, feed *thoonk.Feed, stdin io.Reader) error {
	payload, err := t.payload(ctx, stdin)
	if err != nil {
		return err
	}
	t.wait = cmp.Or(t.wait, 30*time.Second)
	id := thoonk.NewID()
	report, err := t.ask(ctx, feed.Name(), id, func() error {
		_, err := feed.Put(ctx, [][]byte{payload}, thoonk.PutOptions{IDs: []string{id}})
		return err
	})
	return t.write(ctx, feed, id, report, err)
}

// payload returns the first line of the file, as put takes it.
func (t *tracing) payload(ctx context.Context, stdin io.Reader) ([]byte, error) {
	in := stdin
	if t.put != "-" {
		f, err := os.Open(t.put)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	line, err := readLine(bufio.NewReader(in))
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s: %w", t.put, err)
	}
	if len(line) == 0 {
		return nil, fmt.Errorf("%s: its first line is empty", t.put)
	}
	p := putting{maxPayload: maxLine}
	return line, p.check(ctx, line)
}

// ask asks the daemon for the traces of a job, until it is settled or the time to wait is over. It calls ready, unless that is nil,
// when the daemon is sure to notice the job.
func (t *tracing) ask(ctx context.Context, feed, id string, ready func() error) (traceReport, error) {
	deadline := time.Now().Add(t.wait)
	for {
		report, err := t.askOnce(ctx, feed, id, max(0, time.Until(deadline)), ready)
		n := len(report.Traces)
		if err != nil || time.Now().After(deadline) || n > 0 && report.Traces[n-1].Settled != nil {
			return report, err
		}
		ready = nil
	}
}

func (t *tracing) askOnce(ctx context.Context, feed, id string, wait time.Duration, ready func() error) (report traceReport, err error) {
	address, err := reachable(t.asking.address())
	if err != nil {
		return report, err
	}
	query := url.Values{"feed": {feed}, "job": {id}}
	if wait > 0 {
		query.Set("wait", wait.String())
	}
	ctx, cancel := context.WithTimeout(ctx, askTime+maxTraceWait)
	defer cancel()
	resp, err := openAt(ctx, http.MethodGet, address, "/trace?"+query.Encode(), nil)
	if err != nil {
		return report, err
	}
	if resp.StatusCode == http.StatusOK && ready != nil {
		if err := ready(); err != nil {
			resp.Body.Close()
			return report, err
		}
	}
	err = readAnswer(resp, address, &report, func() bool { return report.Keeps != "" })
	return report, err
}

// write shows what the daemon said, and what Redis has. That the daemon said nothing is an error behind that.
func (t *tracing) write(ctx context.Context, feed *thoonk.Feed, id string, report traceReport, failed error) error {
	output := traceOutput{Feed: feed.Name(), Job: id, traceReport: report}
	switch job, err := feed.Job(ctx, id); {
	case err == nil:
		row := newJobRow(time.Now(), thoonk.Entry{ID: job.ID, State: job.State, Put: job.Put, ClaimedAt: job.ClaimedAt, Cancelled: job.Cancelled, Size: len(job.Payload), Reason: job.Reason})
		output.Redis = &row
	case !errors.Is(err, thoonk.ErrNoJob):
		failed = errors.Join(failed, err)
	}
	if t.asJSON {
		return errors.Join(failed, writeJSON(t.out, output))
	}
	if err := output.write(t.out, failed == nil); err != nil {
		return errors.Join(failed, err)
	}
	return failed
}

func (o *traceOutput) write(w io.Writer, asked bool) error {
	fmt.Fprintf(w, "job %s of feed %s\n", printable([]byte(o.Job)), printable([]byte(o.Feed)))
	for i := range o.Traces {
		if err := writeTrace(w, &o.Traces[i]); err != nil {
			return err
		}
	}
	if len(o.Traces) == 0 && asked {
		fmt.Fprintln(w, "\nthis daemon has no trace of it: "+keepsText(o.Keeps))
	}
	_, err := fmt.Fprintln(w, "\n"+o.redisText())
	return err
}

// keepsText says what a daemon remembers.
func keepsText(keeps glue.Keep) string {
	switch keeps {
	case glue.KeepAll:
		return "it keeps those of the last 10,000 jobs that it claimed since its start"
	case glue.KeepSome:
		return fmt.Sprintf("it keeps the last 1,000 of jobs that failed or took longer than %s, and of the last job of each claim;\n"+
			"PUSHGLUE_TRACE=all keeps those of the last 10,000 jobs", glue.SlowTime)
	}
	return "it keeps none; PUSHGLUE_TRACE=some keeps those of jobs that fail or are slow, PUSHGLUE_TRACE=all those of the last 10,000 jobs"
}

func (o *traceOutput) redisText() string {
	r := o.Redis
	if r == nil {
		return "Redis does not hold it: it is finished, was retracted, or was never put"
	}
	text := fmt.Sprintf("Redis holds it: %s, put %s, cancelled %s", r.State, ago(r.Put), times(r.Cancelled))
	if r.State == thoonk.Claimed.String() {
		text += ", claimed " + ago(r.Claim)
	}
	if r.Reason != nil {
		text += fmt.Sprintf("; stalled %s, attempts %d, because %s", ago(r.Stalled), r.Reason.Attempts, printable([]byte(r.Reason.String())))
	}
	return text
}

// writeTrace writes one claim of a job for people.
func writeTrace(w io.Writer, t *glue.Trace) error {
	begin := t.Claimed
	if t.Put != nil {
		begin = *t.Put
	}
	since := func(at time.Time) string { return fmt.Sprintf("+%.1f ms", at.Sub(begin).Seconds()*1e3) }
	fmt.Fprintln(w)
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	if t.Put != nil {
		fmt.Fprintf(table, "%s\tput\n", begin.Format("2006-01-02 15:04:05.000"))
	}
	fmt.Fprintf(table, "%s\tclaimed by this daemon, cancelled %s before; traced: %s\n", since(t.Claimed), number(t.Cancelled, "time"), t.Why)
	for i := range t.Steps {
		s := &t.Steps[i]
		if t.LeftOut > 0 && i == len(t.Steps)/2 {
			fmt.Fprintf(table, "…\t%s left out\n", number(t.LeftOut, "step"))
		}
		fmt.Fprintf(table, "%s\t%s\t%.2f ms\t%s\n", since(s.Start), stepText(s), s.End.Sub(s.Start).Seconds()*1e3, stepNotes(s))
		for _, a := range s.Hosts {
			fmt.Fprintf(table, "\t  %s\t\t%s\n", a.Host, answerText(&a, since))
		}
	}
	if t.Settled == nil {
		fmt.Fprintf(table, "%s\tnot settled yet\n", since(time.Now()))
	} else {
		fmt.Fprintf(table, "%s\t%s\t\t%s\n", since(*t.Settled), t.Verdict, printable([]byte(t.Error)))
	}
	return table.Flush()
}

func stepText(s *glue.Step) string {
	text := s.What
	if s.Stage != "" {
		text += " " + s.Stage
	}
	if s.Attempt > 1 {
		text += fmt.Sprintf(" (attempt %d)", s.Attempt)
	}
	return text
}

func stepNotes(s *glue.Step) string {
	var notes []string
	if len(s.Pipelines) > 0 {
		notes = append(notes, strings.Join(s.Pipelines, ", "))
	}
	if s.What != glue.StepSettle {
		notes = append(notes, fmt.Sprintf("%d in, %d out", s.In, s.Out))
	}
	if len(s.Channels) > 0 {
		notes = append(notes, "to "+printable([]byte(strings.Join(s.Channels, " "))))
	}
	if s.OfBatch {
		notes = append(notes, "times and hosts of its batch")
	}
	if s.Error != "" {
		notes = append(notes, printable([]byte(s.Error)))
	}
	return strings.Join(notes, "; ")
}

func answerText(a *glue.Answer, since func(time.Time) string) string {
	text := "refused"
	switch {
	case a.Accepted:
		text = "accepted"
	case a.Answered == nil:
		text = "no answer"
	}
	if a.Sent != nil {
		text += ", sent " + since(*a.Sent)
	}
	if a.Answered != nil {
		text += ", answered " + since(*a.Answered)
	}
	if a.Error != "" {
		text += ": " + printable([]byte(a.Error))
	}
	return text
}

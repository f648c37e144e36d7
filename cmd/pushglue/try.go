package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"pushglue/glue"
)

func newTryCommand() *cobra.Command {
	var t trial
	cmd := &cobra.Command{
		Use:   "try PIPELINE [FILE…]",
		Short: "Run jobs from files through a pipeline and show what would be published",
		Long: `Takes each line of the files, or of standard input, as the payload of a job, runs it through the
stages of a pipeline of the pipelines file (PUSHGLUE_PIPELINES), and prints what would be published and
where. It connects to nothing and publishes nothing.

The exit code is 1 if a job fails; one that a stage drops is no failure.`,
		Example: `  pushglue try JSONAnonHTTP testdata/comments.jsonl
  echo '{"id":"c1.1","event":"post_save","thread":17}' | pushglue try -v JSONAnonHTTP`,
		Args:              arguments(cobra.MinimumNArgs(1)),
		ValidArgsFunction: completeFirst(pipelineNames, cobra.ShellCompDirectiveDefault),
		RunE: func(c *cobra.Command, args []string) error {
			t.out, t.summary = bufio.NewWriter(c.OutOrStdout()), c.ErrOrStderr()
			return errors.Join(t.run(c.Context(), args[0], args[1:], c.InOrStdin()), t.out.Flush())
		},
	}
	cmd.Flags().DurationVar(&t.waited, "waited", 0, "how long the jobs have waited on their feed, for the stage expire")
	cmd.Flags().BoolVarP(&t.verbose, "verbose", "v", false, "show what each stage does")
	return cmd
}

// trial is one run of try.
type trial struct {
	verbose bool
	waited  time.Duration
	out     *bufio.Writer
	summary io.Writer

	pipeline glue.Pipeline

	// Of the job at hand:
	drop  string // which stage dropped it, or the last of its parts, and why
	split bool   // it has parts

	jobs, messages, dropped, failed int
}

func (t *trial) run(ctx context.Context, name string, files []string, stdin io.Reader) error {
	c, err := readConfig()
	w, wiringErr := newWiring(c, new(glue.Ledger), zerolog.Nop())
	defer w.close()
	if err := errors.Join(err, wiringErr); err != nil {
		return err
	}
	if err := t.choose(w.pipelines, name); err != nil {
		return fmt.Errorf("%s: %w", c.Pipelines, err)
	}
	if len(files) == 0 {
		err = t.lines(ctx, "standard input", stdin)
	}
	for _, name := range files {
		if err = t.readFile(ctx, name); err != nil {
			break
		}
	}
	if t.jobs == 0 && err != nil {
		return err
	}
	fmt.Fprintf(t.summary, "%s: %s to publish, %d dropped, %d failed\n", number(t.jobs, "job"), number(t.messages, "message"), t.dropped, t.failed)
	if err == nil && t.failed > 0 {
		err = fmt.Errorf("%s failed", number(t.failed, "job"))
	}
	return err
}

// choose takes the pipeline of this name, with its stages under observation.
func (t *trial) choose(pipelines []glue.Pipeline, name string) error {
	var names []string
	for _, p := range pipelines {
		names = append(names, p.Name)
	}
	i := slices.Index(names, name)
	if i < 0 {
		return fmt.Errorf("there is no pipeline %q; there are %s", name, strings.Join(names, ", "))
	}
	t.pipeline = pipelines[i]
	t.pipeline.Stages = slices.Clone(t.pipeline.Stages)
	for i, s := range t.pipeline.Stages {
		t.pipeline.Stages[i].Stage = &observed{s, t}
	}
	return nil
}

func (t *trial) readFile(ctx context.Context, name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	return t.lines(ctx, name, f)
}

func (t *trial) lines(ctx context.Context, name string, r io.Reader) error {
	in := bufio.NewReaderSize(r, 64<<10)
	for n := 1; ctx.Err() == nil; n++ {
		line, err := readLine(in)
		if err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("%s:%d: %w", name, n, err)
		}
		if len(line) > 0 {
			t.job(ctx, fmt.Sprintf("%s:%d", name, n), line)
		}
		if err != nil {
			return nil
		}
		if in.Buffered() == 0 {
			if err := t.out.Flush(); err != nil {
				return err
			}
		}
	}
	return ctx.Err()
}

// job runs one job and prints what becomes of it.
func (t *trial) job(ctx context.Context, place string, payload []byte) {
	t.jobs++
	t.drop, t.split = "dropped", false
	if t.verbose {
		fmt.Fprintf(t.out, "%s\n  %-12s %s\n", place, "payload", printable(payload))
	}
	messages, err := t.pipeline.Transform(ctx, glue.Job{ID: fmt.Sprintf("job%d", t.jobs), Feed: t.pipeline.Feed, Payload: payload, Waited: t.waited})
	if !t.verbose {
		fmt.Fprint(t.out, place)
	}
	switch {
	case err != nil:
		t.failed++
		how := "fails for now: "
		if glue.IsPermanent(err) {
			how = "fails for good: "
		}
		t.conclude(how + explain(err))
	case len(messages) == 0:
		t.dropped++
		t.conclude(t.drop)
	}
	t.messages += len(messages)
	for i, m := range messages {
		if !t.verbose && i > 0 {
			fmt.Fprint(t.out, place)
		}
		t.conclude(strings.Join(slices.DeleteFunc([]string{m.ID, m.Type, destination(t.pipeline.Target, m)}, isEmpty), "  "))
		fmt.Fprintf(t.out, "  %s\n", printable(m.Body()))
	}
}

// explain returns an error's text with what a log must not have of it: here it is the caller's own data.
func explain(err error) string {
	if detail := glue.Detail(err); detail != nil {
		return err.Error() + ": " + printable([]byte(detail.Error()))
	}
	return err.Error()
}

func isEmpty(s string) bool { return s == "" }

// conclude prints what becomes of a job, behind its place, or as the end of what its stages did.
func (t *trial) conclude(what string) {
	if t.verbose {
		fmt.Fprintf(t.out, "  = %s\n", what)
		return
	}
	fmt.Fprintf(t.out, ": %s\n", what)
}

// destination says where a message would be published.
func destination(target string, m *glue.Message) string {
	if len(m.Channels) == 0 {
		return "to " + target
	}
	return "to " + target + " " + printable([]byte(strings.Join(m.Channels, ", ")))
}

// observed is a stage of a trial.
type observed struct {
	glue.NamedStage
	trial *trial
}

// Process implements glue.Stage: it calls the stage and prints what it changes.
func (o *observed) Process(ctx context.Context, m *glue.Message) error {
	before := glimpse(m)
	defer o.tellPanic()
	err := o.NamedStage.Process(ctx, m)
	if errors.Is(err, glue.ErrDrop) {
		o.trial.drop = "dropped by stage " + o.Name + strings.TrimPrefix(err.Error(), glue.ErrDrop.Error())
	}
	if !o.trial.verbose {
		return err
	}
	name := o.Name
	if o.trial.split {
		name += " " + before.id
	}
	for _, effect := range effects(before, m, err) {
		fmt.Fprintf(o.trial.out, "  %-12s %s\n", name, effect)
		name = ""
	}
	o.trial.split = o.trial.split || m.Parts() != nil
	return err
}

// tellPanic shows where the stage panicked, to whoever writes it. What becomes of the job says the engine.
func (o *observed) tellPanic() {
	if p := recover(); p != nil {
		fmt.Fprintf(o.trial.summary, "stage %s panicked: %v\n%s\n", o.Name, p, debug.Stack())
		panic(p)
	}
}

// effects says what a stage did with m.
func effects(before look, m *glue.Message, err error) []string {
	list := glimpse(m).since(before)
	if err != nil {
		list = append(list, explain(err))
	}
	if m.Parts() != nil {
		list = append(list, "split into "+number(len(m.Parts()), "part"))
	}
	for _, part := range m.Parts() {
		list = append(list, part.ID+" "+printable(part.Body()))
	}
	if len(list) == 0 {
		list = []string{"no change"}
	}
	return list
}

// look is what a message looks like at one moment.
type look struct{ id, kind, channels, body string }

func glimpse(m *glue.Message) look {
	show := func(text string) string { return printable([]byte(text)) }
	return look{show(m.ID), show(m.Type), show(strings.Join(m.Channels, ", ")), printable(m.Body())}
}

// since returns what has changed.
func (l look) since(before look) []string {
	var changes []string
	for _, c := range []struct{ what, now, was string }{
		{"id ", l.id, before.id}, {"type ", l.kind, before.kind}, {"channels ", l.channels, before.channels}, {"", l.body, before.body},
	} {
		switch c.now {
		case c.was:
		case "":
			changes = append(changes, "no "+c.what+"any more")
		default:
			changes = append(changes, c.what+c.now)
		}
	}
	return changes
}

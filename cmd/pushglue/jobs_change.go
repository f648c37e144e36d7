package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"pushglue/glue/thoonk"
)

// Limits of what retry, cancel and retract do in one step: between two, a signal stops them.
const (
	changePage = 1000 // jobs of --all
	idPage     = 100  // jobs named by id, of which each can cost a walk over the queue
)

// change is what retry, cancel and retract differ in.
type change struct {
	verb, past string
	state      thoonk.State // that a job must be in; 0 for any
	warning    string       // what to think of before --all, for the question

	// byID changes these jobs and returns those that it could change.
	byID func(ctx context.Context, feed *thoonk.Feed, ids []string) ([]string, error)
	// count returns how many jobs there are for all.
	count func(ctx context.Context, feed *thoonk.Feed) (int, error)
	// all yields the steps in which n jobs are changed, one or more. It comes to an end also if others
	// make new ones all the time.
	all func(ctx context.Context, feed *thoonk.Feed, n int) iter.Seq[step]
}

// step changes a page of jobs and returns the ids of those that it could change, also with an error.
type step func() ([]string, error)

// changing is one run of a change.
type changing struct {
	change
	everything, yes, asJSON bool
	in                      io.Reader
	out, progress           io.Writer

	feed    *thoonk.Feed
	done    int
	refused []refusal
	notice  time.Time
}

// refusal is a job that was not changed. Its state is null when there is no such job.
type refusal struct {
	ID    string  `json:"id"`
	State *string `json:"state"`
}

// changeReport is what a change prints with --json.
type changeReport struct {
	Feed     string    `json:"feed"`
	Command  string    `json:"command"`
	Changed  int       `json:"changed"`
	Refused  []refusal `json:"refused"`
	Complete bool      `json:"complete"` // false when an error or a signal ended it
}

// command makes cmd run the change, and adds the flags that all changes have. What is special to
// cmd, check looks at.
func (c *changing) command(name string, cmd *cobra.Command, check func() error) *cobra.Command {
	cmd.RunE = func(cmd *cobra.Command, ids []string) error {
		c.in, c.out, c.progress = cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr()
		err := c.check(len(ids))
		if err == nil {
			err = check()
		}
		if err == nil && c.everything && !c.yes && !asksAPerson(c.in) {
			err = fmt.Errorf("standard input is no terminal, so there is nobody to ask: give --yes to %s all", c.verb)
		}
		if err != nil {
			return usageError{err}
		}
		return withFeed(cmd, name, func(feed *thoonk.Feed) error {
			c.feed = feed
			return c.run(cmd.Context(), distinct(ids))
		})
	}
	cmd.Flags().BoolVar(&c.everything, "all", false, "all such jobs, instead of ids")
	cmd.Flags().BoolVar(&c.yes, "yes", false, "with --all, do not ask")
	jsonFlag(cmd, &c.asJSON)
	return cmd
}

func (c *changing) check(ids int) error {
	switch {
	case c.everything && ids > 0:
		return errors.New("give ids or --all, not both")
	case !c.everything && ids == 0:
		return errors.New("give the ids of jobs, or --all")
	}
	return nil
}

// distinct returns ids without repetitions.
func distinct(ids []string) []string {
	seen := map[string]bool{}
	return slices.DeleteFunc(slices.Clone(ids), func(id string) bool {
		old := seen[id]
		seen[id] = true
		return old
	})
}

func (c *changing) run(ctx context.Context, ids []string) error {
	steps, total := c.named(ctx, ids), len(ids)
	if c.everything {
		var err error
		if total, err = c.count(ctx, c.feed); err != nil {
			return err
		}
		if err := c.ask(total); err != nil {
			return err
		}
		if total > 0 {
			steps = c.all(ctx, c.feed, total)
		}
	}
	signalled, stop := untilSignal(ctx)
	defer stop()
	workErr := c.work(signalled, steps, total)
	errs := []error{c.report(workErr == nil)}
	for _, r := range c.refused {
		errs = append(errs, c.why(r))
	}
	return errors.Join(append(errs, workErr)...)
}

// asksAPerson reports whether somebody can answer what is asked.
func asksAPerson(in io.Reader) bool {
	f, ok := in.(*os.File)
	return ok && isTerminal(f)
}

// ask asks before n jobs are changed, unless --yes has answered. No answer means no.
func (c *changing) ask(n int) error {
	if c.yes || n == 0 {
		return nil
	}
	fmt.Fprintf(c.progress, "%s %s of feed %s%s? [y/N] ", c.verb, number(n, c.state.String()+" job"), c.feed.Name(), c.warning)
	answer, err := bufio.NewReader(c.in).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read the answer: %w", err)
	}
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "y", "yes":
		return nil
	}
	return errors.New("the answer is no: nothing was changed")
}

// named yields the steps in which the jobs of these ids are changed, and those that cannot be noted.
func (c *changing) named(ctx context.Context, ids []string) iter.Seq[step] {
	return chunks(ids, idPage, func(part []string) ([]string, error) {
		changed, err := c.byID(ctx, c.feed, part)
		if err == nil {
			err = c.refuse(ctx, missing(part, changed))
		}
		return changed, err
	})
}

// chunks yields the steps of a change to these jobs, so many at a time.
func chunks(ids []string, size int, do func(part []string) ([]string, error)) iter.Seq[step] {
	return func(yield func(step) bool) {
		for part := range slices.Chunk(ids, size) {
			if !yield(func() ([]string, error) { return do(part) }) {
				return
			}
		}
	}
}

// missing returns the ids that are not among those found.
func missing(ids, found []string) []string {
	known := map[string]bool{}
	for _, id := range found {
		known[id] = true
	}
	return slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return known[id] })
}

// refuse notes jobs that were not changed, with their states.
func (c *changing) refuse(ctx context.Context, ids []string) error {
	entries, err := c.feed.Describe(ctx, ids...)
	if err != nil {
		return err
	}
	states := map[string]*string{}
	for _, e := range entries {
		state := e.State.String()
		states[e.ID] = &state
	}
	for _, id := range ids {
		c.refused = append(c.refused, refusal{id, states[id]})
	}
	return nil
}

// why says why a job was not changed. It can be in another state since.
func (c *changing) why(r refusal) error {
	switch {
	case r.State == nil:
		return fmt.Errorf("job %s: %w", printable([]byte(r.ID)), thoonk.ErrNoJob)
	case c.state == 0 || *r.State == c.state.String():
		return fmt.Errorf("job %s is %s now, and was not a moment ago", printable([]byte(r.ID)), *r.State)
	}
	return fmt.Errorf("job %s is %s, not %s", printable([]byte(r.ID)), *r.State, c.state)
}

// work takes the steps until it is signalled.
func (c *changing) work(signalled context.Context, steps iter.Seq[step], total int) error {
	c.notice = time.Now()
	for take := range steps {
		if signalled.Err() != nil {
			return fmt.Errorf("interrupted; %s %s of %s", c.past, thousands(c.done), number(total, "job"))
		}
		changed, err := take()
		c.done += len(changed)
		if err != nil {
			return err
		}
		if time.Since(c.notice) >= putNotice {
			c.notice = time.Now()
			fmt.Fprintf(c.progress, "%s %s so far\n", c.past, number(c.done, "job"))
		}
	}
	return nil
}

// rounds yields the steps of a change to n jobs, whichever they are.
func rounds(n int, page func(limit int) ([]string, error)) iter.Seq[step] {
	return func(yield func(step) bool) {
		for left := n; left > 0; left -= changePage {
			limit := min(left, changePage)
			if !yield(func() ([]string, error) { return page(limit) }) {
				return
			}
		}
	}
}

// countState returns the count of a change to all jobs of a state.
func countState(state thoonk.State) func(context.Context, *thoonk.Feed) (int, error) {
	return func(ctx context.Context, feed *thoonk.Feed) (int, error) {
		counts, err := feed.Counts(ctx)
		return stateCount(counts, state), err
	}
}

func (c *changing) report(complete bool) error {
	if c.asJSON {
		refused := append([]refusal{}, c.refused...) // an array also when there is none
		return writeJSON(c.out, changeReport{c.feed.Name(), c.verb, c.done, refused, complete})
	}
	_, err := fmt.Fprintf(c.out, "%s %s\n", c.past, number(c.done, "job"))
	return err
}

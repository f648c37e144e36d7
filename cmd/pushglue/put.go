package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"pushglue/glue"
	"pushglue/glue/thoonk"
	"pushglue/stages"
)

// Limits of what put reads.
const (
	maxLine   = 16 << 20 // bytes of one payload
	putChunk  = 1000     // jobs put in one step
	putBytes  = 8 << 20  // of payload put in one step
	putNotice = time.Second
)

func newPutCommand() *cobra.Command {
	var p putting
	cmd := &cobra.Command{
		Use:   "put FEED [FILE…]",
		Short: "Put jobs on a feed",
		Long: `Puts one job for each line of the files, or of standard input, on a feed. The FILE - is standard
input too. A line is a job envelope, such as the stage json takes; blank lines are skipped. With --raw
it is anything, with the white space around it, and only empty lines are skipped.

With --wait it tells what became of each job, or of all if there are more than 20. The daemon then finishes
them with a result; for one that another worker finished without any it knows no more than that it is gone. The exit code is 1 if
a job stalled, or was not done in time.`,
		Example: `  pushglue put comments testdata/comments.jsonl
  echo '{"id":"c1.1","event":"post_save","thread":17}' | pushglue put comments
  echo '{"id":"c1.1","event":"post_save","thread":17}' | pushglue put --wait=5s comments`,
		Args:              arguments(cobra.MinimumNArgs(1)),
		ValidArgsFunction: completeFirst(feedNames, cobra.ShellCompDirectiveDefault),
		RunE: func(c *cobra.Command, args []string) error {
			if err := p.checkFlags(); err != nil {
				return usageError{err}
			}
			p.out, p.progress = c.OutOrStdout(), c.ErrOrStderr()
			return p.run(c.Context(), args[0], args[1:], c.InOrStdin())
		},
	}
	cmd.Flags().BoolVar(&p.raw, "raw", false, "take lines as they are, job envelopes or not")
	cmd.Flags().BoolVar(&p.options.Priority, "priority", false, "put the jobs at the head of the feed")
	cmd.Flags().DurationVar(&p.wait, "wait", 0, "wait for the outcome of all jobs, for so long after the last was put")
	cmd.Flags().Lookup("wait").NoOptDefVal = "30s"
	cmd.Flags().BoolVar(&p.asJSON, "json", false, "with --wait: print one JSON object")
	return cmd
}

// putting is one run of put.
type putting struct {
	raw, asJSON   bool
	wait          time.Duration // for outcomes; 0 if nobody wants to know them
	options       thoonk.PutOptions
	maxPayload    int
	out, progress io.Writer

	feed   *thoonk.Feed
	chunk  [][]byte
	size   int // of chunk, in bytes
	put    int
	notice time.Time
	vigil  *vigil // nil without wait
}

func (p *putting) checkFlags() error {
	switch {
	case p.wait < 0:
		return errors.New("--wait must be more than 0s")
	case p.asJSON && p.wait == 0:
		return errors.New("--json needs --wait")
	}
	return nil
}

func (p *putting) run(ctx context.Context, feed string, files []string, stdin io.Reader) error {
	c, err := readConfig()
	if err != nil {
		return err
	}
	p.maxPayload = c.MaxPayload
	log := zerolog.New(zerolog.ConsoleWriter{Out: p.progress, NoColor: true, PartsOrder: []string{"level", "message"}})
	rdb, err := connect(ctx, c, log.Level(zerolog.WarnLevel))
	if err != nil {
		return err
	}
	defer rdb.Close()
	if p.feed, err = openFeed(rdb, c, feed); err != nil {
		return err
	}
	if p.wait > 0 {
		if p.vigil, err = startVigil(ctx, p.feed); err != nil {
			return err
		}
		defer p.vigil.end()
	}
	p.notice = time.Now()
	if len(files) == 0 {
		files = []string{"-"}
	}
	for _, name := range files {
		if err == nil {
			err = p.file(ctx, name, stdin)
		}
	}
	err = errors.Join(err, p.flush(ctx))
	if err != nil {
		return fmt.Errorf("%w (put %s)", err, number(p.put, "job"))
	}
	if p.vigil == nil {
		_, err = fmt.Fprintf(p.out, "put %s on feed %s\n", number(p.put, "job"), feed)
		return err
	}
	report := p.vigil.await(ctx, p.wait)
	return errors.Join(report.write(p.out, p.asJSON), report.failure(p.wait), ctx.Err())
}

func (p *putting) file(ctx context.Context, name string, stdin io.Reader) error {
	if name == "-" {
		return p.lines(ctx, "standard input", stdin)
	}
	f, err := os.Open(name)
	if _, isTime := time.ParseDuration(name); err != nil && isTime == nil && p.wait > 0 {
		return fmt.Errorf("%w; how long to wait is written --wait=%s", err, name)
	}
	if err != nil {
		return err
	}
	defer f.Close()
	return p.lines(ctx, name, f)
}

// lines reads the lines of r and puts them but for the last ones, which run puts, also when there
// is a bad line behind them; the error says which line that is.
func (p *putting) lines(ctx context.Context, name string, r io.Reader) error {
	in, read := bufio.NewReaderSize(r, 64<<10), readLine
	if p.raw {
		read = readRawLine
	}
	for n := 1; ; n++ {
		line, err := read(in)
		if err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("%s:%d: %w", name, n, err)
		}
		if len(line) > 0 {
			if err := p.check(ctx, line); err != nil {
				return fmt.Errorf("%s:%d: %w", name, n, err)
			}
			p.chunk = append(p.chunk, line)
			p.size += len(line)
		}
		// What a slow producer wrote goes out at once. Jobs of high priority go in one step at the
		// end, since each step puts its jobs before those of the one before.
		due := len(p.chunk) == putChunk || p.size >= putBytes || in.Buffered() == 0
		if due && !p.options.Priority {
			if err := p.flush(ctx); err != nil {
				return err
			}
		}
		if err != nil {
			return nil
		}
	}
}

// readLine returns the next line without the white space around it.
func readLine(in *bufio.Reader) ([]byte, error) {
	line, err := readRawLine(in)
	return bytes.TrimSpace(line), err
}

// readRawLine returns the next line without its end, "\n".
func readRawLine(in *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		part, err := in.ReadSlice('\n')
		line = append(line, part...)
		if len(line) > maxLine {
			return nil, fmt.Errorf("line is longer than %d bytes", maxLine)
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return bytes.TrimSuffix(line, []byte("\n")), err
		}
	}
}

// check has the stage json look at a line, so that put takes what the daemon takes.
func (p *putting) check(ctx context.Context, line []byte) error {
	if len(line) > p.maxPayload {
		return fmt.Errorf("payload has %d bytes, more than the %d of PUSHGLUE_MAX_PAYLOAD; nothing was put from this line on", len(line), p.maxPayload)
	}
	if p.raw {
		return nil
	}
	if err := (stages.JSON{}).Process(ctx, glue.NewMessage("put", line)); err != nil {
		return fmt.Errorf("%w; nothing was put from this line on, see --raw for payloads that are no job envelope", err)
	}
	return nil
}

func (p *putting) flush(ctx context.Context) error {
	ids, err := p.feed.Put(ctx, p.chunk, p.options)
	for _, id := range ids {
		if id != "" {
			p.put++
		}
	}
	if p.vigil != nil {
		p.vigil.add(ids)
	}
	p.chunk, p.size = p.chunk[:0], 0
	if time.Since(p.notice) >= putNotice {
		p.notice = time.Now()
		fmt.Fprintf(p.progress, "put %s so far\n", number(p.put, "job"))
	}
	return err
}

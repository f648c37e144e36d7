package main

import (
	"fmt"
	"io"
	"math"
	"os/exec"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"pushglue/cmd/pushglue/bench"
	"pushglue/glue"
)

// publishing is one run of bench publish.
type publishing struct {
	bench.PublishConfig
	profile string
	remote  bool
	asJSON  bool
}

func newBenchPublishCommand() *cobra.Command {
	var p publishing
	cmd := &cobra.Command{
		Use:   "publish",
		Short: "Measure the whole path from the queue to the push hosts",
		Long: `Puts comments on a feed of its own, which is deleted at the end, and has a daemon work it off: through the stages
json, anonymize, route and format, to the push hosts of the settings. The daemon is a process of its own,
so that its CPU time and its memory are not those of the load.

Without --rate all jobs are in the queue before the daemon starts, and the rate is what it reaches. With
--rate they are put while it works, and how long each took from there to the push host's answer is told.

Everything runs as fast as it can: on this machine only, unless --allow-remote says otherwise. Push hosts
must have memory for what they store; a push-stream host keeps each message for 10 seconds at the least.

The exit code is 1 if a job stalled.`,
		Example: `  pushglue bench publish
  pushglue bench publish --rate 10000 --jobs 100000 --json
  pushglue bench publish --jobs 10000000 --for 30s`,
		Args: arguments(cobra.NoArgs),
		RunE: interruptible(func(c *cobra.Command, _ []string) error {
			if err := p.check(); err != nil {
				return usageError{err}
			}
			return p.run(c)
		}),
	}
	f := cmd.Flags()
	f.IntVar(&p.Jobs, "jobs", 200_000, "how many jobs to put")
	f.Float64Var(&p.Rate, "rate", 0, "jobs a second that are put while the daemon works (default: all before it starts)")
	f.DurationVar(&p.For, "for", 0, "how long the daemon works at most, such as 30s (default: until all is done)")
	f.IntVar(&p.Channels, "channels", 1000, "channels that messages are spread over")
	f.IntVar(&p.Fan, "fan", 1, "channels of each message")
	f.IntVar(&p.Size, "size", 300, "bytes of a job")
	f.DurationVar(&p.Coalesce, "coalesce", 0, "coalesce messages in a window such as 25ms")
	f.StringVar(&p.profile, "cpu-profile", "", "write a CPU profile of the daemon to this file, for go tool pprof")
	completeFlag(cmd, "cpu-profile", completeFiles)
	f.BoolVar(&p.remote, "allow-remote", false, "aim at other machines than this one too")
	jsonFlag(cmd, &p.asJSON)
	return cmd
}

func (p *publishing) check() error {
	switch {
	case p.Jobs < 1 || p.Channels < 1:
		return fmt.Errorf("--jobs and --channels must be at least 1")
	case !(p.Rate >= 0) || p.Rate > math.MaxInt32: // NaN is not at least 0
		return fmt.Errorf("--rate must be 0 to %d jobs a second", math.MaxInt32)
	case p.For < 0:
		return fmt.Errorf("--for must not be less than 0s")
	case p.Coalesce != 0 && (p.Coalesce < time.Millisecond || p.Coalesce > time.Second):
		return fmt.Errorf("--coalesce must be 1ms to 1s")
	case p.Fan < 1 || p.Fan > glue.MaxChannels:
		return fmt.Errorf("--fan must be 1 to %d channels", glue.MaxChannels)
	case p.Size < bench.MinSize || p.Size > bench.MaxSize:
		return fmt.Errorf("--size must be %d to %d bytes", bench.MinSize, bench.MaxSize)
	}
	return nil
}

func (p *publishing) run(c *cobra.Command) error {
	settings, err := readConfig()
	if err != nil {
		return err
	}
	s, err := openScratch(c, settings, p.remote)
	defer s.close()
	if err != nil {
		return err
	}
	p.Feed, p.Progress = s.feed, c.ErrOrStderr()
	p.Daemon = func(pipelines string) *exec.Cmd { return benchDaemon(c, pipelines, "--cpu-profile="+p.profile) }
	report, err := bench.Publish(c.Context(), p.PublishConfig)
	if err != nil {
		return err
	}
	if err := p.print(c.OutOrStdout(), report); err != nil {
		return err
	}
	if report.Stalled > 0 {
		return fmt.Errorf("%s stalled; the daemon's log says why", number(report.Stalled, "job"))
	}
	return nil
}

// print writes the report.
func (p *publishing) print(w io.Writer, r bench.PublishReport) error {
	if p.asJSON {
		return writeJSON(w, r)
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "jobs\t%d settled in %.1f s, %d left, %d stalled\n", r.Jobs, r.Seconds, r.Left, r.Stalled)
	fmt.Fprintf(t, "rate\t%.0f jobs/s\n", r.Rate)
	printQuantiles(t, "put to accepted", r.Accepted)
	fmt.Fprintf(t, "CPU, daemon\t%.1f µs a job\n", r.CPU)
	fmt.Fprintf(t, "allocations\t%.1f a job, %.0f bytes\n", r.Allocs, r.AllocBytes)
	fmt.Fprintf(t, "memory\t%.0f MiB resident at most\n", float64(r.Peak)/(1<<20))
	printHoldings(t, "soon after the start", r.Warm)
	printHoldings(t, "near the end", r.End)
	return t.Flush()
}

func printHoldings(w io.Writer, when string, h *bench.Holdings) {
	if h != nil {
		fmt.Fprintf(w, "%s\t%d goroutines, %d descriptors, %d MiB resident\n", when, h.Goroutines, h.Descriptors, h.Resident>>20)
	}
}

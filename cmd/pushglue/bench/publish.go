// Package bench measures a daemon and its push hosts with jobs of its own, on a feed of its own. The daemon
// is a process by itself, so that its CPU time and memory are told apart from those of the load.
package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"

	"pushglue/glue"
	"pushglue/glue/thoonk"
)

// PublishConfig is what PublishBench is made of.
type PublishConfig struct {
	Jobs     int           // how many are put
	Rate     float64       // jobs put in a second while the daemon works; 0 puts all before it starts
	For      time.Duration // how long the daemon works at most; 0 until all are settled
	Channels int           // different first channels
	Fan      int           // channels of each message
	Size     int           // bytes of a job, about
	Coalesce time.Duration // window; 0 does not coalesce

	Feed     *thoonk.Feed
	Daemon   func(pipelines string) *exec.Cmd // runs a daemon with this pipelines file that prints an EngineReport at its end
	Progress io.Writer
}

// PublishReport is the result of bench publish. CPU and memory are those of the daemon's process.
type PublishReport struct {
	Jobs       int        `json:"jobs"`    // settled
	Left       int        `json:"left"`    // on the feed when the time was over
	Stalled    int        `json:"stalled"` // jobs that could not be published
	Seconds    float64    `json:"seconds"` // from the first claim to the last settlement
	Rate       float64    `json:"jobsPerSecond"`
	CPU        float64    `json:"daemonCpuMicrosPerJob"`
	Allocs     float64    `json:"allocsPerJob"`
	AllocBytes float64    `json:"allocBytesPerJob"`
	Peak       int64      `json:"residentPeakBytes"`             // 0 where it is not known
	Warm       *Holdings  `json:"warm,omitempty"`                // soon after the start
	End        *Holdings  `json:"end,omitempty"`                 // in the last second
	Accepted   *Quantiles `json:"putToAcceptedMillis,omitempty"` // with a rate; without one it would be the time in the queue
}

// putChunk is how many jobs are put in one step.
const putChunk = 1000

// tick is how often jobs are put when there is a rate.
const tick = time.Millisecond

// Publish fills the feed, has a daemon work it off, and reports how that went. It deletes the feed at its end,
// whatever happens.
func Publish(ctx context.Context, c PublishConfig) (report PublishReport, err error) {
	defer func() { err = errors.Join(err, deleteFeed(ctx, c.Feed)) }()
	p := &producer{feed: c.Feed, jobs: newJobs(c.Channels, c.Size), progress: c.Progress}
	if c.Rate == 0 {
		if err := p.fill(ctx, c.Jobs); err != nil {
			return report, err
		}
	}
	d, err := startDaemon(ctx, c)
	if err != nil {
		return report, err
	}
	err = c.work(ctx, p, d)
	engine, stopErr := d.stop()
	if err := errors.Join(err, stopErr); err != nil {
		return report, err
	}
	counts, err := c.Feed.Counts(ctx)
	if err != nil {
		return report, err
	}
	report = newPublishReport(engine, counts)
	if c.Rate > 0 {
		report.Accepted, err = engine.quantiles()
	}
	return report, err
}

func newPublishReport(e EngineReport, counts thoonk.Counts) PublishReport {
	r := PublishReport{
		Jobs: e.Jobs, Left: int(counts.Queued + counts.Claimed), Stalled: int(counts.Stalled), Seconds: e.Elapsed.Seconds(),
		Peak: e.Peak, Warm: e.Warm, End: e.End,
	}
	if e.Jobs > 0 && e.Elapsed > 0 {
		n := float64(e.Jobs)
		r.Rate = n / e.Elapsed.Seconds()
		r.CPU = float64(e.CPU.Microseconds()) / n
		r.Allocs, r.AllocBytes = float64(e.Allocs)/n, float64(e.Bytes)/n
	}
	return r
}

func (e EngineReport) quantiles() (*Quantiles, error) {
	l := NewLatency()
	if err := l.Merge(e.Latency); err != nil {
		return nil, err
	}
	return l.Quantiles(), nil
}

// work puts jobs, if there is a rate, and waits until the daemon has settled all or the time is over.
func (c PublishConfig) work(ctx context.Context, p *producer, d *daemon) error {
	limited := ctx
	if c.For > 0 {
		var cancel context.CancelFunc
		limited, cancel = context.WithTimeout(ctx, c.For)
		defer cancel()
	}
	var err error
	if c.Rate > 0 {
		err = p.putAt(limited, c.Rate, c.Jobs)
	}
	if err == nil {
		err = c.await(limited, p.jobs.made, d)
	}
	// A connection has the deadline of limited too, and may notice it first.
	if deadline, ok := limited.Deadline(); ok && ctx.Err() == nil && !time.Now().Before(deadline) {
		return nil // the time is over
	}
	return err
}

// await waits until so many jobs are settled.
func (c PublishConfig) await(ctx context.Context, jobs int, d *daemon) error {
	start, notice := time.Now(), time.Now()
	for {
		counts, err := c.Feed.Counts(ctx)
		if err != nil {
			return err
		}
		done := int(counts.Finished + counts.Stalled)
		if done >= jobs {
			return nil
		}
		if time.Since(notice) >= time.Second {
			notice = time.Now()
			fmt.Fprintf(c.Progress, "%d of %d jobs done after %.0f s\n", done, jobs, time.Since(start).Seconds())
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-d.exited:
			return errors.New("the daemon ended before its work was done")
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// producer puts jobs.
type producer struct {
	feed     *thoonk.Feed
	jobs     *jobs
	progress io.Writer
}

func (p *producer) put(ctx context.Context, n int) error {
	_, err := p.feed.Put(ctx, p.jobs.next(n, time.Now()), thoonk.PutOptions{})
	return err
}

// fill puts n jobs as fast as it can.
func (p *producer) fill(ctx context.Context, n int) error {
	notice := time.Now()
	for p.jobs.made < n {
		if err := p.put(ctx, min(putChunk, n-p.jobs.made)); err != nil {
			return err
		}
		if time.Since(notice) >= time.Second {
			notice = time.Now()
			fmt.Fprintf(p.progress, "put %d of %d jobs\n", p.jobs.made, n)
		}
	}
	return nil
}

// putAt puts n jobs at a rate.
func (p *producer) putAt(ctx context.Context, rate float64, n int) error {
	start, notice := time.Now(), time.Now()
	for p.jobs.made < n {
		if !glue.Sleep(ctx, tick) {
			return ctx.Err()
		}
		due := min(int(rate*time.Since(start).Seconds()), n) - p.jobs.made
		if due > 0 {
			if err := p.put(ctx, min(due, putChunk)); err != nil {
				return err
			}
		}
		if time.Since(notice) >= time.Second {
			notice = time.Now()
			fmt.Fprintf(p.progress, "put %d of %d jobs after %.0f s\n", p.jobs.made, n, time.Since(start).Seconds())
		}
	}
	return nil
}

// daemon is the daemon's process.
type daemon struct {
	cmd    *exec.Cmd
	file   string // the pipelines file
	report bytes.Buffer
	exited chan struct{}
	err    error // of the process, once it has exited
}

func startDaemon(ctx context.Context, c PublishConfig) (*daemon, error) {
	f, err := os.CreateTemp("", "pushglue-bench-*.yml")
	if err != nil {
		return nil, err
	}
	window := ""
	if c.Coalesce > 0 {
		window = c.Coalesce.String()
	}
	_, err = f.Write(pipeline(c.Feed.Name(), c.Fan, window))
	d := &daemon{cmd: c.Daemon(f.Name()), file: f.Name(), exited: make(chan struct{})}
	d.cmd.Stdout = &d.report
	if err := errors.Join(err, f.Close(), ctx.Err()); err != nil {
		return nil, errors.Join(err, os.Remove(d.file))
	}
	_, err = d.cmd.StdinPipe() // at whose end it ends
	if err == nil {
		err = d.cmd.Start()
	}
	if err != nil {
		return nil, errors.Join(err, os.Remove(d.file))
	}
	go func() {
		defer close(d.exited)
		d.err = d.cmd.Wait()
	}()
	return d, nil
}

// stop ends the daemon and returns its report.
func (d *daemon) stop() (EngineReport, error) {
	_ = d.cmd.Process.Signal(syscall.SIGTERM) // fails when it has ended
	<-d.exited
	var r EngineReport
	err := errors.Join(d.err, os.Remove(d.file))
	if err == nil {
		err = json.Unmarshal(d.report.Bytes(), &r)
	}
	if err != nil {
		err = fmt.Errorf("the daemon failed: %w", err)
	}
	return r, err
}

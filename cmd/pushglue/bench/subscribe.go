package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os/exec"
	"time"

	"pushglue/glue"
	"pushglue/glue/thoonk"
)

// SubscribeConfig is what Subscribe is made of.
type SubscribeConfig struct {
	Readers   int
	Channels  int            // over which readers and messages are spread
	Processes int            // of readers; 0 for as few as descriptors allow
	Address   netip.AddrPort // of the push host
	Host      string         // as requests name it
	Path      string         // of a subscription, before the channel's name

	Rate     float64       // messages a second in all channels; 0 for none: readers are idle
	For      time.Duration // how long messages are sent, or idle readers held
	Wait     time.Duration // for what is outstanding after that, at most
	Size     int           // bytes of a job, about
	Coalesce time.Duration // window; 0 does not coalesce

	Feed          *thoonk.Feed // nil without a rate
	Daemon        func(pipelines string) *exec.Cmd
	ReaderProcess func() *exec.Cmd // runs ServeReaders on its standard input and output
	Progress      io.Writer
}

// SubscribeReport is the result of bench subscribe.
type SubscribeReport struct {
	Readers        int            `json:"readers"`
	Channels       int            `json:"channels"`
	Processes      int            `json:"processes"`
	Connected      int            `json:"connected"`
	ConnectSeconds float64        `json:"connectSeconds"`
	Connects       float64        `json:"connectsPerSecond"`
	Failures       map[string]int `json:"failures"` // attempts to connect, by reason; most are tried again
	Ended          map[string]int `json:"ended"`    // readers whose stream ended, by reason
	Memory         MemoryReport   `json:"memoryPerReader"`

	Messages   int        `json:"messages"`
	Stalled    int        `json:"stalled"` // messages that the daemon could not publish
	Deliveries int        `json:"deliveries"`
	Seconds    float64    `json:"seconds"` // from the first delivery to the last one
	Rate       float64    `json:"deliveriesPerSecond"`
	Lost       int        `json:"lost"`       // deliveries
	Losers     int        `json:"losers"`     // readers that lost any
	OutOfOrder int        `json:"outOfOrder"` // deliveries
	Duplicates int        `json:"duplicates"` // deliveries
	Foreign    int        `json:"foreign"`    // events of somebody else
	Latency    *Quantiles `json:"putToReaderMillis,omitempty"`
	Accepted   *Quantiles `json:"putToAcceptedMillis,omitempty"` // by the push hosts: the part of that before the fan-out
	JobCPU     float64    `json:"cpuMicrosPerJob"`               // of the daemon
	ReaderCPU  float64    `json:"cpuMicrosPerDelivery"`          // of the readers' processes
}

// MaxReaders returns how many readers one process can hold.
func MaxReaders() (int, error) { return readersPerProcess() }

// Subscribe opens readers, has a daemon publish messages to them, and reports what they saw. It deletes the feed at its
// end, whatever happens.
func Subscribe(ctx context.Context, c SubscribeConfig) (report SubscribeReport, err error) {
	if c.Feed != nil {
		defer func() { err = errors.Join(err, deleteFeed(ctx, c.Feed)) }()
	}
	watched, crowd, err := startCrowd(ctx, c.Processes, c.ReaderProcess)
	defer crowd.close()
	if err != nil {
		return report, err
	}
	telling, stop := context.WithCancel(ctx)
	defer stop()
	go crowd.tell(telling, c.Readers, c.Progress)

	report = SubscribeReport{Readers: c.Readers, Channels: c.Channels, Processes: c.Processes}
	if err := c.open(watched, crowd, &report); err != nil {
		return report, err
	}
	if c.Rate == 0 {
		err = c.hold(watched)
		if err == nil || errors.Is(err, errAllEnded) {
			err = c.finish(ctx, crowd, &report)
		}
		return report, err
	}
	return report, c.publish(ctx, watched, crowd, &report)
}

// deleteFeed deletes a scratch feed, also when ctx has ended.
func deleteFeed(ctx context.Context, feed *thoonk.Feed) error {
	clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	return feed.Delete(clean)
}

// open opens the readers, and measures how fast that goes and what it costs.
func (c SubscribeConfig) open(ctx context.Context, crowd *crowd, report *SubscribeReport) error {
	memory := weighMemory(crowd.processIDs(), c.Address)
	start := time.Now()
	err := crowd.open(ctx, c.Readers, openOrder{Address: c.Address.String(), Host: c.Host, Path: c.Path, Channels: c.Channels})
	if errors.Is(err, errAllEnded) {
		return nil // the report says why
	}
	if err != nil {
		return err
	}
	report.ConnectSeconds = time.Since(start).Seconds()
	progress, _ := crowd.progress()
	report.Connects = float64(progress.Open) / report.ConnectSeconds
	report.Memory = memory.perReader(progress.Open)
	return nil
}

// hold leaves the readers idle.
func (c SubscribeConfig) hold(ctx context.Context) error {
	if !glue.Sleep(ctx, c.For) {
		return context.Cause(ctx)
	}
	return nil
}

// publish has a daemon publish messages while watched has not ended, and finishes the report.
func (c SubscribeConfig) publish(ctx, watched context.Context, crowd *crowd, report *SubscribeReport) error {
	p := PublishConfig{Fan: 1, Size: c.Size, Coalesce: c.Coalesce, Feed: c.Feed, Daemon: c.Daemon, Progress: io.Discard}
	d, err := startDaemon(ctx, p)
	if err != nil {
		return err
	}
	err = c.put(watched, p, d, report)
	if err == nil || errors.Is(err, errAllEnded) {
		err = c.finish(ctx, crowd, report)
	}
	engine, stopErr := d.stop()
	if err := errors.Join(err, stopErr); err != nil {
		return err
	}
	counts, err := c.Feed.Counts(ctx)
	if err != nil {
		return err
	}
	report.Stalled = int(counts.Stalled)
	report.JobCPU = newPublishReport(engine, counts).CPUMicros
	report.Accepted, err = engine.quantiles()
	return err
}

// warmUp is how long a daemon may take until its first message is published.
const warmUp = 30 * time.Second

// put puts jobs at the rate, once the daemon works.
func (c SubscribeConfig) put(ctx context.Context, p PublishConfig, d *daemon, report *SubscribeReport) error {
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	go func() {
		select {
		case <-d.exited:
			end(errors.New("the daemon ended before its work was done"))
		case <-ctx.Done():
		}
	}()
	if err := c.warm(ctx, p, d); err != nil {
		return err
	}
	producer := &producer{feed: c.Feed, jobs: newJobs(c.Channels, c.Size), progress: io.Discard}
	err := producer.putAt(ctx, c.Rate, int(c.Rate*c.For.Seconds()))
	report.Messages = producer.jobs.made
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// warm has the daemon publish one message to a channel that nobody reads, so that its start is no part of any
// latency.
func (c SubscribeConfig) warm(ctx context.Context, p PublishConfig, d *daemon) error {
	unread := newJobs(c.Channels+1, c.Size)
	unread.made = c.Channels
	limited, cancel := context.WithTimeout(ctx, warmUp)
	defer cancel()
	err := (&producer{feed: c.Feed, jobs: unread}).put(limited, 1)
	if err == nil {
		err = p.await(limited, 1, d)
	}
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case limited.Err() != nil:
		return fmt.Errorf("nothing is published in %s; the daemon's log may say why", warmUp)
	}
	return err
}

// finish waits for what is outstanding, and notes what the readers have seen.
func (c SubscribeConfig) finish(ctx context.Context, crowd *crowd, report *SubscribeReport) error {
	const patience = 10 * time.Second
	limited, cancel := context.WithTimeout(ctx, c.Wait+patience)
	defer cancel()
	seen, latency, err := crowd.finish(limited, finishOrder{Messages: report.Messages, Wait: c.Wait})
	if err != nil {
		return err
	}
	report.Connected, report.Failures, report.Ended = seen.Connected, seen.Failures, seen.Ended
	report.Deliveries, report.Lost, report.Losers = seen.Deliveries, seen.Lost, seen.Losers
	report.OutOfOrder, report.Duplicates, report.Foreign = seen.Late, seen.Again, seen.Foreign
	report.Latency = latency.Quantiles()
	if seen.Deliveries > 0 {
		report.Seconds = float64(seen.Last-seen.First) / 1e6
		report.Rate = float64(seen.Deliveries) / max(report.Seconds, 1e-6)
		report.ReaderCPU = float64(seen.CPU.Microseconds()) / float64(seen.Deliveries)
	}
	return nil
}

// Verdict returns nil if every reader connected, stayed, and received every message in order; else what is wrong.
func (r SubscribeReport) Verdict() error {
	var errs []error
	for _, wrong := range []struct {
		n    int
		what string
	}{
		{r.Readers - r.Connected, "readers did not connect"},
		{total(r.Ended), "readers ended too early"},
		{r.Lost, "deliveries are lost"},
		{r.OutOfOrder, "deliveries came out of order"},
	} {
		if wrong.n > 0 {
			errs = append(errs, fmt.Errorf("%d %s", wrong.n, wrong.what))
		}
	}
	return errors.Join(errs...)
}

func total(byReason map[string]int) int {
	n := 0
	for _, count := range byReason {
		n += count
	}
	return n
}

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
	DaemonCPU  float64    `json:"daemonCpuMicrosPerMessage"`
	ServerCPU  float64    `json:"serverCpuMicrosPerDelivery"` // of the push host's processes; 0 if they are not known
	ReaderCPU  float64    `json:"readerCpuMicrosPerDelivery"`
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

	s := subscribing{SubscribeConfig: c, crowd: crowd, server: findServer(c.Address)}
	s.report = SubscribeReport{Readers: c.Readers, Channels: c.Channels, Processes: c.Processes}
	err = s.open(watched)
	switch {
	case err != nil:
		err = s.finish(ctx, err)
	case c.Rate == 0:
		err = s.finish(ctx, s.hold(watched))
	default:
		err = s.publish(ctx, watched)
	}
	return s.report, err
}

// deleteFeed deletes a scratch feed, also when ctx has ended.
func deleteFeed(ctx context.Context, feed *thoonk.Feed) error {
	clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	return feed.Delete(clean)
}

// subscribing is one run of Subscribe.
type subscribing struct {
	SubscribeConfig
	crowd  *crowd
	server server
	report SubscribeReport
}

// open opens the readers, and measures how fast that goes and what it costs.
func (s *subscribing) open(ctx context.Context) error {
	memory := weighMemory(s.crowd.processIDs(), s.server)
	start := time.Now()
	err := s.crowd.open(ctx, s.Readers, openOrder{Address: s.Address.String(), Host: s.Host, Path: s.Path, Channels: s.Channels})
	if err != nil {
		return err
	}
	s.report.ConnectSeconds = time.Since(start).Seconds()
	progress, _ := s.crowd.progress()
	s.report.Connects = float64(progress.Open) / s.report.ConnectSeconds
	s.report.Memory = memory.perReader(progress.Open)
	return nil
}

// hold leaves the readers idle.
func (s *subscribing) hold(ctx context.Context) error {
	if !glue.Sleep(ctx, s.For) {
		return context.Cause(ctx)
	}
	return nil
}

// publish has a daemon publish messages until watched ends, and waits until the readers have received them.
func (s *subscribing) publish(ctx, watched context.Context) error {
	c := PublishConfig{Fan: 1, Size: s.Size, Coalesce: s.Coalesce, Feed: s.Feed, Daemon: s.Daemon, Progress: io.Discard}
	d, err := startDaemon(ctx, c)
	if err != nil {
		return err
	}
	before := s.server.cpu()
	err = s.finish(ctx, s.put(watched, c, d))
	if s.report.Deliveries > 0 {
		s.report.ServerCPU = micros(s.server.cpu()-before, s.report.Deliveries)
	}
	engine, stopErr := d.stop()
	if err := errors.Join(err, stopErr); err != nil {
		return err
	}
	counts, err := s.Feed.Counts(ctx)
	if err != nil {
		return err
	}
	s.report.Stalled = int(counts.Stalled)
	s.report.DaemonCPU = newPublishReport(engine, counts).CPU
	s.report.Accepted, err = engine.quantiles()
	return err
}

// put puts jobs at the rate, once the daemon works.
func (s *subscribing) put(ctx context.Context, c PublishConfig, d *daemon) error {
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	go func() {
		select {
		case <-d.exited:
			end(errors.New("the daemon ended before its work was done"))
		case <-ctx.Done():
		}
	}()
	if err := s.warm(ctx, c, d); err != nil {
		return err
	}
	p := &producer{feed: s.Feed, jobs: newJobs(s.Channels, s.Size), progress: io.Discard}
	err := p.putAt(ctx, s.Rate, int(s.Rate*s.For.Seconds()))
	s.report.Messages = p.jobs.made
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// warmUp is how long a daemon may take until its first message is published.
const warmUp = 30 * time.Second

// warm has the daemon publish one message to a channel that nobody reads, so that its start is no part of any
// latency.
func (s *subscribing) warm(ctx context.Context, c PublishConfig, d *daemon) error {
	unread := newJobs(s.Channels+1, s.Size)
	unread.made = s.Channels
	limited, cancel := context.WithTimeout(ctx, warmUp)
	defer cancel()
	err := (&producer{feed: s.Feed, jobs: unread}).put(limited, 1)
	if err == nil {
		err = c.await(limited, 1, d)
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

// finish waits for what is outstanding and notes what the readers have seen. It does so after err too if that is
// about the readers, and else returns it.
func (s *subscribing) finish(ctx context.Context, err error) error {
	if err != nil && !errors.Is(err, errAllEnded) {
		return err
	}
	const patience = 10 * time.Second // for the processes themselves
	limited, cancel := context.WithTimeout(ctx, s.Wait+patience)
	defer cancel()
	seen, latency, err := s.crowd.finish(limited, finishOrder{Messages: s.report.Messages, Wait: s.Wait})
	if err != nil {
		return err
	}
	s.report.note(seen)
	s.report.Latency = latency.Quantiles()
	return nil
}

// note takes what the readers have seen into the report.
func (r *SubscribeReport) note(seen crowdReport) {
	r.Connected, r.Failures, r.Ended = seen.Connected, seen.Failures, seen.Ended
	r.Deliveries, r.Lost, r.Losers = seen.Deliveries, seen.Lost, seen.Losers
	r.OutOfOrder, r.Duplicates, r.Foreign = seen.Late, seen.Again, seen.Foreign
	if seen.Deliveries == 0 {
		return
	}
	r.ReaderCPU = micros(seen.CPU, seen.Deliveries)
	if r.Seconds = float64(seen.Last-seen.First) / 1e6; r.Seconds > 0 {
		r.Rate = float64(seen.Deliveries) / r.Seconds
	}
}

// micros returns how many microseconds of d fall to each of n.
func micros(d time.Duration, n int) float64 { return float64(d.Microseconds()) / float64(n) }

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

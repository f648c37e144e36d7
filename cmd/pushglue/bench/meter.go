package bench

import (
	"context"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"pushglue/glue"
)

// Meter measures a daemon from the inside, at the ends of its path: where jobs are claimed and settled, and
// where messages are published. It works on whole batches, so that it costs next to nothing.
type Meter struct {
	mu      sync.Mutex
	jobs    int
	start   usage // at the first claim
	end     usage // at the last settlement
	warm    *Holdings
	held    *Holdings // once a second
	sampled time.Time
	latency *Latency
}

// warmJobs is how many jobs are settled when a daemon has all that it needs.
const warmJobs = 10_000

// NewMeter returns a Meter that has measured nothing.
func NewMeter() *Meter { return &Meter{latency: NewLatency()} }

// EngineReport is what a Meter has measured.
type EngineReport struct {
	Jobs    int           `json:"jobs"`    // settled
	Elapsed time.Duration `json:"elapsed"` // from the first claim to the last settlement
	CPU     time.Duration `json:"cpu"`     // of the process, in that time
	Allocs  uint64        `json:"allocs"`
	Bytes   uint64        `json:"bytes"`   // allocated
	Peak    int64         `json:"peak"`    // bytes of resident memory, at most; 0 where it is not known
	Latency []byte        `json:"latency"` // from put to accepted; see Latency.Encode
	Warm    *Holdings     `json:"warm"`    // when warmJobs were settled; nil before
	End     *Holdings     `json:"end"`     // at most a second before the last settlement; nil before a second has passed
}

// Holdings is what must not grow while a daemon works.
type Holdings struct {
	Goroutines  int   `json:"goroutines"`
	Descriptors int   `json:"descriptors"` // 0 where it is not known
	Resident    int64 `json:"resident"`    // bytes; 0 where it is not known
}

// usage is what the process has used so far.
type usage struct {
	at            time.Time
	cpu           time.Duration
	allocs, bytes uint64
}

// Report returns what was measured. No daemon works any more.
func (m *Meter) Report() (EngineReport, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	latency, err := m.latency.Encode()
	m.end.readAllocs()
	return EngineReport{
		Jobs: m.jobs, Elapsed: m.end.at.Sub(m.start.at), CPU: m.end.cpu - m.start.cpu,
		Allocs: m.end.allocs - m.start.allocs, Bytes: m.end.bytes - m.start.bytes,
		Peak: status("VmHWM"), Latency: latency, Warm: m.warm, End: m.held,
	}, err
}

// Watch puts the meter between a daemon and its feeds and publishers.
func (m *Meter) Watch(feeds []glue.Feed, pipelines []glue.Pipeline) {
	for i := range feeds {
		feeds[i] = &meteredFeed{feeds[i], m}
	}
	for i := range pipelines {
		pipelines[i].Publisher = &meteredPublisher{pipelines[i].Publisher, m}
	}
}

type meteredFeed struct {
	glue.Feed
	meter *Meter
}

func (f *meteredFeed) Claim(ctx context.Context, limit int) ([]glue.Job, error) {
	jobs, err := f.Feed.Claim(ctx, limit)
	if len(jobs) > 0 {
		f.meter.claimed()
	}
	return jobs, err
}

// Keep implements glue.Keeper.
func (f *meteredFeed) Keep(ctx context.Context, report func(glue.Kept, error)) {
	if keeper, ok := f.Feed.(glue.Keeper); ok {
		keeper.Keep(ctx, report)
	}
}

func (f *meteredFeed) Settle(ctx context.Context, settlements []glue.Settlement) error {
	err := f.Feed.Settle(ctx, settlements)
	if err == nil {
		f.meter.settled(done(settlements))
	}
	return err
}

// done counts the jobs that do not come back to the feed.
func done(settlements []glue.Settlement) (n int) {
	for _, s := range settlements {
		if s.Verdict == glue.Finish || s.Verdict == glue.Stall {
			n++
		}
	}
	return n
}

func (m *Meter) claimed() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.jobs == 0 && m.start.at.IsZero() {
		m.start.readAllocs()
		m.start.readCPU()
		m.sampled = m.start.at
	}
}

func (m *Meter) settled(n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.jobs += n
	m.end.readCPU()
	switch {
	case m.warm == nil && m.jobs >= warmJobs:
		m.warm = readHoldings()
	case m.end.at.Sub(m.sampled) >= time.Second:
		m.sampled = m.end.at
		m.held = readHoldings()
	}
}

// meteredPublisher looks at what is published. A message that was coalesced counts as the last of those that it
// holds.
type meteredPublisher struct {
	glue.Publisher
	meter *Meter
}

func (p *meteredPublisher) Publish(ctx context.Context, batch []*glue.Message, outcomes []error) {
	p.Publisher.Publish(ctx, batch, outcomes)
	now := time.Now()
	p.meter.mu.Lock()
	defer p.meter.mu.Unlock()
	for i, m := range batch {
		if put, _, err := ParseID(m.ID); err == nil && outcomes[i] == nil {
			p.meter.latency.Add(now.Sub(put), 1)
		}
	}
}

func (u *usage) readCPU() {
	var r syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &r) == nil {
		u.cpu = time.Duration(r.Utime.Nano() + r.Stime.Nano())
	}
	u.at = time.Now()
}

func (u *usage) readAllocs() {
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	u.allocs, u.bytes = s.Mallocs, s.TotalAlloc
}

func readHoldings() *Holdings {
	h := &Holdings{Goroutines: runtime.NumGoroutine(), Resident: status("VmRSS")}
	if entries, err := os.ReadDir("/proc/self/fd"); err == nil {
		h.Descriptors = len(entries)
	}
	return h
}

// status returns a size in bytes that Linux tells of this process; 0 where it does not.
func status(field string) int64 {
	text, _ := os.ReadFile("/proc/self/status") // elsewhere there is none
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(line, ":")
		if size, isSize := strings.CutSuffix(strings.TrimSpace(value), " kB"); isSize && name == field {
			kb, _ := strconv.ParseInt(strings.TrimSpace(size), 10, 64) // 0 if it is none
			return kb << 10
		}
	}
	return 0
}

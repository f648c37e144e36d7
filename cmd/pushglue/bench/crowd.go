package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"sync"
	"time"
)

// crowd is the readers of a bench in their processes.
type crowd struct {
	processes []*readersProcess
	end       context.CancelCauseFunc // of what is done with the readers, when that has become pointless
	listening sync.WaitGroup

	changed chan struct{} // has something in it after news
	mu      sync.Mutex    // of what the processes have told
}

// readersProcess is one process of readers, and what it has told.
type readersProcess struct {
	cmd    *exec.Cmd
	stdin  io.Closer
	orders *json.Encoder // to its standard input

	Progress
	up     bool
	ready  bool
	report *crowdReport
}

// errAllEnded is why a bench ends before its time: there is nobody left to measure.
var errAllEnded = errors.New("all readers have ended")

// startCrowd starts processes, which wait for orders. The context that it returns ends when one of the processes has
// failed, or no reader is left. The caller closes the crowd, after an error too.
func startCrowd(ctx context.Context, processes int, command func() *exec.Cmd) (context.Context, *crowd, error) {
	ctx, end := context.WithCancelCause(ctx)
	c := &crowd{end: end, changed: make(chan struct{}, 1)}
	for range processes {
		if err := c.start(command()); err != nil {
			return ctx, c, fmt.Errorf("start a process for readers: %w", err)
		}
	}
	err := c.await(ctx, func(p *readersProcess) bool { return p.up })
	return ctx, c, err
}

func (c *crowd) start(cmd *exec.Cmd) error {
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	p := &readersProcess{cmd: cmd, stdin: stdin, orders: json.NewEncoder(stdin)}
	c.processes = append(c.processes, p)
	c.listening.Go(func() {
		err := c.listen(p, json.NewDecoder(stdout))
		err = errors.Join(err, cmd.Wait())
		if p.report == nil {
			c.end(fmt.Errorf("a process of readers ended too early: %w", err))
		}
	})
	return nil
}

// listen takes what a process tells until it ends.
func (c *crowd) listen(p *readersProcess, lines *json.Decoder) error {
	for {
		var n news
		if err := lines.Decode(&n); err != nil {
			return err
		}
		c.mu.Lock()
		p.Progress, p.report = n.Progress, n.Report
		p.up, p.ready = true, p.ready || n.Ready
		c.mu.Unlock()
		if progress, ready := c.progress(); ready && progress.Open == 0 {
			c.end(errAllEnded)
		}
		select {
		case c.changed <- struct{}{}:
		default:
		}
	}
}

// close ends the processes.
func (c *crowd) close() {
	for _, p := range c.processes {
		p.stdin.Close()
	}
	c.listening.Wait()
	c.end(nil)
}

// progress returns how far all readers are, and whether none is being opened any more.
func (c *crowd) progress() (all Progress, ready bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	ready = true
	for _, p := range c.processes {
		all.Open += p.Open
		all.Deliveries += p.Deliveries
		ready = ready && p.ready
	}
	return all, ready
}

// await waits until done says so, which is called with c.mu held.
func (c *crowd) await(ctx context.Context, done func(*readersProcess) bool) error {
	all := func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return !slices.ContainsFunc(c.processes, func(p *readersProcess) bool { return !done(p) })
	}
	for !all() {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-c.changed:
		}
	}
	return nil
}

// inFlight is how many connections all processes make at a time: fewer than wait for a server with nginx's
// default backlog of 511.
const inFlight = 400

// open opens readers, as many in each process, and returns when all are open or given up.
func (c *crowd) open(ctx context.Context, readers int, o openOrder) error {
	for i, p := range c.processes {
		o.First = readers * i / len(c.processes)
		o.Readers = readers*(i+1)/len(c.processes) - o.First
		o.InFlight = max(1, inFlight/len(c.processes))
		if err := p.orders.Encode(order{Open: &o}); err != nil {
			return fmt.Errorf("open readers: %w", err)
		}
	}
	return c.await(ctx, func(p *readersProcess) bool { return p.ready })
}

// finish waits for what is outstanding, and returns what the readers have seen.
func (c *crowd) finish(ctx context.Context, o finishOrder) (report crowdReport, latency *Latency, err error) {
	for _, p := range c.processes {
		if err := p.orders.Encode(order{Finish: &o}); err != nil {
			return report, nil, fmt.Errorf("finish readers: %w", err)
		}
	}
	if err := c.await(ctx, func(p *readersProcess) bool { return p.report != nil }); err != nil {
		return report, nil, err
	}
	latency = NewLatency()
	for _, p := range c.processes {
		report.add(p.report)
		if err := latency.Merge(p.report.Latency); err != nil {
			return report, nil, err
		}
	}
	return report, latency, nil
}

// processIDs returns those of the processes.
func (c *crowd) processIDs() []int {
	var pids []int
	for _, p := range c.processes {
		pids = append(pids, p.cmd.Process.Pid)
	}
	return pids
}

// tell writes each second how far the readers are, until ctx ends.
func (c *crowd) tell(ctx context.Context, readers int, w io.Writer) {
	start, before := time.Now(), 0
	every := time.NewTicker(time.Second)
	defer every.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-every.C:
		}
		p, _ := c.progress()
		fmt.Fprintf(w, "%.0f s: %d of %d readers open, %d deliveries a second\n", time.Since(start).Seconds(), p.Open, readers, p.Deliveries-before)
		before = p.Deliveries
	}
}

package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/netip"
	"net/url"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"pushglue/cmd/pushglue/bench"
)

// subscribing is one run of bench subscribe.
type subscribing struct {
	bench.SubscribeConfig
	url    string
	remote bool
	asJSON bool
}

func newBenchSubscribeCommand() *cobra.Command {
	var s subscribing
	cmd := &cobra.Command{
		Use:   "subscribe",
		Short: "Measure the whole path to many readers",
		Long: `Opens EventSource readers, spread over the channels bench:0, bench:1 and so on, and waits until the push
host has greeted all of them. Then a daemon, a process of its own, publishes messages from a feed of
its own, which is deleted at the end. Each message has its time and its number in its channel in it,
so that each reader can tell how late it is, and what is missing.

The readers share a few processes, as few as their descriptors allow ("ulimit -n"), and have many
source addresses (127.1.0.1 …), since an address has no more than some 28,000 ports. The push host
needs worker_connections and worker_rlimit_nofile for them. It ends streams after 11 minutes and more,
unless it is told otherwise.

With --rate 0 nothing is published, and neither Redis nor PUSHGLUE_PUSH_HOSTS are needed: readers
connect, and are held for a while.

Everything runs as fast as it can: on this machine only, unless --allow-remote says otherwise.
The settings are those of "pushglue run".

The exit code is 1 if a reader did not connect, was cut off, lost a message, or got one out of order.`,
		Example: `  pushglue bench subscribe --readers 5000 --rate 27
  pushglue bench subscribe --readers 1000 --channels 100 --rate 500 --for 1m --json
  pushglue bench subscribe --readers 20000 --rate 0 --subscribe-url http://127.0.0.1:8080/subscribe/`,
		Args: arguments(cobra.NoArgs),
		RunE: interruptible(func(c *cobra.Command, _ []string) error {
			if err := s.check(); err != nil {
				return usageError{err}
			}
			return s.run(c)
		}),
	}
	f := cmd.Flags()
	f.IntVar(&s.Readers, "readers", 1000, "how many readers to open")
	f.IntVar(&s.Channels, "channels", 1, "channels that readers and messages are spread over")
	f.IntVar(&s.Processes, "processes", 0, "processes for the readers (default: as few as their descriptors allow)")
	f.Float64Var(&s.Rate, "rate", 10, "messages a second, in all channels together; 0 for idle readers")
	f.DurationVar(&s.For, "for", 10*time.Second, "how long to publish, or to hold idle readers")
	f.DurationVar(&s.Wait, "wait", 10*time.Second, "how long to wait for deliveries that are outstanding at the end")
	f.IntVar(&s.Size, "size", 300, "bytes of a job")
	f.DurationVar(&s.Coalesce, "coalesce", 0, "coalesce messages in a window such as 25ms")
	f.StringVar(&s.url, "subscribe-url", "http://127.0.0.1/subscribe/", "where the push host takes readers; the channel's name follows")
	f.BoolVar(&s.remote, "allow-remote", false, "aim at other machines than this one too")
	jsonFlag(cmd, &s.asJSON)
	return cmd
}

// newBenchReadersCommand is a process of readers of bench subscribe.
func newBenchReadersCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "readers",
		Hidden: true,
		Args:   arguments(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			// A terminal's Ctrl-C reaches this process too, but it ends when its parent says so, or is no more.
			signal.Ignore(os.Interrupt)
			return bench.ServeReaders(c.InOrStdin(), c.OutOrStdout())
		},
	}
}

func (s *subscribing) check() error {
	switch {
	case s.Readers < 1 || s.Channels < 1:
		return errors.New("--readers and --channels must be at least 1")
	case s.Processes < 0 || s.Processes > s.Readers:
		return errors.New("--processes must be from 1 to --readers")
	case !(s.Rate >= 0) || s.Rate > maxRate: // NaN is not at least 0
		return fmt.Errorf("--rate must be 0 to %d messages a second", maxRate)
	case s.For <= 0 || s.Wait <= 0:
		return errors.New("--for and --wait must be more than 0")
	case s.Rate > 0 && s.Rate*s.For.Seconds() < 1:
		return errors.New("--rate and --for give no message at all")
	}
	return nil
}

func (s *subscribing) run(c *cobra.Command) error {
	settings, err := readConfig()
	if err != nil {
		return err
	}
	if err := s.target(c); err != nil {
		return err
	}
	if err := s.spread(); err != nil {
		return err
	}
	s.Progress = c.ErrOrStderr()
	s.ReaderProcess = func() *exec.Cmd { return benchProcess(c, "readers") }
	if s.Rate > 0 {
		scratch, err := openScratch(c, settings, s.remote)
		defer scratch.close()
		if err != nil {
			return err
		}
		s.Feed = scratch.feed
	}
	s.Daemon = func(pipelines string) *exec.Cmd { return benchDaemon(c, pipelines) }
	report, err := bench.Subscribe(c.Context(), s.SubscribeConfig)
	if err != nil {
		return err
	}
	return errors.Join(s.print(c.OutOrStdout(), report), report.Verdict())
}

// target finds out where --subscribe-url is.
func (s *subscribing) target(c *cobra.Command) error {
	u, err := url.Parse(s.url)
	switch {
	case err != nil || u.Hostname() == "":
		return usageError{fmt.Errorf("--subscribe-url: %q is no URL such as http://127.0.0.1/subscribe/", s.url)}
	case u.Scheme != "http":
		return usageError{fmt.Errorf("--subscribe-url: readers speak http alone, not %s", u.Scheme)}
	case u.RawQuery != "" || u.Fragment != "" || u.User != nil || !strings.HasSuffix(u.Path, "/"):
		return usageError{errors.New("--subscribe-url must end with the path's last slash, behind which the channel's name stands, and name no user")}
	}
	if !s.remote && !isLoopback(u.Hostname()) {
		return notThisMachine("--subscribe-url", u.Hostname())
	}
	port := cmp.Or(u.Port(), "80")
	resolved, err := net.DefaultResolver.LookupNetIP(c.Context(), "ip", u.Hostname())
	if err != nil {
		return fmt.Errorf("--subscribe-url: %w", err)
	}
	s.Address, err = netip.ParseAddrPort(net.JoinHostPort(resolved[0].Unmap().String(), port))
	s.Host, s.Path = u.Host, u.EscapedPath()
	return err
}

// spread decides over how many processes readers are spread.
func (s *subscribing) spread() error {
	most, err := bench.MaxReaders()
	if err != nil {
		return err
	}
	least := (s.Readers + most - 1) / most
	if s.Processes == 0 {
		s.Processes = least
	}
	if s.Processes < least {
		return usageError{fmt.Errorf("--processes: a process has descriptors for %d readers, so that %d readers need %d", most, s.Readers, least)}
	}
	return nil
}

// print writes the report.
func (s *subscribing) print(w io.Writer, r bench.SubscribeReport) error {
	if s.asJSON {
		return writeJSON(w, r)
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "readers\t%d of %d connected, %s, processes: %d\n", r.Connected, r.Readers, number(r.Channels, "channel"), r.Processes)
	fmt.Fprintf(t, "connecting\t%.0f a second, %.2f s in all\n", r.Connects, r.ConnectSeconds)
	printReasons(t, "attempts failed", r.Failures)
	printReasons(t, "streams ended", r.Ended)
	printMemory(t, r.Memory)
	if r.Messages > 0 {
		printDeliveries(t, r)
	}
	return t.Flush()
}

func printReasons(t io.Writer, what string, byReason map[string]int) {
	for _, reason := range slices.Sorted(maps.Keys(byReason)) {
		fmt.Fprintf(t, "%s\t%d: %s\n", what, byReason[reason], reason)
	}
}

func printMemory(t io.Writer, m bench.MemoryReport) {
	for _, row := range []struct {
		what  string
		bytes *int64
		note  string
	}{
		{"memory, readers", m.Processes, "the processes of this bench"},
		{"memory, server", m.Server, "the processes that listen there"},
		{"memory, machine", m.Machine, "everything on it, the kernel's part for both ends too"},
	} {
		if row.bytes != nil {
			fmt.Fprintf(t, "%s\t%d bytes a reader: %s\n", row.what, *row.bytes, row.note)
		}
	}
	if m.Missing != "" {
		fmt.Fprintf(t, "memory, missing\t%s\n", strings.ReplaceAll(m.Missing, "\n", "; "))
	}
}

func printDeliveries(t io.Writer, r bench.SubscribeReport) {
	fmt.Fprintf(t, "messages\t%d, %d stalled\n", r.Messages, r.Stalled)
	fmt.Fprintf(t, "deliveries\t%d, %.0f a second over %.2f s\n", r.Deliveries, r.Rate, r.Seconds)
	fmt.Fprintf(t, "lost\t%d, of %s\n", r.Lost, number(r.Losers, "reader"))
	fmt.Fprintf(t, "out of order\t%d\n", r.OutOfOrder)
	fmt.Fprintf(t, "duplicates\t%d: readers drop what they have seen\n", r.Duplicates)
	if r.Foreign > 0 {
		fmt.Fprintf(t, "foreign\t%d events of somebody else on these channels\n", r.Foreign)
	}
	printQuantiles(t, "put to accepted", r.Accepted)
	printQuantiles(t, "put to reader", r.Latency)
	fmt.Fprintf(t, "CPU, daemon\t%.1f µs a message\n", r.DaemonCPU)
	if r.ServerCPU > 0 {
		fmt.Fprintf(t, "CPU, server\t%.1f µs a delivery\n", r.ServerCPU)
	}
	fmt.Fprintf(t, "CPU, readers\t%.1f µs a delivery\n", r.ReaderCPU)
}

func printQuantiles(t io.Writer, what string, q *bench.Quantiles) {
	if q != nil {
		fmt.Fprintf(t, "%s\tp50 %.1f, p90 %.1f, p99 %.1f, p99.9 %.1f, most %.1f ms\n", what, q.P50, q.P90, q.P99, q.P999, q.Max)
	}
}

//go:build performance

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pushglue/cmd/pushglue/bench"
	"pushglue/glue/gluetest/service"
)

// TestPerformance measures what docs/performance.md tells and prints it as tables; make bench runs it. It
// asserts nothing about time: it fails only when something cannot be measured. A part of it is
// chosen like any subtest: make bench RUN=TestPerformance/raw.
//
// What is compared is measured in turns, and the medians are what counts.
func TestPerformance(t *testing.T) {
	out := newTables(t)
	for _, part := range []struct {
		name string
		run  func(*testing.T, io.Writer)
	}{
		{"raw", againstRaw},
		{"latency", latencies},
		{"queue", queueLengths},
		{"channels", channelNumbers},
		{"hosts", hostNumbers},
		{"fanout", fanOuts},
		{"metrics", metricsCost},
	} {
		t.Run(part.name, func(t *testing.T) { part.run(t, out) })
	}
}

// newTables returns where the tables go: a file among the test's artifacts, which is printed at the end.
func newTables(t *testing.T) io.Writer {
	f, err := os.Create(filepath.Join(t.ArtifactDir(), "performance.md"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		text, err := os.ReadFile(f.Name())
		if err := errors.Join(err, f.Close()); err != nil {
			t.Error(err)
		}
		fmt.Printf("%s\nThese tables are in %s too.\n", text, f.Name())
	})
	return f
}

// stack is what a bench works with: Redis, and push hosts with the shipped configuration.
type stack struct {
	t     *testing.T
	redis *service.Redis
	hosts []*service.Nginx
	more  []string // settings
}

// module is what the push hosts run: push-stream where it is there.
func module() string {
	if os.Getenv("PUSH_STREAM_MODULE") != "" {
		return service.PushStream
	}
	return service.Nchan
}

func startStack(t *testing.T, hosts int) *stack {
	s := &stack{t: t, redis: service.StartRedis(t)}
	for range hosts {
		s.hosts = append(s.hosts, service.StartNginx(t, module(),
			// push-stream keeps each message for 10 s and more, read or not; it is used as needed.
			service.NginxFile(module()+"/memory.conf", strings.ReplaceAll(module(), "-", "_")+"_shared_memory_size 6000m;\n"),
			service.NginxFile("common/worker-connections.conf", "worker_connections 19000;\n")))
	}
	return s
}

// bench runs pushglue bench and decodes its report.
func (s *stack) bench(report any, args ...string) {
	s.t.Helper()
	var urls []string
	for _, h := range s.hosts {
		urls = append(urls, h.InternalURL())
	}
	cmd := exec.CommandContext(s.t.Context(), os.Args[0], append([]string{"bench"}, append(args, "--json")...)...)
	cmd.Env = environment(append([]string{"REDIS_URL=" + s.redis.URL(), "PUSH_HOSTS=" + strings.Join(urls, ","), "PUSH_MODULE=" + module(), "LOG_LEVEL=warn"}, s.more...)...)
	cmd.Stderr = os.Stderr
	text, err := cmd.Output()
	if err == nil {
		err = json.Unmarshal(text, report)
	}
	if err != nil {
		s.t.Fatalf("bench %v: %v", args, err)
	}
}

func (s *stack) publish(args ...string) bench.PublishReport {
	var r bench.PublishReport
	s.bench(&r, append([]string{"publish"}, args...)...)
	return r
}

var wrkRate = regexp.MustCompile(`Requests/sec:\s+([0-9.]+)`)

// wrk POSTs messages of so many channels for some seconds and returns the rate.
func (s *stack) wrk(fan int) float64 {
	s.t.Helper()
	cmd := exec.CommandContext(s.t.Context(), "wrk", "-t1", "-c32", "-d5s", "-s", "../../testdata/bench/publish.lua", s.hosts[0].InternalURL())
	cmd.Env = append(os.Environ(), fmt.Sprint("FAN=", fan))
	if module() == service.Nchan {
		cmd.Env = append(cmd.Env, "HEADER=X-EventSource-Event")
	}
	text, err := cmd.CombinedOutput()
	found := wrkRate.FindSubmatch(text)
	if err != nil || found == nil || strings.Contains(string(text), "Non-2xx") {
		s.t.Fatalf("wrk: %v\n%s", err, text)
	}
	rate, err := strconv.ParseFloat(string(found[1]), 64)
	if err != nil {
		s.t.Fatal(err)
	}
	return rate
}

// turns is how often what is compared takes its turn.
const turns = 5

// againstRaw compares the whole path, from the queue to the push host's answer, with wrk that POSTs the same messages.
func againstRaw(t *testing.T, out io.Writer) {
	s := startStack(t, 1)
	fmt.Fprintf(out, "\n## Against the raw rate (%s, one worker, 300-byte comments, medians of %d rounds)\n\n", module(), turns)
	fmt.Fprint(out, "| channels of a message | wrk, requests/s | pushglue, jobs/s | ratio | CPU a job, us | allocations a job | bytes a job |\n| --- | --- | --- | --- | --- | --- | --- |\n")
	for _, fan := range []int{1, 4} {
		var raw, ours, ratio, cpu, allocs, size []float64
		for range turns {
			w := s.wrk(fan)
			r := s.publish("--jobs=300000", fmt.Sprint("--fan=", fan))
			raw, ours, ratio = append(raw, w), append(ours, r.Rate), append(ratio, r.Rate/w)
			cpu, allocs, size = append(cpu, r.CPU), append(allocs, r.Allocs), append(size, r.AllocBytes)
		}
		fmt.Fprintf(out, "| %d | %.0f | %.0f | %.2f (%.2f to %.2f) | %.1f | %.1f | %.0f |\n", fan, median(raw), median(ours),
			median(ratio), slices.Min(ratio), slices.Max(ratio), median(cpu), median(allocs), median(size))
	}
}

func median(values []float64) float64 {
	v := slices.Sorted(slices.Values(values))
	return (v[(len(v)-1)/2] + v[len(v)/2]) / 2
}

// few is how often what is measured by itself takes its turn.
const few = 3

// compare runs bench publish with different arguments in turns, and returns what came of each.
func compare[T any](run func(T) bench.PublishReport, cases []T) [][]bench.PublishReport {
	reports := make([][]bench.PublishReport, len(cases))
	for range few {
		for i, c := range cases {
			reports[i] = append(reports[i], run(c))
		}
	}
	return reports
}

// medianOf returns the median of one figure of some reports.
func medianOf(reports []bench.PublishReport, figure func(bench.PublishReport) float64) float64 {
	values := make([]float64, len(reports))
	for i, r := range reports {
		values[i] = figure(r)
	}
	return median(values)
}

func rate(r bench.PublishReport) float64 { return r.Rate }
func cpu(r bench.PublishReport) float64  { return r.CPU }
func peak(r bench.PublishReport) float64 { return float64(r.Peak) / (1 << 20) }

// queueLengths shows that neither memory nor rate depends on what waits in the queue.
func queueLengths(t *testing.T, out io.Writer) {
	fmt.Fprintf(out, "\n## With a long queue (the first 10 s of it, medians of %d)\n\n| jobs queued | jobs/s | resident at most, MiB | CPU a job, us |\n| --- | --- | --- | --- |\n", few)
	queues := []int{1000, 1_000_000, 10_000_000}
	// Each turn has a Redis of its own: one that has just freed ten million jobs is not what is measured.
	turn := func(jobs int) (r bench.PublishReport) {
		t.Run(fmt.Sprint(jobs), func(t *testing.T) { r = startStack(t, 1).publish(fmt.Sprint("--jobs=", jobs), "--for=10s") })
		return r
	}
	for i, reports := range compare(turn, queues) {
		fmt.Fprintf(out, "| %d | %.0f | %.0f | %.1f |\n", queues[i], medianOf(reports, rate), medianOf(reports, peak), medianOf(reports, cpu))
	}
}

func channelNumbers(t *testing.T, out io.Writer) {
	fmt.Fprintf(out, "\n## By number of channels (medians of %d)\n\n| channels | jobs/s | CPU a job, us |\n| --- | --- | --- |\n", few)
	channels := []int{1, 10, 100, 1000, 10_000, 100_000}
	s := startStack(t, 1)
	for i, reports := range compare(func(n int) bench.PublishReport { return s.publish("--jobs=300000", fmt.Sprint("--channels=", n)) }, channels) {
		fmt.Fprintf(out, "| %d | %.0f | %.1f |\n", channels[i], medianOf(reports, rate), medianOf(reports, cpu))
	}
}

func hostNumbers(t *testing.T, out io.Writer) {
	fmt.Fprintf(out, "\n## By number of push hosts (all on this machine, medians of %d)\n\n| hosts | jobs/s | requests/s | CPU a job, us |\n| --- | --- | --- | --- |\n", few)
	var stacks []*stack
	for _, hosts := range []int{1, 2, 5} {
		stacks = append(stacks, startStack(t, hosts))
	}
	for i, reports := range compare(func(s *stack) bench.PublishReport { return s.publish("--jobs=200000") }, stacks) {
		hosts, jobs := len(stacks[i].hosts), medianOf(reports, rate)
		fmt.Fprintf(out, "| %d | %.0f | %.0f | %.1f |\n", hosts, jobs, jobs*float64(hosts), medianOf(reports, cpu))
	}
}

func (s *stack) subscribe(args ...string) bench.SubscribeReport {
	var r bench.SubscribeReport
	s.bench(&r, append([]string{"subscribe", "--subscribe-url=" + s.hosts[0].PublicURL() + "/subscribe/"}, args...)...)
	return r
}

// latencies measures how long a job takes to the push host's answer, when nobody listens, and to ten readers, each of a channel of
// its own.
func latencies(t *testing.T, out io.Writer) {
	s := startStack(t, 1)
	fmt.Fprint(out, "\n## Latency (10 s each, ten channels)\n\n| jobs/s | nobody listens: put to accepted, p50 / p99 ms | ten readers: put to accepted | put to reader | lost | daemon, cores |\n"+
		"| --- | --- | --- | --- | --- | --- |\n")
	both := func(q *bench.Quantiles) string { return fmt.Sprintf("%.1f / %.1f", q.P50, q.P99) }
	for _, jobs := range []int{1000, 10_000, 30_000} {
		alone := s.publish(fmt.Sprint("--rate=", jobs), fmt.Sprint("--jobs=", 10*jobs), "--channels=10")
		r := s.subscribe("--readers=10", "--channels=10", fmt.Sprint("--rate=", jobs))
		fmt.Fprintf(out, "| %d | %s | %s | %s | %d | %.2f |\n", jobs, both(alone.Accepted), both(r.Accepted), both(r.Latency), r.Lost, r.DaemonCPU*float64(jobs)/1e6)
	}
}

// fanOuts measures deliveries to many readers of one channel.
func fanOuts(t *testing.T, out io.Writer) {
	fmt.Fprint(out, "\n## Fan-out through the whole path, one channel\n\n| module | readers | messages/s | window | deliveries/s | put to reader, p50 / p99 ms | lost | push host, µs a delivery | readers, µs a delivery |\n"+
		"| --- | --- | --- | --- | --- | --- | --- | --- | --- |\n")
	for _, f := range []struct {
		readers, rate int
		window        string
	}{
		{5000, 10, "0s"}, {5000, 20, "0s"}, {5000, 33, "0s"}, {5000, 33, "100ms"}, {2500, 66, "50ms"}, {1000, 1000, "25ms"},
	} {
		t.Run(fmt.Sprintf("%d-%d-%s", f.readers, f.rate, f.window), func(t *testing.T) {
			r := startStack(t, 1).subscribe(fmt.Sprint("--readers=", f.readers), fmt.Sprint("--rate=", f.rate), "--coalesce="+f.window, "--wait=30s")
			fmt.Fprintf(out, "| %s | %d | %d | %s | %.0f | %.0f / %.0f | %d | %.1f | %.1f |\n", module(), f.readers, f.rate, f.window, r.Rate,
				r.Latency.P50, r.Latency.P99, r.Lost, r.ServerCPU, r.ReaderCPU)
		})
	}
}

// metricsCost compares a daemon whose numbers nobody wants with one that asks Redis and the push host each second, and sends
// all that /metrics shows to statsd. What the ledger counts and times by itself is in both.
func metricsCost(t *testing.T, out io.Writer) {
	statsd, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { statsd.Close() }) // what comes stays unread
	s := startStack(t, 1)
	with := func(settings ...string) func() bench.PublishReport {
		return func() bench.PublishReport { s.more = settings; return s.publish("--jobs=300000") }
	}
	off, on := with("METRICS_INTERVAL=1h"), with("METRICS_INTERVAL=1s", "STATSD_ADDR="+statsd.LocalAddr().String())
	var rates, cpus, without, all []float64
	for i := range 2*turns - 1 {
		var a, b bench.PublishReport
		if i%2 == 0 {
			a, b = off(), on()
		} else {
			b, a = on(), off()
		}
		without, all = append(without, a.Rate), append(all, b.Rate)
		rates, cpus = append(rates, b.Rate/a.Rate), append(cpus, b.CPU/a.CPU)
	}
	fmt.Fprintf(out, "\n## Metrics each second, and never (%s, medians of %d rounds)\n\n| never, jobs/s | each second, jobs/s | ratio | CPU a job, ratio |\n| --- | --- | --- | --- |\n| %.0f | %.0f | %.3f (%.2f to %.2f) | %.3f |\n",
		module(), len(rates), median(without), median(all), median(rates), slices.Min(rates), slices.Max(rates), median(cpus))
}

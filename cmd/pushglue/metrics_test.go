package main

import (
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"pushglue/glue/gluetest/service"
	"pushglue/glue/thoonk"
)

// scrape is what /metrics answered.
type scrape map[string]*dto.MetricFamily

func scrapeMetrics(t *testing.T, url string) scrape {
	t.Helper()
	resp, err := http.Get(url + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(resp.Body)
	if err != nil {
		t.Fatalf("/metrics: %v", err)
	}
	return families
}

// value returns the sum of all metrics of a family that have these values of labels; times count, of histograms.
func (s scrape) value(family string, labels ...string) float64 {
	var sum float64
	for _, m := range s[family].GetMetric() {
		has := map[string]bool{}
		for _, l := range m.GetLabel() {
			has[l.GetValue()] = true
		}
		fits := true
		for _, l := range labels {
			fits = fits && has[l]
		}
		if fits {
			sum += m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	return sum
}

// TestMetrics runs a daemon over two push hosts, one of which restarts, with a poison job among others.
func TestMetrics(t *testing.T) {
	for _, module := range []string{service.Nchan, service.PushStream} {
		t.Run(module, func(t *testing.T) {
			workdir(t, goodPipelines)
			store := service.StartRedis(t)
			rdb := store.Client(t)
			one, two := service.StartNginx(t, module), service.StartNginx(t, module)
			reader := listen(t, one)
			statsd := listenStatsd(t)
			address := fmt.Sprintf("127.0.0.1:%d", service.FreePort(t))
			daemon := startDaemon(t, "REDIS_URL="+store.URL(), "PUSH_MODULE="+module,
				"PUSH_HOSTS="+one.InternalURL()+","+two.InternalURL(), "HTTP_ADDR="+address, "METRICS_INTERVAL=200ms",
				"STATSD_ADDR="+statsd.address, "RETRY_BUDGET=100ms", "ATTEMPTS=1")
			feed, err := thoonk.NewFeed(rdb, "f", thoonk.ThoonkPy)
			if err != nil {
				t.Fatal(err)
			}
			jobs := [][]byte{[]byte("this is no JSON")}
			for i := range 99 {
				jobs = append(jobs, fmt.Appendf(nil, `{"id":"m%d"}`, i))
			}
			if _, err := feed.Put(t.Context(), jobs, thoonk.PutOptions{}); err != nil {
				t.Fatal(err)
			}
			var got scrape
			settled := func(feed string) bool {
				got = scrapeMetrics(t, "http://"+address)
				return got.value("pushglue_jobs_finished_total", feed)+got.value("pushglue_jobs_stalled_total", feed) == 100 &&
					got.value("pushglue_feed_jobs", feed, "stalled") == 1 && got.value("pushglue_host_readers") == 1
			}
			eventually(t, "the metrics of 100 jobs", func() bool { return settled("f") })

			hosts := []string{strings.TrimPrefix(one.InternalURL(), "http://"), strings.TrimPrefix(two.InternalURL(), "http://")}
			for what, want := range map[string]float64{
				"pushglue_jobs_claimed_total f":                     100,
				"pushglue_jobs_in_flight f":                         0,
				"pushglue_jobs_stalled_total f":                     1,
				"pushglue_job_duration_seconds f":                   99,
				"pushglue_job_wait_seconds f":                       100,
				"pushglue_stage_messages_in_total p json":           100,
				"pushglue_stage_messages_failed_total p json":       1,
				"pushglue_publisher_messages_published_total p":     99,
				"pushglue_publisher_messages_in_flight p":           0,
				"pushglue_host_requests_accepted_total " + hosts[0]: 99,
				"pushglue_host_requests_accepted_total " + hosts[1]: 99,
				"pushglue_host_state up " + hosts[0]:                1,
				"pushglue_host_state down " + hosts[0]:              0,
				"pushglue_host_role in " + hosts[1]:                 1,
				"pushglue_host_ready " + hosts[1]:                   1,
				"pushglue_host_published_total " + hosts[0]:         99,
				"pushglue_host_readers " + hosts[0]:                 1,
				"pushglue_feed_put_total f":                         100,
				"pushglue_feed_finished_total f":                    99,
				"pushglue_feed_up f":                                1,
				"pushglue_discrepancies":                            0,
				"pushglue_build_info":                               1,
			} {
				fields := strings.Fields(what)
				if value := got.value(fields[0], fields[1:]...); value != want {
					t.Errorf("%s is %g, want %g", what, value, want)
				}
			}
			if got.value("pushglue_stage_duration_seconds", "p", "json") == 0 {
				t.Error("no stage is timed")
			}
			if module == service.Nchan && got.value("pushglue_host_shared_memory_limit_bytes", hosts[0]) == 0 {
				t.Error("Nchan's shared memory is not shown")
			}
			eventually(t, "all messages", func() bool { reader.mu.Lock(); defer reader.mu.Unlock(); return len(reader.got) == 99 })
			up := "pushglue.host_state." + strings.NewReplacer(".", "_", ":", "_").Replace(hosts[0]) + ".up:1|g"
			eventually(t, "statsd", func() bool { return statsd.has(up) })

			two.Stop()
			eventually(t, "a host that is down", func() bool {
				got = scrapeMetrics(t, "http://"+address)
				return got.value("pushglue_host_state", hosts[1], "down") == 1 && got.value("pushglue_host_ready", hosts[1]) == 0
			})
			daemon.Stop()
			eventually(t, "99 finished jobs at statsd", func() bool { return statsd.sum("pushglue.jobs_finished_total.f") == 99 })
		})
	}
}

// statsd is a daemon that keeps what it is told.
type statsd struct {
	address string

	mu    sync.Mutex
	lines []string
}

func listenStatsd(t *testing.T) *statsd {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &statsd{address: conn.LocalAddr().String()}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		packet := make([]byte, 1<<16)
		for {
			n, _, err := conn.ReadFrom(packet)
			if err != nil {
				return
			}
			s.mu.Lock()
			s.lines = append(s.lines, strings.Fields(string(packet[:n]))...)
			s.mu.Unlock()
		}
	}()
	t.Cleanup(func() { conn.Close(); <-ended })
	return s
}

// has reports whether a line begins like this.
func (s *statsd) has(prefix string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.ContainsFunc(s.lines, func(line string) bool { return strings.HasPrefix(line, prefix) })
}

// sum returns the sum of a counter.
func (s *statsd) sum(name string) (sum int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, line := range s.lines {
		var n int
		if _, err := fmt.Sscanf(line, name+":%d|c", &n); err == nil {
			sum += n
		}
	}
	return sum
}

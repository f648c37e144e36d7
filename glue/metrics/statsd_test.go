package metrics

import (
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
)

// counts is a collector of counters by name.
type counts map[string]float64

func (counts) Describe(chan<- *prometheus.Desc) {}

func (c counts) Collect(ch chan<- prometheus.Metric) {
	for name, n := range c {
		ch <- prometheus.MustNewConstMetric(prometheus.NewDesc(name, "of a test", []string{"feed"}, nil), prometheus.CounterValue, n, "f")
	}
}

// TestStatsdSendsGrowth: what the daemon counted from its start, and what others have counted since it saw them first, also after one
// of them began again.
func TestStatsdSendsGrowth(t *testing.T) {
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	c := counts{}
	registry := prometheus.NewRegistry()
	registry.MustRegister(c)
	s := NewStatsd(conn.LocalAddr().String(), "p.", Plain, registry, time.Hour, zerolog.Nop())
	for _, state := range []counts{
		{"pushglue_jobs_claimed_total": 3, "pushglue_feed_put_total": 1e6, "pushglue_host_published_total": 500},
		{"pushglue_jobs_claimed_total": 5, "pushglue_feed_put_total": 1e6 + 7, "pushglue_host_published_total": 2},
		{"pushglue_jobs_claimed_total": 5, "pushglue_feed_put_total": 1e6 + 7}, // a host that does not answer
		{"pushglue_jobs_claimed_total": 6, "pushglue_feed_put_total": 1e6 + 8, "pushglue_host_published_total": 6},
	} {
		clear(c)
		for name, n := range state {
			c[name] = n
		}
		s.send()
	}
	if err := s.client.Close(); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"p.feed_put_total.f:1|c", "p.feed_put_total.f:7|c", "p.host_published_total.f:2|c", "p.host_published_total.f:4|c",
		"p.jobs_claimed_total.f:1|c", "p.jobs_claimed_total.f:2|c", "p.jobs_claimed_total.f:3|c",
	}
	var got []string
	packet := make([]byte, 1<<16)
	if err := conn.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	for len(got) < len(want) {
		n, _, err := conn.ReadFrom(packet)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, strings.Fields(string(packet[:n]))...)
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("got %q\nwant %q", got, want)
	}
}

// TestStatsdComplainsOnce of a daemon that is not there, though the client does again and again.
func TestStatsdComplainsOnce(t *testing.T) {
	var log strings.Builder
	l := newStatsdLog(zerolog.New(&log))
	for range 3 {
		l.Printf("[STATSD] Error writing to socket: %s", net.ErrClosed)
	}
	if want := `{"level":"warn","error":"Error writing to socket: use of closed network connection","message":"statsd: numbers are lost"}` + "\n"; log.String() != want {
		t.Errorf("got %s", &log)
	}
}

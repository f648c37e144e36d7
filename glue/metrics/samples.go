package metrics

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"pushglue/glue/push"
)

var (
	feedUp       = describe("feed", "up", "1 if Redis answered for the feed when it was asked last.", "feed")
	feedJobs     = describe("feed", "jobs", "Jobs of the feed in Redis, by state: queued, claimed, stalled, lost.", "feed", "state")
	feedPut      = describe("feed", "put_total", "Jobs that were ever put on the feed, as Redis counts.", "feed")
	feedFinished = describe("feed", "finished_total", "Jobs of the feed that anybody finished, as Redis counts.", "feed")
	feedOldest   = describe("feed", "oldest_job_seconds", "Age of the oldest job that is queued or claimed.", "feed")

	hostState  = describe("host", "state", "1 for the state in which the push host is: up, behind or down.", "host", "state")
	hostRole   = describe("host", "role", "1 for the push host's role: in, drain or out.", "host", "role")
	hostReady  = describe("host", "ready", "1 if the push host's health and statistics answered when it was asked last.", "host")
	hostDue    = describe("host", "messages_due", "Messages that the push host lacks and gets in order.", "host")
	hostOwed   = describe("host", "messages_owed", "Messages that the push host refused and gets again.", "host")
	hostLag    = describe("host", "lag_seconds", "Age of the oldest message that the push host lacks.", "host")
	hostCounts = []number[push.HostReport]{
		gauge(describe("host", "readers", "Readers of the push host, as it counts.", "host"), func(h *push.HostReport) float64 { return float64(h.Readers) }),
		gauge(describe("host", "channels", "Channels of the push host, as it counts.", "host"), func(h *push.HostReport) float64 { return float64(h.Channels) }),
		gauge(describe("host", "messages_stored", "Messages in the push host's memory, as it counts.", "host"), func(h *push.HostReport) float64 { return float64(h.Stored) }),
		gauge(describe("host", "messages_trashed", "Messages that the push host has done with and that still take memory, as push-stream counts.", "host"), func(h *push.HostReport) float64 { return float64(h.Trash) }),
		counter(describe("host", "published_total", "Messages published on the push host by anybody since its start, as it counts; push-stream counts one for each channel.", "host"), func(h *push.HostReport) int64 { return h.Published }),
	}
	hostMemory      = describe("host", "shared_memory_bytes", "Shared memory that the push host's module uses, as Nchan tells.", "host")
	hostMemoryLimit = describe("host", "shared_memory_limit_bytes", "Shared memory that the push host's module has, as Nchan tells.", "host")
	workerReaders   = describe("host", "worker_readers", "Readers of a worker of nginx, by its place, as push-stream counts.", "host", "worker")

	discrepancies = describe("", "discrepancies", "Feeds or push hosts whose counts do not agree with the ledger's, by check; 0 when all agree.", "check")
)

// Describe implements prometheus.Collector.
func (s *Sampler) Describe(ch chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{
		feedUp, feedJobs, feedPut, feedFinished, feedOldest,
		hostState, hostRole, hostReady, hostDue, hostOwed, hostLag, hostMemory, hostMemoryLimit, workerReaders, discrepancies,
	} {
		ch <- desc
	}
	(&table[push.HostReport]{numbers: hostCounts}).describe(ch)
}

// Collect implements prometheus.Collector.
func (s *Sampler) Collect(ch chan<- prometheus.Metric) {
	now := s.last()
	for i := range now.feeds {
		now.feeds[i].collect(ch)
	}
	reports := map[string]*push.HostReport{}
	for i := range now.hosts {
		reports[now.hosts[i].Name] = &now.hosts[i]
	}
	if s.sources.Hosts != nil {
		for _, h := range s.sources.Hosts.Hosts() {
			collectHost(ch, h, reports[h.Name])
		}
	}
	for _, check := range Checks() {
		n := 0
		for _, d := range now.discrepancies {
			if d.Check == check {
				n++
			}
		}
		send(ch, discrepancies, float64(n), check)
	}
}

func (f *feedSample) collect(ch chan<- prometheus.Metric) {
	send(ch, feedUp, truth(f.err == nil), f.name)
	if f.err != nil {
		return
	}
	for state, n := range map[string]int64{"queued": f.counts.Queued, "claimed": f.counts.Claimed, "stalled": f.counts.Stalled, "lost": f.counts.Lost} {
		send(ch, feedJobs, float64(n), f.name, state)
	}
	ch <- prometheus.MustNewConstMetric(feedPut, prometheus.CounterValue, float64(f.counts.Put), f.name)
	ch <- prometheus.MustNewConstMetric(feedFinished, prometheus.CounterValue, float64(f.counts.Finished), f.name)
	send(ch, feedOldest, f.oldest.Seconds(), f.name)
}

// collectHost shows how a host stands now, and what it said of itself, if it has.
func collectHost(ch chan<- prometheus.Metric, h push.HostStatus, said *push.HostReport) {
	for _, state := range push.States() {
		send(ch, hostState, truth(h.State == state), h.Name, state)
	}
	for _, role := range push.Roles() {
		send(ch, hostRole, truth(h.Role == role), h.Name, string(role))
	}
	send(ch, hostDue, float64(h.Due), h.Name)
	send(ch, hostOwed, float64(h.Owed), h.Name)
	send(ch, hostLag, float64(h.LagMS)/1000, h.Name)
	send(ch, hostReady, truth(said != nil && said.Ready), h.Name)
	if said == nil || !said.Ready {
		return
	}
	(&table[push.HostReport]{numbers: hostCounts}).collect(ch, said, h.Name)
	if said.MemoryLimit > 0 {
		send(ch, hostMemory, float64(said.MemoryUsed), h.Name)
		send(ch, hostMemoryLimit, float64(said.MemoryLimit), h.Name)
	}
	for i, w := range said.Workers {
		send(ch, workerReaders, float64(w.Readers), h.Name, strconv.Itoa(i))
	}
}

func send(ch chan<- prometheus.Metric, desc *prometheus.Desc, value float64, labels ...string) {
	ch <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, labels...)
}

func truth(is bool) float64 {
	if is {
		return 1
	}
	return 0
}

package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"pushglue/glue"
)

// namespace begins the name of every metric.
const namespace = "pushglue"

// table describes the metrics of accounts of one kind, such as feeds.
type table[T any] struct {
	numbers []number[T]
	times   []timing[T]
}

// number is one that only grows, or one that goes up and down.
type number[T any] struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	of   func(*T) float64
}

// timing is a histogram.
type timing[T any] struct {
	desc *prometheus.Desc
	of   func(*T) *glue.Times
}

func describe(subsystem, name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(prometheus.BuildFQName(namespace, subsystem, name), help, labels, nil)
}

func counter[T any](desc *prometheus.Desc, of func(*T) int64) number[T] {
	return number[T]{desc, prometheus.CounterValue, func(row *T) float64 { return float64(of(row)) }}
}

func gauge[T any](desc *prometheus.Desc, of func(*T) float64) number[T] {
	return number[T]{desc, prometheus.GaugeValue, of}
}

func (t *table[T]) describe(ch chan<- *prometheus.Desc) {
	for _, n := range t.numbers {
		ch <- n.desc
	}
	for _, h := range t.times {
		ch <- h.desc
	}
}

// collect sends the metrics of one account, whose labels have these values.
func (t *table[T]) collect(ch chan<- prometheus.Metric, row *T, labels ...string) {
	for _, n := range t.numbers {
		ch <- prometheus.MustNewConstMetric(n.desc, n.kind, n.of(row), labels...)
	}
	for _, h := range t.times {
		ch <- histogram(h.desc, h.of(row), labels)
	}
}

// histogram shows every second bound of times, lest there be too many series.
func histogram(desc *prometheus.Desc, times *glue.Times, labels []string) prometheus.Metric {
	buckets := map[float64]uint64{}
	var below uint64
	for i, n := range times.Bucket[:glue.TimesBuckets-1] {
		below += uint64(n)
		if i%2 == 0 {
			buckets[glue.TimesBound(i).Seconds()] = below
		}
	}
	return prometheus.MustNewConstHistogram(desc, uint64(times.Count), times.Sum.Seconds(), buckets, labels...)
}

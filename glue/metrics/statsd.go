package metrics

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/rs/zerolog"
	"github.com/smira/go-statsd"

	"pushglue/glue"
)

// StatsdTags is how labels are sent.
type StatsdTags string

// The forms of labels.
const (
	Plain   StatsdTags = "plain"   // in the name, after a dot each: for Graphite
	Influx  StatsdTags = "influx"  // name,feed=comments
	Datadog StatsdTags = "datadog" // |#feed:comments
)

// ParseStatsdTags returns the form called name.
func ParseStatsdTags(name string) (StatsdTags, error) {
	switch t := StatsdTags(name); t {
	case Plain, Influx, Datadog:
		return t, nil
	}
	return "", fmt.Errorf("%q is none of %s, %s, %s", name, Plain, Influx, Datadog)
}

// Statsd sends the numbers of a registry to a statsd daemon, over UDP. Counters go as what they have grown by, and a histogram as
// two counters: how many, and the sum in milliseconds.
type Statsd struct {
	registry prometheus.Gatherer
	client   *statsd.Client
	plain    bool
	interval time.Duration
	log      zerolog.Logger

	sent map[string]int64 // counters, as they were sent last
}

// ofOthers are the counters of Redis and of push hosts, which may be years older than the daemon: what they have when they are
// seen first is no growth.
var ofOthers = map[string]bool{"feed_put_total": true, "feed_finished_total": true, "host_published_total": true}

// complaint is how often the log is told at most that numbers do not go out.
const complaint = 10 * time.Minute

// NewStatsd returns a Statsd that sends to addr, HOST:PORT. Run ends it.
func NewStatsd(addr, prefix string, tags StatsdTags, registry prometheus.Gatherer, interval time.Duration, log zerolog.Logger) *Statsd {
	format := statsd.TagFormatInfluxDB
	if tags == Datadog {
		format = statsd.TagFormatDatadog
	}
	const packets = 1000 // all that one round makes, many times
	client := statsd.NewClient(addr, statsd.MetricPrefix(prefix), statsd.TagStyle(format), statsd.SendQueueCapacity(packets),
		statsd.ReconnectInterval(time.Minute), statsd.Logger(newStatsdLog(log)))
	return &Statsd{registry: registry, client: client, plain: tags == Plain, interval: interval, log: log, sent: map[string]int64{}}
}

// statsdLog takes what the client says, each time that it tries: that it cannot send, and how many packets it lost.
type statsdLog struct{ zerolog.Logger }

func newStatsdLog(log zerolog.Logger) statsdLog {
	return statsdLog{log.Sample(&zerolog.BurstSampler{Burst: 1, Period: complaint})}
}

// Printf implements statsd.SomeLogger.
func (l statsdLog) Printf(format string, args ...any) {
	l.Warn().Str("error", fmt.Sprintf(strings.TrimPrefix(format, "[STATSD] "), args...)).Msg("statsd: numbers are lost")
}

// Run sends until ctx is done, and once more then.
func (s *Statsd) Run(ctx context.Context) {
	for glue.Sleep(ctx, s.interval) {
		s.send()
	}
	s.send()
	if err := s.client.Close(); err != nil {
		s.log.Warn().Err(err).Msg("statsd: cannot send the last numbers")
	}
}

func (s *Statsd) send() {
	families, err := s.registry.Gather()
	if err != nil {
		s.log.Warn().Err(err).Msg("statsd: some numbers are missing")
	}
	for _, family := range families {
		name, ours := strings.CutPrefix(family.GetName(), namespace+"_")
		if !ours {
			continue // of the runtime and the process
		}
		for _, m := range family.GetMetric() {
			s.sendOne(name, m)
		}
	}
}

func (s *Statsd) sendOne(name string, m *dto.Metric) {
	stat, tags := s.label(name, m.GetLabel())
	switch {
	case m.Counter != nil:
		s.grow(name, stat, m, tags, int64(m.Counter.GetValue()))
	case m.Gauge != nil:
		s.client.FGauge(stat, m.Gauge.GetValue(), tags...)
	case m.Histogram != nil:
		count, countTags := s.label(name+"_count", m.GetLabel())
		s.grow(name, count, m, countTags, int64(m.Histogram.GetSampleCount()))
		sum, sumTags := s.label(strings.TrimSuffix(name, "_seconds")+"_milliseconds_sum", m.GetLabel())
		s.grow(name, sum, m, sumTags, int64(m.Histogram.GetSampleSum()*1e3))
	}
}

// grow sends what the counter called name, or stat at the statsd daemon, has grown by. One that is smaller than before began again.
func (s *Statsd) grow(name, stat string, m *dto.Metric, tags []statsd.Tag, value int64) {
	key := stat
	for _, l := range m.GetLabel() {
		key += "\x00" + l.GetValue()
	}
	before, known := s.sent[key]
	switch {
	case !known && ofOthers[name]:
		before = value
	case value < before:
		before = 0
	}
	s.sent[key] = value
	if value > before {
		s.client.Incr(stat, value-before, tags...)
	}
}

// label returns the name and the tags of a metric.
func (s *Statsd) label(name string, labels []*dto.LabelPair) (string, []statsd.Tag) {
	if !s.plain {
		tags := make([]statsd.Tag, len(labels))
		for i, l := range labels {
			tags[i] = statsd.StringTag(l.GetName(), clean(l.GetValue()))
		}
		return name, tags
	}
	values := map[string]string{}
	for _, l := range labels {
		values[l.GetName()] = l.GetValue()
	}
	for _, label := range slices.Sorted(maps.Keys(values)) { // a pipeline before its stage, a host before its state
		name += "." + clean(values[label])
	}
	return name, nil
}

// clean returns a value that has none of the characters with which statsd's lines and Graphite's names are made.
func clean(value string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '-', r == '_':
			return r
		}
		return '_'
	}, value)
}

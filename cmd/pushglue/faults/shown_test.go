package faults

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// shown is what a daemon shows at /metrics: its own counters and gauges, as jobs_in_flight{feed="orders"}.
type shown map[string]float64

// key names a metric as shown has it. The labels and their values are in the order of the labels' names.
func key(name string, labels ...string) string {
	var pairs []string
	for pair := range slices.Chunk(labels, 2) {
		pairs = append(pairs, fmt.Sprintf("%s=%q", pair[0], pair[1]))
	}
	return name + "{" + strings.Join(pairs, ",") + "}"
}

// readMetrics reads the text that /metrics answers with.
func readMetrics(text io.Reader) (shown, error) {
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(text)
	if err != nil {
		return nil, err
	}
	s := shown{}
	for family, metrics := range families {
		name, own := strings.CutPrefix(family, "pushglue_")
		if !own {
			continue
		}
		for _, m := range metrics.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				labels = append(labels, l.GetName(), l.GetValue())
			}
			s[key(name, labels...)] = m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	return s, nil
}

// equation is a row of docs/metrics.md, for all metrics that have the same labels: in = out.
type equation struct {
	prefix  string
	in, out []string
}

var equations = []equation{
	{"jobs_", []string{"claimed_total"}, []string{"finished_total", "cancelled_total", "stalled_total", "released_total", "in_flight"}},
	{"stage_messages_", []string{"in_total", "added_total"}, []string{"out_total", "dropped_total", "failed_total"}},
	{"publisher_messages_", []string{"in_total"}, []string{"published_total", "replaced_total", "failed_total", "returned_total", "in_flight"}},
	{"host_requests_", []string{"total"}, []string{"accepted_total", "rejected_total", "unanswered_total"}},
}

// unbalanced returns the sums that do not hold, with their numbers. They hold at every moment. stages are those of each
// pipeline, in order.
func (s shown) unbalanced(stages map[string][]string) (wrong []string) {
	for _, e := range equations {
		all := map[string]bool{} // the labels of any of them: one that is missing is found
		for _, name := range slices.Concat(e.in, e.out) {
			for _, labels := range s.labels(e.prefix + name) {
				all[labels] = true
			}
		}
		if len(all) == 0 {
			wrong = append(wrong, "no "+e.prefix+"… is shown")
		}
		for _, labels := range slices.Sorted(maps.Keys(all)) {
			wrong = append(wrong, s.differ(s.terms(e.prefix, labels, e.in), s.terms(e.prefix, labels, e.out))...)
		}
	}
	for _, pipeline := range slices.Sorted(maps.Keys(stages)) {
		next := key("publisher_messages_in_total", "pipeline", pipeline)
		for _, stage := range slices.Backward(stages[pipeline]) {
			wrong = append(wrong, s.differ([]string{key("stage_messages_out_total", "pipeline", pipeline, "stage", stage)}, []string{next})...)
			next = key("stage_messages_in_total", "pipeline", pipeline, "stage", stage)
		}
	}
	return wrong
}

// labels returns with which labels a metric is shown.
func (s shown) labels(name string) (labels []string) {
	for _, metric := range slices.Sorted(maps.Keys(s)) {
		if rest, is := strings.CutPrefix(metric, name+"{"); is {
			labels = append(labels, "{"+rest)
		}
	}
	return labels
}

func (s shown) terms(prefix, labels string, names []string) (metrics []string) {
	for _, name := range names {
		metrics = append(metrics, prefix+name+labels)
	}
	return metrics
}

// differ says so when two sums are not the same. One that is not shown is not the same as any, or else all would balance
// of which nothing is shown.
func (s shown) differ(in, out []string) []string {
	a, aText, aShown := s.sum(in)
	b, bText, bShown := s.sum(out)
	if a == b && aShown && bShown {
		return nil
	}
	return []string{fmt.Sprintf("%s: %v, but %s: %v", aText, a, bText, b)}
}

// sum returns the sum of metrics, its terms, and whether all of them are shown.
func (s shown) sum(metrics []string) (sum float64, text string, all bool) {
	var terms []string
	all = true
	for _, metric := range metrics {
		value, is := s[metric]
		all = all && is
		sum += value
		if is {
			terms = append(terms, fmt.Sprintf("%s %v", metric, value))
		} else {
			terms = append(terms, metric+" not shown")
		}
	}
	return sum, strings.Join(terms, " + "), all
}

// restless returns what is not as it is when all is done: nothing is in flight, Redis has no jobs but finished and stalled
// ones, the push hosts have everything, and their counts and Redis's agree with the ledger. Whether something finished
// twice disagree asks.
func (s shown) restless(feeds, hosts []string) (wrong []string) {
	want := func(value float64, metric string) {
		if now, is := s[metric]; !is || now != value {
			_, text, _ := s.sum([]string{metric})
			wrong = append(wrong, fmt.Sprintf("%s, want %v", text, value))
		}
	}
	for _, gauge := range []string{"jobs_in_flight", "publisher_messages_in_flight"} {
		for _, labels := range s.labels(gauge) {
			want(0, gauge+labels)
		}
	}
	for _, feed := range feeds {
		want(1, key("feed_up", "feed", feed))
		for _, state := range []string{"queued", "claimed", "lost"} {
			want(0, key("feed_jobs", "feed", feed, "state", state))
		}
		wrong = append(wrong, s.differ([]string{key("feed_put_total", "feed", feed)},
			[]string{key("feed_finished_total", "feed", feed), key("feed_jobs", "feed", feed, "state", "stalled")})...)
	}
	for _, host := range hosts {
		want(1, key("host_ready", "host", host))
		want(1, key("host_state", "host", host, "state", "up"))
		want(0, key("host_messages_due", "host", host))
		want(0, key("host_messages_owed", "host", host))
	}
	for _, check := range []string{"ledger", "claimed", "lost", "published"} {
		want(0, key("discrepancies", "check", check))
	}
	return wrong
}

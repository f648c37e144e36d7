package faults

import (
	"slices"
	"strings"
	"testing"

	"pushglue/glue/gluetest/service"
)

// exposition is what a daemon showed when all was done, with a job that is stalled.
const exposition = `# TYPE pushglue_jobs_claimed_total counter
pushglue_jobs_claimed_total{feed="f"} 12
# TYPE pushglue_jobs_finished_total counter
pushglue_jobs_finished_total{feed="f"} 8
# TYPE pushglue_jobs_cancelled_total counter
pushglue_jobs_cancelled_total{feed="f"} 2
# TYPE pushglue_jobs_stalled_total counter
pushglue_jobs_stalled_total{feed="f"} 1
# TYPE pushglue_jobs_released_total counter
pushglue_jobs_released_total{feed="f"} 1
# TYPE pushglue_jobs_in_flight gauge
pushglue_jobs_in_flight{feed="f"} 0
# TYPE pushglue_stage_messages_in_total counter
pushglue_stage_messages_in_total{pipeline="f",stage="json"} 11
pushglue_stage_messages_in_total{pipeline="f",stage="split"} 10
# TYPE pushglue_stage_messages_added_total counter
pushglue_stage_messages_added_total{pipeline="f",stage="json"} 0
pushglue_stage_messages_added_total{pipeline="f",stage="split"} 5
# TYPE pushglue_stage_messages_out_total counter
pushglue_stage_messages_out_total{pipeline="f",stage="json"} 10
pushglue_stage_messages_out_total{pipeline="f",stage="split"} 13
# TYPE pushglue_stage_messages_dropped_total counter
pushglue_stage_messages_dropped_total{pipeline="f",stage="json"} 0
pushglue_stage_messages_dropped_total{pipeline="f",stage="split"} 2
# TYPE pushglue_stage_messages_failed_total counter
pushglue_stage_messages_failed_total{pipeline="f",stage="json"} 1
pushglue_stage_messages_failed_total{pipeline="f",stage="split"} 0
# TYPE pushglue_publisher_messages_in_total counter
pushglue_publisher_messages_in_total{pipeline="f"} 13
# TYPE pushglue_publisher_messages_published_total counter
pushglue_publisher_messages_published_total{pipeline="f"} 9
# TYPE pushglue_publisher_messages_replaced_total counter
pushglue_publisher_messages_replaced_total{pipeline="f"} 1
# TYPE pushglue_publisher_messages_failed_total counter
pushglue_publisher_messages_failed_total{pipeline="f"} 0
# TYPE pushglue_publisher_messages_returned_total counter
pushglue_publisher_messages_returned_total{pipeline="f"} 3
# TYPE pushglue_publisher_messages_in_flight gauge
pushglue_publisher_messages_in_flight{pipeline="f"} 0
# TYPE pushglue_host_requests_total counter
pushglue_host_requests_total{host="h:1"} 15
# TYPE pushglue_host_requests_accepted_total counter
pushglue_host_requests_accepted_total{host="h:1"} 9
# TYPE pushglue_host_requests_rejected_total counter
pushglue_host_requests_rejected_total{host="h:1"} 4
# TYPE pushglue_host_requests_unanswered_total counter
pushglue_host_requests_unanswered_total{host="h:1"} 2
# TYPE pushglue_host_published_total counter
pushglue_host_published_total{host="h:1"} 9
# TYPE pushglue_feed_up gauge
pushglue_feed_up{feed="f"} 1
# TYPE pushglue_feed_put_total counter
pushglue_feed_put_total{feed="f"} 9
# TYPE pushglue_feed_finished_total counter
pushglue_feed_finished_total{feed="f"} 8
# TYPE pushglue_feed_jobs gauge
pushglue_feed_jobs{feed="f",state="claimed"} 0
pushglue_feed_jobs{feed="f",state="lost"} 0
pushglue_feed_jobs{feed="f",state="queued"} 0
pushglue_feed_jobs{feed="f",state="stalled"} 1
# TYPE pushglue_host_ready gauge
pushglue_host_ready{host="h:1"} 1
# TYPE pushglue_host_state gauge
pushglue_host_state{host="h:1",state="up"} 1
# TYPE pushglue_host_messages_due gauge
pushglue_host_messages_due{host="h:1"} 0
# TYPE pushglue_host_messages_owed gauge
pushglue_host_messages_owed{host="h:1"} 0
# TYPE pushglue_discrepancies gauge
pushglue_discrepancies{check="claimed"} 0
pushglue_discrepancies{check="finished"} 0
pushglue_discrepancies{check="ledger"} 0
pushglue_discrepancies{check="lost"} 0
pushglue_discrepancies{check="published"} 0
`

// TestMetricsThatDoNotBalance changes one line of the exposition after the other: each change must be found.
func TestMetricsThatDoNotBalance(t *testing.T) {
	r := &round{
		T: t, scenario: scenario{once: true}, module: service.Nchan, hosts: make([]*service.Nginx, 1), urls: []string{"http://h:1"},
		readers: &readers{lists: []*receipt{{channel: "f"}}},
	}
	wrong := func(text string) []string {
		t.Helper()
		s, err := readMetrics(strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		return slices.Concat(s.unbalanced(map[string][]string{"f": {"json", "split"}}), s.restless([]string{"f"}, r.hostNames()), r.disagree([]string{"f"}, []shown{s}))
	}
	if found := wrong(""); len(found) < len(equations) {
		t.Errorf("of nothing: %q", found)
	}
	if found := wrong(exposition); len(found) > 0 {
		t.Fatalf("what balances does not: %q", found)
	}
	for line := range strings.Lines(exposition) {
		metric, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if strings.HasPrefix(line, "#") {
			continue
		}
		name := strings.TrimPrefix(metric, "pushglue_")
		for what, other := range map[string]string{"one more": metric + " 1" + value + "\n", "none": ""} {
			found := wrong(strings.Replace(exposition, line, other, 1))
			if !slices.ContainsFunc(found, func(text string) bool { return strings.Contains(text, name) }) {
				t.Errorf("%s of %s: found %q", what, name, found)
			}
		}
	}
}

func TestHowASumIsTold(t *testing.T) {
	s, err := readMetrics(strings.NewReader(strings.Replace(exposition, `pushglue_jobs_released_total{feed="f"} 1`, `pushglue_jobs_released_total{feed="f"} 3`, 1)))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{`jobs_claimed_total{feed="f"} 12: 12, but jobs_finished_total{feed="f"} 8 + jobs_cancelled_total{feed="f"} 2 + jobs_stalled_total{feed="f"} 1 + ` +
		`jobs_released_total{feed="f"} 3 + jobs_in_flight{feed="f"} 0: 14`}
	if found := s.unbalanced(nil); !slices.Equal(found, want) {
		t.Errorf("got %q, want %q", found, want)
	}
}

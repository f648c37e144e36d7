package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"pushglue/glue"
)

// ledger shows what a glue.Ledger holds.
type ledger struct {
	*glue.Ledger
}

var _ prometheus.Collector = ledger{}

// Describe implements prometheus.Collector.
func (l ledger) Describe(ch chan<- *prometheus.Desc) {
	feeds.describe(ch)
	stages.describe(ch)
	publishers.describe(ch)
	requests.describe(ch)
}

// Collect implements prometheus.Collector.
func (l ledger) Collect(ch chan<- prometheus.Metric) {
	sums := l.Sums()
	for i := range sums.Feeds {
		feeds.collect(ch, &sums.Feeds[i], sums.Feeds[i].Name)
	}
	for i := range sums.Pipelines {
		p := &sums.Pipelines[i]
		for s := range p.Stages {
			stages.collect(ch, &p.Stages[s], p.Name, p.Stages[s].Name)
		}
		publishers.collect(ch, &p.Publish, p.Name)
	}
	for i := range sums.Hosts {
		requests.collect(ch, &sums.Hosts[i], sums.Hosts[i].Name)
	}
}

func ofFeed(name, help string, of func(*glue.FeedSums) int64) number[glue.FeedSums] {
	return counter(describe("jobs", name, help, "feed"), of)
}

var feeds = table[glue.FeedSums]{
	numbers: []number[glue.FeedSums]{
		ofFeed("claimed_total", "Jobs that the daemon claimed: finished + cancelled + stalled + released + in flight.", func(s *glue.FeedSums) int64 { return s.Claimed }),
		ofFeed("finished_total", "Jobs that were published, or dropped by a stage.", func(s *glue.FeedSums) int64 { return s.Finished }),
		ofFeed("cancelled_total", "Jobs that failed for now and went back to the feed.", func(s *glue.FeedSums) int64 { return s.Cancelled }),
		ofFeed("stalled_total", "Jobs that failed for good, and wait for an operator.", func(s *glue.FeedSums) int64 { return s.Stalled }),
		ofFeed("released_total", "Jobs that went back untried.", func(s *glue.FeedSums) int64 { return s.Released }),
		gauge(describe("jobs", "in_flight", "Jobs that are claimed and not settled.", "feed"), func(s *glue.FeedSums) float64 { return float64(s.InFlight) }),
	},
	times: []timing[glue.FeedSums]{
		{describe("job", "wait_seconds", "From put to claimed, of the jobs whose feed knows.", "feed"), func(s *glue.FeedSums) *glue.Times { return &s.Waited }},
		{describe("job", "duration_seconds", "From put to finished, of the jobs whose feed knows.", "feed"), func(s *glue.FeedSums) *glue.Times { return &s.Took }},
	},
}

func ofStage(name, help string, of func(*glue.StageSums) int64) number[glue.StageSums] {
	return counter(describe("stage", name, help, "pipeline", "stage"), of)
}

var stages = table[glue.StageSums]{
	numbers: []number[glue.StageSums]{
		ofStage("messages_in_total", "Messages that came to the stage: in + added = out + dropped + failed.", func(s *glue.StageSums) int64 { return s.In }),
		ofStage("messages_added_total", "Messages that the stage made more by splitting.", func(s *glue.StageSums) int64 { return s.Added }),
		ofStage("messages_out_total", "Messages that it passed on.", func(s *glue.StageSums) int64 { return s.Out }),
		ofStage("messages_dropped_total", "Messages that it dropped.", func(s *glue.StageSums) int64 { return s.Dropped }),
		ofStage("messages_failed_total", "Messages that it failed, for now or for good.", func(s *glue.StageSums) int64 { return s.Failed }),
		ofStage("messages_flagged_total", "Messages that it found something wrong with and passed on.", func(s *glue.StageSums) int64 { return s.Flagged }),
	},
	times: []timing[glue.StageSums]{
		{describe("stage", "duration_seconds", "What one job takes in the stage; one of sixteen is timed.", "pipeline", "stage"), func(s *glue.StageSums) *glue.Times { return &s.Took }},
	},
}

func ofPublisher(name, help string, of func(*glue.PublishSums) int64) number[glue.PublishSums] {
	return counter(describe("publisher", name, help, "pipeline"), of)
}

var publishers = table[glue.PublishSums]{
	numbers: []number[glue.PublishSums]{
		ofPublisher("messages_in_total", "Messages that came to the publisher: published + replaced + failed + returned + in flight.", func(s *glue.PublishSums) int64 { return s.In }),
		ofPublisher("messages_published_total", "Messages that were published.", func(s *glue.PublishSums) int64 { return s.Published }),
		ofPublisher("messages_replaced_total", "Messages in whose place a newer one was published.", func(s *glue.PublishSums) int64 { return s.Replaced }),
		ofPublisher("messages_failed_total", "Messages that failed for good.", func(s *glue.PublishSums) int64 { return s.Failed }),
		ofPublisher("messages_returned_total", "Messages whose job went back to its feed.", func(s *glue.PublishSums) int64 { return s.Returned }),
		ofPublisher("retries_total", "Attempts after a message's first.", func(s *glue.PublishSums) int64 { return s.Retries }),
		gauge(describe("publisher", "messages_in_flight", "Messages that are to be published.", "pipeline"), func(s *glue.PublishSums) float64 { return float64(s.InFlight) }),
	},
	times: []timing[glue.PublishSums]{
		{describe("publisher", "batch_duration_seconds", "What a batch takes at the publisher.", "pipeline"), func(s *glue.PublishSums) *glue.Times { return &s.Took }},
	},
}

func ofRequests(name, help string, of func(*glue.HostSums) int64) number[glue.HostSums] {
	return counter(describe("host", name, help, "host"), of)
}

var requests = table[glue.HostSums]{
	numbers: []number[glue.HostSums]{
		ofRequests("requests_total", "Requests that were sent: accepted + rejected + unanswered.", func(s *glue.HostSums) int64 { return s.Sent }),
		ofRequests("requests_accepted_total", "Requests that were answered with 2xx.", func(s *glue.HostSums) int64 { return s.Accepted }),
		ofRequests("requests_rejected_total", "Requests that were answered with something else.", func(s *glue.HostSums) int64 { return s.Rejected }),
		ofRequests("requests_unanswered_total", "Requests whose connection or time ran out.", func(s *glue.HostSums) int64 { return s.Unanswered }),
		ofRequests("messages_skipped_total", "Messages that were not sent because nobody listens.", func(s *glue.HostSums) int64 { return s.Skipped }),
		ofRequests("messages_missed_total", "Messages published elsewhere that the host will not get.", func(s *glue.HostSums) int64 { return s.Missed }),
	},
	times: []timing[glue.HostSums]{
		{describe("host", "load_duration_seconds", "What is sent to the host at once, up to its last answer.", "host"), func(s *glue.HostSums) *glue.Times { return &s.Took }},
	},
}

package faults

import (
	"net/http"
	"strings"

	"pushglue/glue/gluetest/service"
)

// daemon is a running daemon.
type daemon struct {
	*service.Daemon
	url string // of its own HTTP
}

// scrape asks a daemon for its metrics.
func (r *round) scrape(d *daemon) shown {
	r.Helper()
	client := http.Client{Timeout: patience}
	resp, err := client.Get(d.url + "/metrics")
	if err != nil {
		r.Fatal(err)
	}
	defer resp.Body.Close()
	s, err := readMetrics(resp.Body)
	if err != nil {
		r.Fatalf("%s/metrics: %v", d.url, err)
	}
	return s
}

// account asks a daemon for its metrics just before it ends. Its sums must balance, with what is in flight.
func (r *round) account(d *daemon) {
	r.Helper()
	s := r.scrape(d)
	for _, wrong := range s.unbalanced(r.stages) {
		r.Errorf("the metrics of a daemon do not balance: %s", wrong)
	}
	r.last = append(r.last, s)
}

// awaitSums waits until the metrics of each daemon that runs say that all is done.
func (r *round) awaitSums() {
	r.Helper()
	for _, d := range r.daemons {
		var wrong []string
		done := func() bool {
			wrong = r.scrape(d).restless(feeds, r.hostNames())
			return len(wrong) == 0
		}
		if !within(patience, done) {
			r.Errorf("all is done, and in %s the metrics do not say so: %s", patience, strings.Join(wrong, "; "))
		}
	}
}

// hostNames returns how daemons name the push hosts with readers.
func (r *round) hostNames() (names []string) {
	for i := range r.hosts {
		names = append(names, strings.TrimPrefix(r.urls[i], "http://"))
	}
	return names
}

// checkSums holds what the daemons showed last against what Redis and the push hosts count, by the metrics of the last one.
// Nobody has seen what a daemon did between its last metrics and its end, so that only the counts of one that was alone
// are exact.
func (r *round) checkSums() {
	r.Helper()
	end := r.last[len(r.last)-1]
	twice := 0.0
	for _, feed := range feeds {
		if r.readers.twice(feed) > 0 {
			twice++
		}
		r.checkFinishedSum(feed, end)
	}
	if found := end[key("discrepancies", "check", "finished")]; found > twice && !r.scenario.forgets {
		r.Errorf("the metrics say that jobs of %v feeds finished twice; readers got messages of %v twice", found, twice)
	}
	for _, host := range r.hostNames() {
		r.checkPublishedSum(host, end)
	}
}

// total returns the sum of metrics over all daemons that there were.
func (r *round) total(metrics ...string) (sum float64) {
	for _, s := range r.last {
		part, _, _ := s.sum(metrics)
		sum += part
	}
	return sum
}

func (r *round) alone() bool { return len(r.last) == 1 }

// checkFinishedSum is what checkFinished is of the ledgers. Of a daemon that was alone, and did nothing twice, Redis counts the
// same stalled jobs, too.
func (r *round) checkFinishedSum(feed string, end shown) {
	r.Helper()
	ours, theirs := r.total(key("jobs_finished_total", "feed", feed)), end[key("feed_finished_total", "feed", feed)]
	if twice := r.readers.twice(feed); ours-theirs > float64(twice) && !r.scenario.forgets || ours < theirs && r.alone() {
		r.Errorf("feed %s: the metrics say that %v jobs finished, by Redis %v; readers got %d messages twice", feed, ours, theirs, twice)
	}
	if r.alone() && r.scenario.once {
		for _, wrong := range end.differ([]string{key("jobs_stalled_total", "feed", feed)}, []string{key("feed_jobs", "feed", feed, "state", "stalled")}) {
			r.Error(wrong)
		}
	}
}

// checkPublishedSum is what checkPublished is of the ledgers. Of a daemon that was alone, and did nothing twice, each push host has
// accepted what was published, and perhaps what another one refused.
func (r *round) checkPublishedSum(host string, end shown) {
	r.Helper()
	accepted := r.total(key("host_requests_accepted_total", "host", host))
	unsure := r.total(key("host_requests_rejected_total", "host", host), key("host_requests_unanswered_total", "host", host))
	each := float64(r.countedEach())
	if published := end[key("host_published_total", "host", host)]; !r.scenario.resets && (published < each*accepted || published > each*(accepted+unsure) && r.alone()) {
		r.Errorf("the metrics say that push host %s accepted %v requests and perhaps %v; it has counted %v messages, and each request is %v", host, accepted, unsure, published, each)
	}
	if r.alone() && r.scenario.once {
		var published, failed float64
		for _, feed := range feeds { // whose pipelines have their names
			published += end[key("publisher_messages_published_total", "pipeline", feed)]
			failed += end[key("publisher_messages_failed_total", "pipeline", feed)]
		}
		if accepted < published || accepted > published+failed {
			r.Errorf("the metrics say that push host %s accepted %v requests, and that %v messages were published and %v failed", host, accepted, published, failed)
		}
	}
}

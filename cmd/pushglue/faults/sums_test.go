package faults

import (
	"fmt"
	"net/http"
	"slices"
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

// awaitSums waits until the metrics of all daemons say that all is done, and agree with what others count.
func (r *round) awaitSums() {
	r.Helper()
	var wrong []string
	agree := func() bool {
		wrong = nil
		all := slices.Clone(r.last)
		for _, d := range r.daemons {
			s := r.scrape(d)
			wrong = append(wrong, s.restless(feeds, r.hostNames())...)
			all = append(all, s)
		}
		wrong = append(wrong, r.disagree(feeds, all)...)
		return len(wrong) == 0
	}
	if !inTime(agree) {
		r.Errorf("all is done, and in %s the metrics do not say so: %s", patience, strings.Join(wrong, "; "))
	}
}

// hostNames returns how daemons name the push hosts with readers.
func (r *round) hostNames() (names []string) {
	for i := range r.hosts {
		names = append(names, strings.TrimPrefix(r.urls[i], "http://"))
	}
	return names
}

// disagree holds what all daemons showed last against what Redis and the push hosts count, by the metrics of the last one.
// Nobody has seen what a daemon did between its last metrics and its end, so that only the counts of one that was alone
// are exact.
func (r *round) disagree(feeds []string, all []shown) (wrong []string) {
	twice := 0.0 // feeds of which readers got messages twice
	for _, feed := range feeds {
		if r.readers.twice(feed) > 0 {
			twice++
		}
		wrong = append(wrong, r.disagreeOnFinished(feed, all)...)
	}
	finished := key("discrepancies", "check", "finished")
	if found, is := all[len(all)-1][finished]; !is || found > twice && !r.scenario.forgets {
		wrong = append(wrong, fmt.Sprintf("%s is %v, and readers got messages of %v feeds twice", finished, found, twice))
	}
	for _, host := range r.hostNames() {
		wrong = append(wrong, r.disagreeOnAccepted(host, all)...)
		if len(all) == 1 && r.scenario.once {
			wrong = append(wrong, disagreeOnPublished(host, feeds, all[0])...)
		}
	}
	return wrong
}

// disagreeOnFinished is what checkFinished is of the ledgers. If all was done by one daemon, and once, that has counted just the
// jobs as stalled that Redis has.
func (r *round) disagreeOnFinished(feed string, all []shown) (wrong []string) {
	end, alone := all[len(all)-1], len(all) == 1
	metric := key("jobs_finished_total", "feed", feed)
	ours, theirs, twice := total(all, metric), end[key("feed_finished_total", "feed", feed)], r.readers.twice(feed)
	if ours-theirs > float64(twice) && !r.scenario.forgets || ours < theirs && alone {
		wrong = append(wrong, fmt.Sprintf("%s is %v; by Redis it is %v, and readers got %d messages twice", metric, ours, theirs, twice))
	}
	if alone && r.scenario.once {
		wrong = append(wrong, end.differ([]string{key("jobs_stalled_total", "feed", feed)}, []string{key("feed_jobs", "feed", feed, "state", "stalled")})...)
	}
	return wrong
}

// disagreeOnAccepted is what checkPublished is of the ledgers.
func (r *round) disagreeOnAccepted(host string, all []shown) []string {
	metric := key("host_requests_accepted_total", "host", host)
	least := float64(r.countedEach()) * total(all, metric)
	most := least + float64(r.countedEach())*total(all, key("host_requests_rejected_total", "host", host), key("host_requests_unanswered_total", "host", host))
	counted := key("host_published_total", "host", host)
	published := all[len(all)-1][counted]
	if r.scenario.resets || published >= least && (published <= most || len(all) > 1) {
		return nil
	}
	return []string{fmt.Sprintf("%s makes %v to %v messages; %s is %v", metric, least, most, counted, published)}
}

// disagreeOnPublished requires of a daemon that did everything once that each push host accepted what it published. Of what
// failed, because another one refused it, a host may have accepted some.
func disagreeOnPublished(host string, feeds []string, s shown) []string {
	var published, failed float64
	for _, feed := range feeds { // whose pipelines have their names
		published += s[key("publisher_messages_published_total", "pipeline", feed)]
		failed += s[key("publisher_messages_failed_total", "pipeline", feed)]
	}
	metric := key("host_requests_accepted_total", "host", host)
	if accepted := s[metric]; accepted < published || accepted > published+failed {
		return []string{fmt.Sprintf("%s is %v; %v messages were published, and %v failed", metric, accepted, published, failed)}
	}
	return nil
}

// total returns the sum of metrics over daemons.
func total(all []shown, metrics ...string) (sum float64) {
	for _, s := range all {
		part, _, _ := s.sum(metrics)
		sum += part
	}
	return sum
}

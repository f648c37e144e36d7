package faults

import (
	"encoding/json"
	"strings"

	"pushglue/glue/gluetest/conform"
	"pushglue/glue/thoonk"
)

// checkStalled requires that just the jobs are stalled that can never be published, each with its reason.
func (r *round) checkStalled(feed string, c conform.Census) {
	r.Helper()
	payloads, err := conform.Payloads(r.Context(), r.rdb, thoonk.ThoonkPy, feed, c.Stalled...)
	if err != nil {
		r.Fatal(err)
	}
	poisoned := r.producer.poisoned(feed)
	seen := map[string]bool{}
	for _, id := range c.Stalled {
		j, is := poisoned[payloads[id]]
		if !is {
			r.Errorf("feed %s: a job is stalled that can be published: %s", feed, c.Reasons[id])
			continue
		}
		seen[j.id] = true
		r.checkReason(j, c.Reasons[id])
	}
	for _, j := range poisoned {
		if !seen[j.id] {
			r.Errorf("feed %s: %s is not stalled, and can never be published", feed, j.id)
		}
	}
	if len(c.Reasons) > len(c.Stalled) {
		r.Errorf("feed %s: %d jobs are stalled, and there are %d reasons", feed, len(c.Stalled), len(c.Reasons))
	}
}

// checkReason requires of a stalled job's reason what pushglue jobs shows.
func (r *round) checkReason(j job, text string) {
	r.Helper()
	var reason struct {
		At                    int64
		Pipeline, Host, Error string
		Attempts              int
	}
	if err := json.Unmarshal([]byte(text), &reason); err != nil {
		r.Errorf("%s is stalled for the reason %q: %v", j.id, text, err)
		return
	}
	if reason.Pipeline != j.feed || reason.Error == "" || reason.At == 0 || reason.Attempts != 1 {
		r.Errorf("%s is stalled for the reason %s; want the pipeline %s, an error, the time, and one attempt", j.id, text, j.feed)
	}
	if j.refused != r.isRefuser(reason.Host) || j.refused != strings.Contains(reason.Error, "413") {
		r.Errorf("%s is stalled for the reason %s; it was refused by a host: %v", j.id, text, j.refused)
	}
}

func (r *round) isRefuser(host string) bool {
	for _, url := range r.urls {
		if strings.HasSuffix(url, host) && host != "" && strings.HasSuffix(url, r.refuser) {
			return true
		}
	}
	return false
}

package faults

import (
	"io"
	"math"
	"net/http"
	"regexp"
	"strconv"
	"strings"

	"pushglue/glue/gluetest/service"
)

// checkLedgers holds the daemons' ledgers, each of which has been found to balance, against Redis, and
// against what the readers of each push host got that never left.
func (r *round) checkLedgers() {
	r.Helper()
	finished := map[string]int64{}
	accepted := map[string]int64{}
	unsure := map[string]int64{} // requests that a host may have taken
	for _, sums := range r.sums {
		for _, f := range sums.Feeds {
			finished[f.Name] += f.Finished
			if f.InFlight != 0 {
				r.Errorf("feed %s: the ledger has %d jobs in flight at the end", f.Name, f.InFlight)
			}
		}
		for _, h := range sums.Hosts {
			accepted[h.Name] += h.Accepted
			unsure[h.Name] += h.Unanswered + h.Rejected
		}
	}
	r.checkFinished(finished)
	for host, url := range r.urls {
		if host < len(r.public) {
			name := strings.TrimPrefix(url, "http://")
			r.checkAccepted(host, accepted[name], unsure[name])
			r.checkPublished(host, accepted[name], unsure[name])
		}
	}
}

// checkFinished compares with Redis, which counts a job once. The ledgers count a job that was claimed again while
// its daemon still had it, because the lease ran out, for each claim. It is published for each as well, so that all
// readers get it twice: what the ledgers have too much, readers must have too. A daemon that was killed has finished
// jobs, too; a Redis that was replaced has forgotten some.
func (r *round) checkFinished(finished map[string]int64) {
	r.Helper()
	for _, feed := range feeds {
		c, _ := r.census(feed)
		surplus := finished[feed] - int64(c.Finished)
		switch twice := r.readers.twice(feed); {
		case surplus > int64(twice) && !r.scenario.forgets, surplus < 0 && !r.scenario.crash:
			r.Errorf("feed %s: the ledgers say that %d jobs finished, Redis %d, and readers got %d messages twice", feed, finished[feed], c.Finished, twice)
		}
	}
}

// twice returns how many messages of a channel all its readers have got twice.
func (rs *readers) twice(channel string) int {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	least := math.MaxInt
	for _, rec := range rs.lists {
		if rec.channel == channel {
			least = min(least, rec.events-len(rec.got)-len(rec.wrong))
		}
	}
	return least
}

// fan is how many channels each message has.
const fan = 2

// checkPublished compares what a host took with what it has counted itself, if it counted all the time.
func (r *round) checkPublished(host int, accepted, unsure int64) {
	r.Helper()
	if r.scenario.resets || host >= len(r.hosts) {
		return
	}
	published, each := r.published(r.hosts[host]), r.countedEach()
	if published < each*accepted || published > each*(accepted+unsure) && !r.scenario.crash {
		r.Errorf("host %d took %d messages for sure and %d perhaps; it has counted %d, and each message is %d", host, accepted, unsure, published, each)
	}
}

// countedEach is how often a push host counts a message.
func (r *round) countedEach() int64 {
	if r.module == service.Nchan {
		return 1 // however many channels it has
	}
	return fan
}

var publishedCount = regexp.MustCompile(`"?(?:total published messages|published_messages)"?: (\d+)`)

// published returns a host's own count of what was published to channels.
func (r *round) published(host *service.Nginx) int64 {
	r.Helper()
	resp, err := http.Get(host.InternalURL() + "/channels-stats")
	if err != nil {
		r.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		r.Fatal(err)
	}
	found := publishedCount.FindSubmatch(text)
	if found == nil {
		r.Fatalf("the statistics of a host say nothing of published messages: %s", text)
	}
	n, err := strconv.ParseInt(string(found[1]), 10, 64)
	if err != nil {
		r.Fatal(err)
	}
	return n
}

// checkAccepted compares what a host took with what its readers got. A reader whose stream broke can get more, or less.
func (r *round) checkAccepted(host int, accepted, unsure int64) {
	r.Helper()
	var got int64
	for _, rec := range r.readers.lists {
		if rec.host != host {
			continue
		}
		got += int64(rec.events)
		if rec.streams > 1 {
			return
		}
	}
	if got < fan*accepted || got > fan*(accepted+unsure) && !r.scenario.crash {
		r.Errorf("host %d took %d messages for sure and %d perhaps; its readers got %d events, and each message is %d", host, accepted, unsure, got, fan)
	}
}

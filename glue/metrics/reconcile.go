package metrics

import (
	"fmt"
	"maps"
	"slices"

	"github.com/rs/zerolog"

	"pushglue/glue"
	"pushglue/glue/push"
)

// Discrepancy is where the daemon's count and somebody else's do not agree.
type Discrepancy struct {
	Check  string `json:"check"`  // CheckLedger and so on
	Name   string `json:"name"`   // of the feed or push host
	Ours   int64  `json:"ours"`   // as the ledger has it
	Theirs int64  `json:"theirs"` // as Redis or the push host has it
	Text   string `json:"text"`
}

// What is compared.
const (
	// CheckLedger adds up the ledger by itself. Theirs is how many of its sums do not balance.
	CheckLedger = "ledger"
	// CheckFinished: a feed in Redis counts at least as many finished jobs as the ledger.
	CheckFinished = "finished"
	// CheckClaimed: when nothing moves, at least as many jobs of a feed are claimed in Redis as the ledger has in flight.
	CheckClaimed = "claimed"
	// CheckLost: every job of a feed is queued, claimed or stalled. Theirs is how many are not.
	CheckLost = "lost"
	// CheckPublished: a push host counts at least as many messages as it has accepted.
	CheckPublished = "published"
)

// Checks returns all of them.
func Checks() []string {
	return []string{CheckLedger, CheckFinished, CheckClaimed, CheckLost, CheckPublished}
}

// accounts is what was compared before. Others may finish jobs of the same feeds, and publish to the same push hosts, so that
// Redis and the hosts count as much as the daemon, or more.
type accounts struct {
	feeds map[string]*feedAccount
	hosts map[string]push.HostReport // as each was when its counting began
}

// feedAccount is what is known of a feed.
type feedAccount struct {
	finished int64      // by Redis, when the counting began
	begun    int64      // by the ledger, at most, when it began
	last     feedSample // of which some checks want two in a row
}

func newAccounts() accounts {
	return accounts{feeds: map[string]*feedAccount{}, hosts: map[string]push.HostReport{}}
}

// compare returns what does not agree.
func (a *accounts) compare(sums glue.Sums, now sample) []Discrepancy {
	var found []Discrepancy
	if err := sums.Balance(); err != nil {
		found = append(found, Discrepancy{Check: CheckLedger, Theirs: 1, Text: "the ledger does not balance: " + err.Error()})
	}
	for _, f := range now.feeds {
		if f.err == nil {
			found = append(found, a.feed(f)...)
		}
	}
	for _, h := range now.hosts {
		if h.Ready {
			found = append(found, a.host(h)...)
		}
	}
	maps.DeleteFunc(a.hosts, func(name string, _ push.HostReport) bool { // it was removed
		return !slices.ContainsFunc(now.hosts, func(h push.HostReport) bool { return h.Name == name })
	})
	return found
}

func (a *accounts) feed(now feedSample) (found []Discrepancy) {
	before, known := a.feeds[now.name]
	if !known || now.counts.Finished < before.finished { // it is another Redis now, or has forgotten something
		before = &feedAccount{last: now}
		before.begin(now)
		a.feeds[now.name] = before
		return nil
	}
	last := before.last
	before.last = now
	if ours, theirs := now.ledger.before.Finished-before.begun, now.counts.Finished-before.finished; ours > theirs {
		before.begin(now) // it has been told, and does not pass by itself
		found = append(found, Discrepancy{
			CheckFinished, now.name, ours, theirs,
			fmt.Sprintf("feed %s: %d jobs finished here, and only %d in Redis: some finished twice, because their lease ran out, or Redis forgot some", now.name, ours, theirs),
		})
	}
	if ours, theirs := now.ledger.after.InFlight, now.counts.Claimed; ours > theirs && now.isStill() && last.isStill() && now.ledger.after == last.ledger.after {
		found = append(found, Discrepancy{
			CheckClaimed, now.name, ours, theirs,
			fmt.Sprintf("feed %s: %d jobs are in flight here, and only %d are claimed in Redis: others took some away", now.name, ours, theirs),
		})
	}
	if lost := min(now.counts.Lost, last.counts.Lost); lost > 0 {
		found = append(found, Discrepancy{
			CheckLost, now.name, 0, lost,
			fmt.Sprintf("feed %s: %d jobs are neither queued nor claimed nor stalled; what has no claimant comes back after the lease", now.name, lost),
		})
	}
	return found
}

// begin begins to count. What is in flight may have finished in Redis, and not yet in the ledger.
func (a *feedAccount) begin(now feedSample) {
	a.finished, a.begun = now.counts.Finished, now.ledger.after.Finished+now.ledger.after.InFlight
}

// isStill reports whether nothing moved while Redis was asked.
func (f *feedSample) isStill() bool { return f.ledger.before == f.ledger.after }

func (a *accounts) host(now push.HostReport) []Discrepancy {
	begin, known := a.hosts[now.Name]
	if !known || now.Published < begin.Published || now.Accepted < begin.Accepted {
		a.hosts[now.Name] = now // it was restarted
		return nil
	}
	ours, theirs := now.Accepted-begin.Sent, now.Published-begin.Published
	if ours <= theirs {
		return nil
	}
	a.hosts[now.Name] = now // a restart that its counter does not show is one interval wrong, and no more
	return []Discrepancy{{
		CheckPublished, now.Name, ours, theirs,
		fmt.Sprintf("push host %s: it accepted %d messages, and counts %d: it was restarted, or does not publish what it accepts", now.Name, ours, theirs),
	}}
}

// report tells of what began and of what is over.
func report(log zerolog.Logger, before, now []Discrepancy) {
	for _, d := range now {
		if !slices.ContainsFunc(before, d.isSame) {
			log.Warn().Str("check", d.Check).Str("name", d.Name).Int64("ours", d.Ours).Int64("theirs", d.Theirs).Msg(d.Text)
		}
	}
	for _, d := range before {
		if !slices.ContainsFunc(now, d.isSame) {
			log.Info().Str("check", d.Check).Str("name", d.Name).Msg("the counts agree again")
		}
	}
}

func (d Discrepancy) isSame(o Discrepancy) bool { return d.Check == o.Check && d.Name == o.Name }

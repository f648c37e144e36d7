package glue

import (
	"encoding/json"
	"math"
	"slices"
	"time"
)

// Receipt is what a publisher tells of a message that it has published and that somebody waits for.
type Receipt struct {
	Hosts   int      // push hosts that have it
	Answers []Answer // of each push host, the first time or since the last time; nil where there are none
}

// Outcome is what whoever waits for a finished job is told, as JSON.
type Outcome struct {
	Outcome  string  `json:"outcome"`  // OutcomePublished or OutcomeDropped
	Messages int     `json:"messages"` // that were published, in all pipelines
	Hosts    int     `json:"hosts"`    // push hosts that have them all, but for messages that went to none
	Channels int     `json:"channels"` // different ones
	Readers  *int    `json:"readers"`  // reached; null where the hosts do not say
	MS       float64 `json:"ms"`       // from put to the outcome
}

// What became of a job that finished.
const (
	OutcomePublished = "published"
	OutcomeDropped   = "dropped" // by stages, in all pipelines
)

// tally adds up the outcome of one job.
type tally struct {
	outcome  Outcome
	channels []string
}

func (t *tally) add(m *Message) {
	t.outcome.Messages++
	t.outcome.Outcome = OutcomePublished
	for _, name := range m.Channels {
		if !slices.Contains(t.channels, name) {
			t.channels = append(t.channels, name)
		}
	}
	if m.Receipt == nil || m.Receipt.Hosts == 0 {
		return
	}
	if hosts := m.Receipt.Hosts; t.outcome.Hosts == 0 || hosts < t.outcome.Hosts {
		t.outcome.Hosts = hosts
	}
}

func (t *tally) text(job *Job) []byte {
	t.outcome.Channels = len(t.channels)
	took := job.Waited + time.Since(job.claimedAt)
	t.outcome.MS = math.Round(took.Seconds()*1e6) / 1e3
	text, err := json.Marshal(&t.outcome)
	if err != nil {
		return []byte{} // no number of ours is without a text
	}
	return text
}

// results returns what is told of each job of b that somebody waits for, by its place; of others nothing.
func (b *batch) results() map[int][]byte {
	var tallies map[int]*tally
	for i := range b.jobs {
		if b.jobs[i].Awaited {
			if tallies == nil {
				tallies = map[int]*tally{}
			}
			tallies[i] = &tally{outcome: Outcome{Outcome: OutcomeDropped}}
		}
	}
	if tallies == nil {
		return nil
	}
	for r := range b.runs {
		for _, s := range b.runs[r].sendings {
			if t := tallies[s.job]; t != nil && !s.open && s.outcome == nil {
				t.add(s.message)
			}
		}
	}
	results := make(map[int][]byte, len(tallies))
	for i, t := range tallies {
		results[i] = t.text(&b.jobs[i])
	}
	return results
}

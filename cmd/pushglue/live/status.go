package live

import (
	"encoding/json"
	"time"

	"pushglue/glue"
	"pushglue/glue/metrics"
	"pushglue/glue/push"
)

// Status is the daemon at one moment.
type Status struct {
	Version string    `json:"version"`
	Started time.Time `json:"started"` // other counters than those of another start
	At      time.Time `json:"at"`
	Changes bool      `json:"changes"` // whether jobs can be retried and retracted here, with a token

	Feeds         []Feed                `json:"feeds"`
	Pipelines     []glue.PipelineSums   `json:"pipelines"`
	Hosts         []Host                `json:"hosts"`
	Discrepancies []metrics.Discrepancy `json:"discrepancies"` // as of the last comparison
	Log           []Line                `json:"log"`           // the newest first
	Traffic       Map                   `json:"traffic"`
}

// Feed is a feed: what Redis says of it, and what this daemon does with it.
type Feed struct {
	Name  string `json:"name"`
	Error string `json:"error,omitempty"` // why Redis does not tell; then its numbers are 0

	Queued        int64   `json:"queued"`
	Claimed       int64   `json:"claimed"`
	Stalled       int64   `json:"stalled"`
	Lost          int64   `json:"lost"`
	Put           int64   `json:"put"`           // ever, by anybody
	Finished      int64   `json:"finished"`      // ever, by anybody
	OldestSeconds float64 `json:"oldestSeconds"` // age of the oldest job that is queued or claimed

	Ledger glue.FeedSums `json:"ledger"`
	Wait   Span          `json:"wait"` // from put to claimed
	Took   Span          `json:"took"` // from put to finished

	Way         Way   `json:"way"`
	StalledJobs []Job `json:"stalledJobs"` // the newest first
}

// Span is how long something took of late: within recent, or since somebody looked before that.
type Span struct {
	Count      int64   `json:"count"`
	P50Seconds float64 `json:"p50Seconds"`
	P99Seconds float64 `json:"p99Seconds"`
}

// Way is a piece of the way from a feed through its pipelines: stages, then the publisher of one pipeline, or branches.
type Way struct {
	Stages    []Place `json:"stages"`
	Publisher *Place  `json:"publisher,omitempty"`
	Branches  []Way   `json:"branches,omitempty"`
}

// Place is a stage or a publisher: the name, and where the ledger has it.
type Place struct {
	Name     string `json:"name"`
	Pipeline string `json:"pipeline"` // one of those that share it
	Stage    int    `json:"stage"`    // its place in that pipeline; of a publisher, how many stages there are
	Shadow   bool   `json:"shadow,omitempty"`
}

// Job is a stalled job. What is not known of it is left out.
type Job struct {
	ID       string     `json:"id"`
	Stalled  *time.Time `json:"at,omitempty"`
	Pipeline string     `json:"pipeline,omitempty"`
	Host     string     `json:"host,omitempty"`
	Error    string     `json:"reason,omitempty"`
	Attempts int        `json:"attempts,omitempty"`
	Bytes    int        `json:"bytes"` // of its payload
}

// Host is a push host: how it stands, what it says of itself, and what this daemon sent it.
type Host struct {
	push.HostReport
	Ledger glue.HostSums `json:"ledger"`
}

// Line is a line of the log.
type Line struct {
	Level   string                     `json:"level"`
	At      time.Time                  `json:"at"` // the last time
	Message string                     `json:"message"`
	Fields  map[string]json.RawMessage `json:"fields"`
	Times   int                        `json:"times"` // in a row
}

// Map tells which channels are hot.
type Map struct {
	Stream string `json:"stream"` // the URL where it comes every second; empty if only here
	Traffic
}

// IsDead reports whether a host does not answer, or is down and not because somebody took it out.
func (h *Host) IsDead() bool { return h.State == "down" && h.Role != push.Out || !h.Ready }

package bench

import (
	"maps"
	"time"
)

// The parent of a readers' process and the process itself tell each other lines of JSON: orders come on
// its standard input, and news go to its standard output. The end of its input ends the process, so that none
// outlives its parent.

// order is what a readers' process is to do next: one of these.
type order struct {
	Open   *openOrder   `json:"open,omitempty"`
	Finish *finishOrder `json:"finish,omitempty"`
}

// openOrder is which readers the process opens.
type openOrder struct {
	Address  string `json:"address"`  // IP address and port
	Host     string `json:"host"`     // for the request
	Path     string `json:"path"`     // before the channel's name
	Channels int    `json:"channels"` // readers are spread over as many
	First    int    `json:"first"`    // number of the first reader, among those of all processes
	Readers  int    `json:"readers"`
	InFlight int    `json:"inFlight"` // most attempts to open one at the same time
}

// channel returns the place of the channel that the process's reader i listens to.
func (o openOrder) channel(i int) int { return (o.First + i) % o.Channels }

// finishOrder is what the readers were sent, of which some may still be on its way.
type finishOrder struct {
	Messages int           `json:"messages"` // in all channels
	Wait     time.Duration `json:"wait"`     // for what is outstanding, at most
}

// messages returns how many of them are in the channel of a place, when channels take turns.
func (o finishOrder) messages(place, channels int) int {
	return (o.Messages + channels - 1 - place) / channels
}

// news is what a readers' process tells.
type news struct {
	Progress
	Ready  bool         `json:"ready,omitempty"`  // every reader is open, or was given up
	Report *crowdReport `json:"report,omitempty"` // the last news
}

// Progress is how far readers are.
type Progress struct {
	Open       int `json:"open"` // readers with a stream at this moment
	Deliveries int `json:"deliveries"`
}

// crowdReport is what readers have seen.
type crowdReport struct {
	Connected  int            `json:"connected"` // readers that had a stream
	Failures   map[string]int `json:"failures"`  // attempts, by reason
	Ended      map[string]int `json:"ended"`     // readers whose stream ended, by reason
	Deliveries int            `json:"deliveries"`
	Lost       int            `json:"lost"`    // deliveries that were due to readers whose stream did not end, or lie before one that came
	Losers     int            `json:"losers"`  // readers that lost any
	Late       int            `json:"late"`    // deliveries after one that has a higher number
	Again      int            `json:"again"`   // deliveries of what the reader had
	Foreign    int            `json:"foreign"` // events that no bench has sent
	First      int64          `json:"first"`   // delivery, in microseconds since 1970; 0 for none
	Last       int64          `json:"last"`    // delivery
	CPU        time.Duration  `json:"cpu"`     // of the process since all readers were open
	Latency    []byte         `json:"latency"` // from put to delivery; see Latency.Encode
}

// add adds what other readers have seen, but for latencies.
func (r *crowdReport) add(o *crowdReport) {
	r.Connected += o.Connected
	r.Failures = sum(r.Failures, o.Failures)
	r.Ended = sum(r.Ended, o.Ended)
	r.Deliveries += o.Deliveries
	r.Lost += o.Lost
	r.Losers += o.Losers
	r.Late += o.Late
	r.Again += o.Again
	r.Foreign += o.Foreign
	if o.First != 0 && (r.First == 0 || o.First < r.First) {
		r.First = o.First
	}
	r.Last = max(r.Last, o.Last)
	r.CPU += o.CPU
}

func sum(a, b map[string]int) map[string]int {
	total := maps.Clone(a)
	if total == nil {
		total = map[string]int{}
	}
	for reason, n := range b {
		total[reason] += n
	}
	return total
}

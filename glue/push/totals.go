package push

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
)

// Totals is what a push host's module counts. What it does not tell is 0.
type Totals struct {
	Readers   int64 `json:"readers"`
	Channels  int64 `json:"channels"`
	Stored    int64 `json:"stored"`    // messages in its memory
	Published int64 `json:"published"` // messages, since it has its memory; push-stream counts one for each of its channels

	Trash       int64          `json:"trash,omitempty"`       // push-stream: messages that nobody gets any more, but that still take memory
	Workers     []WorkerTotals `json:"workers,omitempty"`     // push-stream
	MemoryUsed  int64          `json:"memoryUsed,omitempty"`  // Nchan: bytes of its shared memory
	MemoryLimit int64          `json:"memoryLimit,omitempty"` // and how many it may have
}

// WorkerTotals is what a worker process of nginx counts.
type WorkerTotals struct {
	PID     string `json:"pid"`
	Readers int64  `json:"readers"`
}

var errTotals = errors.New("answers something else than the module's totals: does it run another module?")

// readTotals reads the totals in a host's statistics.
func (m Module) readTotals(text []byte) (Totals, error) {
	if m == PushStream {
		return readPushStreamTotals(text)
	}
	return readNchanTotals(text)
}

// tally is a number of push-stream's JSON, some versions of which quote numbers.
type tally int64

// UnmarshalJSON implements json.Unmarshaler.
func (t *tally) UnmarshalJSON(text []byte) error {
	n, err := strconv.ParseInt(string(bytes.Trim(text, `"`)), 10, 64)
	*t = tally(n)
	return err
}

func readPushStreamTotals(text []byte) (Totals, error) {
	var answer struct {
		Subscribers *tally `json:"subscribers"`
		Channels    *tally `json:"channels"`
		Stored      *tally `json:"stored_messages"`
		Published   tally  `json:"published_messages"`
		Trash       tally  `json:"messages_in_trash"`
		Workers     []struct {
			PID         json.RawMessage `json:"pid"`
			Subscribers tally           `json:"subscribers"`
		} `json:"by_worker"`
	}
	if err := json.Unmarshal(text, &answer); err != nil || answer.Subscribers == nil || answer.Channels == nil || answer.Stored == nil {
		return Totals{}, errTotals
	}
	t := Totals{
		Readers: int64(*answer.Subscribers), Channels: int64(*answer.Channels), Stored: int64(*answer.Stored),
		Published: int64(answer.Published), Trash: int64(answer.Trash),
	}
	for _, w := range answer.Workers {
		t.Workers = append(t.Workers, WorkerTotals{string(bytes.Trim(w.PID, `"`)), int64(w.Subscribers)})
	}
	return t, nil
}

// readNchanTotals reads lines such as "channels: 2" and "shared memory used: 12K".
func readNchanTotals(text []byte) (Totals, error) {
	lines := map[string]string{}
	for scanner := bufio.NewScanner(bytes.NewReader(text)); scanner.Scan(); {
		if name, value, ok := strings.Cut(scanner.Text(), ":"); ok {
			lines[strings.TrimSpace(name)] = strings.TrimSpace(value)
		}
	}
	var t Totals
	for name, into := range map[string]*int64{"subscribers": &t.Readers, "channels": &t.Channels, "stored messages": &t.Stored} {
		n, err := strconv.ParseInt(lines[name], 10, 64)
		if err != nil {
			return Totals{}, errTotals
		}
		*into = n
	}
	// These may be missing, or of another form, in other versions.
	t.Published, _ = strconv.ParseInt(lines["total published messages"], 10, 64)
	t.MemoryUsed, t.MemoryLimit = kib(lines["shared memory used"]), kib(lines["shared memory limit"])
	return t, nil
}

// kib reads a size such as "12K", in bytes; 0 if it is none.
func kib(size string) int64 {
	digits, ok := strings.CutSuffix(size, "K")
	n, err := strconv.ParseInt(digits, 10, 64)
	if !ok || err != nil {
		return 0
	}
	return n << 10
}

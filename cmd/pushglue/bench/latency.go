package bench

import (
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Latency counts durations, from 1 us to a minute, with three digits. It is not safe for concurrent use.
type Latency struct{ h *hdrhistogram.Histogram }

// NewLatency returns a Latency without any.
func NewLatency() *Latency { return &Latency{hdrhistogram.New(1, time.Minute.Microseconds(), 3)} }

// Add counts a duration n times.
func (l *Latency) Add(d time.Duration, n int) {
	us := min(max(d.Microseconds(), 1), l.h.HighestTrackableValue())
	_ = l.h.RecordValues(us, int64(n)) // it is in the range
}

// Merge adds what another process has counted.
func (l *Latency) Merge(encoded []byte) error {
	other, err := hdrhistogram.Decode(encoded)
	if err != nil {
		return err
	}
	l.h.Merge(other)
	return nil
}

// Encode returns what Merge takes.
func (l *Latency) Encode() ([]byte, error) {
	return l.h.Encode(hdrhistogram.V2CompressedEncodingCookieBase)
}

// Quantiles of a latency, in milliseconds.
type Quantiles struct {
	P50  float64 `json:"p50"`
	P90  float64 `json:"p90"`
	P99  float64 `json:"p99"`
	P999 float64 `json:"p999"`
	Max  float64 `json:"max"`
}

// Quantiles returns the quantiles; nil of nothing.
func (l *Latency) Quantiles() *Quantiles {
	if l.h.TotalCount() == 0 {
		return nil
	}
	ms := func(q float64) float64 { return float64(l.h.ValueAtQuantile(q)) / 1000 }
	return &Quantiles{P50: ms(50), P90: ms(90), P99: ms(99), P999: ms(99.9), Max: float64(l.h.Max()) / 1000}
}

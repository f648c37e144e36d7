// Package capacity computes what a push host needs for its readers, and how many a host can hold. The formulas and
// where they come from are in docs/capacity.md; a test holds them against the memory of a real nginx.
package capacity

import (
	"fmt"
	"time"
)

// The push modules that nginx/ has a configuration for.
const (
	Nchan      = "nchan"
	PushStream = "push-stream"
)

// What the shipped configuration says, which bounds a plan.
const (
	MaxReaders       = 100_000_000
	MaxMessageSize   = 64 << 10 // common/internal-body.conf
	MaxChannelLength = 128      // channels.conf, names.conf
	MaxHeaderSize    = 8 << 10  // common/public-memory.conf: four large buffers
	MaxCores         = 1024     // nginx has no more processes
	minMemory        = 512 << 20
)

// Plan is what a push host is to do, and what it has for that.
type Plan struct {
	Module        string        `json:"module"`
	Readers       int           `json:"readers"` // at the same time
	Channels      int           `json:"channels"`
	ChannelLength int           `json:"channelLength"` // bytes of a channel's name
	MessageSize   int           `json:"messageSize"`   // bytes as published
	Rate          float64       `json:"rate"`          // messages a second; one that goes to four channels is four
	Fanout        int           `json:"fanout"`        // readers of a message; 0 if readers are spread evenly over channels
	Stored        int           `json:"stored"`        // messages of each channel, at most
	TTL           time.Duration `json:"ttl"`           // of a stored message; nanoseconds
	HeaderSize    int           `json:"headerSize"`    // bytes of a reader's request, cookies and all
	TLS           bool          `json:"tls"`           // ends on this host

	Memory    int64 `json:"memory"` // bytes
	Cores     int   `json:"cores"`
	Bandwidth int64 `json:"bandwidth"` // bits a second
}

// Default returns the plan that the shipped configuration is computed for.
func Default() Plan {
	return Plan{
		Module: Nchan, Readers: 1_000_000, Channels: 20_000, ChannelLength: 32, MessageSize: 300, Rate: 1000,
		Stored: 20, TTL: 5 * time.Minute, HeaderSize: 800, Memory: 16 << 30, Cores: 8, Bandwidth: 1e9,
	}
}

// Check returns an error that names the flag if a value makes no sense.
func (p Plan) Check() error {
	for _, number := range []struct {
		flag             string
		value, low, high int64
	}{
		{"readers", int64(p.Readers), 1, MaxReaders},
		{"channels", int64(p.Channels), 1, MaxReaders},
		{"channel-length", int64(p.ChannelLength), 1, MaxChannelLength},
		{"message-size", int64(p.MessageSize), 1, MaxMessageSize},
		{"fanout", int64(p.Fanout), 0, int64(p.Readers)},
		{"stored", int64(p.Stored), 0, 1 << 20},
		{"header-size", int64(p.HeaderSize), 1, MaxHeaderSize},
		{"cores", int64(p.Cores), 1, MaxCores},
		{"memory", p.Memory, minMemory, 1 << 50},
		{"bandwidth", p.Bandwidth, 1e6, 1e15},
	} {
		if number.value < number.low || number.value > number.high {
			return fmt.Errorf("--%s: %d is not from %d to %d", number.flag, number.value, number.low, number.high)
		}
	}
	const mostRate, mostTTL = 1e7, 24 * time.Hour
	switch {
	case p.Module != Nchan && p.Module != PushStream:
		return fmt.Errorf("--module: %q is neither %s nor %s", p.Module, Nchan, PushStream)
	case !(p.Rate >= 0) || p.Rate > mostRate: // NaN is not at least 0
		return fmt.Errorf("--rate: %v is not from 0 to %.0f messages a second", p.Rate, mostRate)
	case p.TTL < time.Second || p.TTL > mostTTL || p.TTL%time.Second != 0:
		return fmt.Errorf("--ttl: %s is no number of whole seconds from 1s to %s", p.TTL, mostTTL)
	}
	return nil
}

// readersOfOne returns how many readers a message has: on a host with fewer readers than that, these.
func (p Plan) readersOfOne() int {
	if p.Fanout > 0 {
		return min(p.Fanout, p.Readers)
	}
	return perChannel(p.Readers, p.Channels)
}

func perChannel(readers, channels int) int { return (readers + channels - 1) / channels }

// deliveries returns how many messages readers receive in a second.
func (p Plan) deliveries() float64 { return p.Rate * float64(p.readersOfOne()) }

// pings returns how many pings are written in a second (streams.conf, subscribe.conf).
func (p Plan) pings() float64 {
	const every = 30
	return float64(p.Readers) / every
}

// powerOfTwo returns the least one that is at least n.
func powerOfTwo(n int) int {
	size := 1
	for size < n {
		size *= 2
	}
	return size
}

// roundUp returns the least multiple of unit that is at least n.
func roundUp(n, unit int) int { return (n + unit - 1) / unit * unit }

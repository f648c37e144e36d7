package capacity

import (
	"math"
	"testing"
	"time"
)

// TestCheck changes one value of a good plan at a time.
func TestCheck(t *testing.T) {
	if err := Default().Check(); err != nil {
		t.Error(err)
	}
	for want, change := range map[string]func(*Plan){
		"--readers: 0 is not from 1 to 100000000":                         func(p *Plan) { p.Readers = 0 },
		"--channels: -1 is not from 1 to 100000000":                       func(p *Plan) { p.Channels = -1 },
		"--channel-length: 129 is not from 1 to 128":                      func(p *Plan) { p.ChannelLength = 129 },
		"--message-size: 65537 is not from 1 to 65536":                    func(p *Plan) { p.MessageSize = 65_537 },
		"--fanout: 1000001 is not from 0 to 1000000":                      func(p *Plan) { p.Fanout = 1_000_001 },
		"--stored: -1 is not from 0 to 1048576":                           func(p *Plan) { p.Stored = -1 },
		"--header-size: 9000 is not from 1 to 8192":                       func(p *Plan) { p.HeaderSize = 9000 },
		"--cores: 0 is not from 1 to 1024":                                func(p *Plan) { p.Cores = 0 },
		"--memory: 16 is not from 536870912 to 1125899906842624":          func(p *Plan) { p.Memory = 16 },
		"--bandwidth: 1000 is not from 1000000 to 1000000000000000":       func(p *Plan) { p.Bandwidth = 1000 },
		`--module: "nginx" is neither nchan nor push-stream`:              func(p *Plan) { p.Module = "nginx" },
		"--rate: NaN is not from 0 to 10000000 messages a second":         func(p *Plan) { p.Rate = math.NaN() },
		"--rate: -1 is not from 0 to 10000000 messages a second":          func(p *Plan) { p.Rate = -1 },
		"--ttl: 1.5s is no number of whole seconds from 1s to 24h0m0s":    func(p *Plan) { p.TTL = 1500 * time.Millisecond },
		"--ttl: 0s is no number of whole seconds from 1s to 24h0m0s":      func(p *Plan) { p.TTL = 0 },
		"--ttl: 48h0m0s is no number of whole seconds from 1s to 24h0m0s": func(p *Plan) { p.TTL = 48 * time.Hour },
	} {
		p := Default()
		change(&p)
		if err := p.Check(); err == nil || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

// TestMessageBytes is on both sides of what makes a message take more: powers of two for push-stream's four copies, and for
// Nchan's one with what stands before it.
func TestMessageBytes(t *testing.T) {
	for _, test := range []struct{ size, nchan, push int }{
		{56, 256, 4*64 + 448},
		{57, 512, 3*64 + 128 + 448},
		{300, 512, 4*512 + 448},
		{312, 512, 4*512 + 448},
		{313, 1024, 4*512 + 448},
		{504, 1024, 4*512 + 448},
		{511, 1024, 512 + 3*1024 + 448},
		{512, 1024, 4*1024 + 448},
		{1848, 2048, 4*2048 + 448},
		{1849, 4096, 4*2048 + 448},
		{2048, 4096, 4*4096 + 448},
		{5000, 8192, 4*8192 + 448},
	} {
		nchan, push := Plan{Module: Nchan, MessageSize: test.size}.MessageBytes(), Plan{Module: PushStream, MessageSize: test.size}.MessageBytes()
		if nchan != test.nchan || push != test.push {
			t.Errorf("%d bytes: %d on Nchan and %d on push-stream, want %d and %d", test.size, nchan, push, test.nchan, test.push)
		}
	}
}

package capacity

import (
	"reflect"
	"testing"
	"time"
)

func TestSettings(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*Plan)
		want   Settings
	}{
		"as shipped": {func(*Plan) {}, Settings{
			Workers: 8, WorkerConnections: 162_816, LimitNofile: 163_840, SharedMemory: 192 << 20, AddressMemory: 80 << 20, FileMax: 1_376_256, NrOpen: 1 << 20,
			TCPMem: [3]int{1_500_000, 1_750_000, 2_000_000}, Conntrack: NoTrack, ConntrackMax: 1_300_480,
		}},
		"push-stream as shipped": {func(p *Plan) { p.Module = PushStream }, Settings{
			Workers: 8, WorkerConnections: 162_816, LimitNofile: 163_840, SharedMemory: 960 << 20, AddressMemory: 80 << 20, FileMax: 1_376_256, NrOpen: 1 << 20,
			TCPMem: [3]int{1_500_000, 1_750_000, 2_000_000}, Conntrack: NoTrack, ConntrackMax: 1_300_480,
		}},
		"a small host": {func(p *Plan) { p.Readers, p.Cores, p.Channels, p.Rate = 1000, 1, 10, 1 }, Settings{
			Workers: 1, WorkerConnections: 2048, LimitNofile: 3072, SharedMemory: 32 << 20, AddressMemory: 16 << 20, FileMax: 68_608, NrOpen: 1 << 20,
			TCPMem: [3]int{49_152, 57_344, 65_536}, Conntrack: Track, ConntrackMax: 262_144,
		}},
		"one core for all": {func(p *Plan) { p.Cores = 1 }, Settings{
			Workers: 1, WorkerConnections: 1_300_480, LimitNofile: 1_301_504, SharedMemory: 192 << 20, AddressMemory: 80 << 20, FileMax: 1_367_040, NrOpen: 1_301_504,
			TCPMem: [3]int{1_500_000, 1_750_000, 2_000_000}, Conntrack: NoTrack, ConntrackMax: 1_300_480,
		}},
		"much stored": {func(p *Plan) { p.Module, p.Channels, p.MessageSize, p.Rate = PushStream, 300_000, 500, 20_000 }, Settings{
			Workers: 8, WorkerConnections: 162_816, LimitNofile: 163_840, SharedMemory: 18_912 << 20, AddressMemory: 80 << 20, FileMax: 1_376_256, NrOpen: 1 << 20,
			TCPMem: [3]int{1_500_000, 1_750_000, 2_000_000}, Conntrack: NoTrack, ConntrackMax: 1_300_480,
		}},
	} {
		p := Default()
		test.change(&p)
		if got := Compute(p).Settings; !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s: %+v\nwant %+v", name, got, test.want)
		}
	}
}

// TestWhatRunsOutFirst has plans that end at each of the resources.
func TestWhatRunsOutFirst(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*Plan)
		first  string
		fits   bool
	}{
		"as shipped":              {func(*Plan) {}, "memory", true},
		"push-stream":             {func(p *Plan) { p.Module, p.Memory = PushStream, 24<<30 }, "memory", true},
		"half the memory":         {func(p *Plan) { p.Memory /= 2 }, "memory", false},
		"TLS":                     {func(p *Plan) { p.TLS = true }, "memory", false},
		"large cookies":           {func(p *Plan) { p.HeaderSize = 8000 }, "memory", false},
		"large messages, seldom":  {func(p *Plan) { p.Channels, p.Rate, p.MessageSize = 1, 0.05, 20_000 }, "bandwidth", false},
		"a slow network":          {func(p *Plan) { p.Bandwidth = 200e6 }, "bandwidth", false},
		"a message a second each": {func(p *Plan) { p.Channels, p.Rate, p.Bandwidth = 1, 1, 100e9 }, "cores", false},
		"many messages to few":    {func(p *Plan) { p.Fanout, p.Rate, p.TTL, p.Bandwidth = 1, 400_000, time.Second, 10e9 }, "cores", false},
	} {
		p := Default()
		test.change(&p)
		r := Compute(p)
		if first := r.Resources[0]; first.Name != test.first || r.Fits != test.fits || first.Enough() != test.fits {
			t.Errorf("%s: %+v, fits: %v; want %s, %v", name, r.Resources, r.Fits, test.first, test.fits)
		}
	}
}

// TestEnoughFor asks for what a resource is said to be enough, and for one more.
func TestEnoughFor(t *testing.T) {
	for _, change := range []func(*Plan){
		func(*Plan) {},
		func(p *Plan) { p.Module = PushStream },
		func(p *Plan) { p.Fanout, p.Rate = p.Readers, 1 }, // a message to all
	} {
		p := Default()
		change(&p)
		for _, resource := range Compute(p).Resources {
			for more, want := range []bool{true, false} {
				p.Readers = resource.Readers + more
				for _, again := range Compute(p).Resources {
					if again.Name == resource.Name && again.Enough() != want {
						t.Errorf("%+v: %+v", p, again)
					}
				}
			}
		}
	}
}

// TestEachItemCounts changes what an item depends on, and nothing else.
func TestEachItemCounts(t *testing.T) {
	for name, change := range map[string]func(*Plan){
		"kernel, sockets":            func(p *Plan) { p.Readers++ },
		"kernel, what is being sent": func(p *Plan) { p.Fanout = 500_000 },
		"nginx, readers":             func(p *Plan) { p.TLS = true },
		"nginx, slots":               func(p *Plan) { p.Readers += 10_000 },
		"nginx, channels":            func(p *Plan) { p.Channels++ },
		"nginx, workers":             func(p *Plan) { p.Cores++ },
		"shared memory":              func(p *Plan) { p.MessageSize = 5000 },
		"shared memory, addresses":   func(p *Plan) { p.Readers *= 2 },
		"system":                     func(p *Plan) { p.Memory *= 2 },
	} {
		p := Default()
		before := item(Compute(p), name)
		change(&p)
		if after := item(Compute(p), name); before <= 0 || after <= before {
			t.Errorf("%s: %d bytes became %d", name, before, after)
		}
	}
	p := Default()
	p.Readers = 100_000 // which the kernel can track
	if item(Compute(p), "conntrack") != 100_000*conntrackBytes || item(Compute(Default()), "conntrack") != 0 {
		t.Error("tracked connections are not counted, or others are")
	}
}

func item(r Report, name string) int64 {
	for _, item := range r.Memory {
		if item.Name == name {
			return item.Bytes
		}
	}
	return 0
}

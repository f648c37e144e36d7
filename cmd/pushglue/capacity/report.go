package capacity

import (
	"sort"
)

// Conntrack is whether the kernel tracks connections to the public port.
const (
	Track   = "track"
	NoTrack = "notrack"
)

// Settings are those of nginx and of the kernel.
type Settings struct {
	Workers           int    `json:"workers"`
	WorkerConnections int    `json:"workerConnections"` // of each worker
	LimitNofile       int    `json:"limitNofile"`       // descriptors of each worker
	SharedMemory      int64  `json:"sharedMemory"`      // bytes, whole MiB
	AddressMemory     int64  `json:"addressMemory"`     // bytes, whole MiB: for counting connections of addresses
	FileMax           int    `json:"fileMax"`
	NrOpen            int    `json:"nrOpen"`
	TCPMem            [3]int `json:"tcpMem"` // pages
	Conntrack         string `json:"conntrack"`
	ConntrackMax      int    `json:"conntrackMax"` // where connections are tracked
}

// Resource is something that a host can run out of.
type Resource struct {
	Name    string  `json:"name"`
	Unit    string  `json:"unit"`
	Need    float64 `json:"need"`
	Have    float64 `json:"have"`
	Readers int     `json:"readers"` // for how many it is enough, all else being the same
}

// Enough reports whether there is as much as is needed.
func (r Resource) Enough() bool { return r.Need <= r.Have }

// Report is what a plan takes.
type Report struct {
	Plan       Plan       `json:"plan"`
	Settings   Settings   `json:"settings"`
	Memory     []Item     `json:"memory"`
	Deliveries float64    `json:"deliveriesPerSecond"`
	Resources  []Resource `json:"resources"` // what runs out first comes first
	Fits       bool       `json:"fits"`
}

// Compute returns what a plan that Check has nothing against takes.
func Compute(p Plan) Report {
	r := Report{Plan: p, Settings: p.settings(), Deliveries: p.deliveries(), Resources: p.resources(), Fits: true}
	r.Memory = p.memory(r.Settings)
	for i := range r.Resources {
		r.Fits = r.Fits && r.Resources[i].Enough()
		r.Resources[i].Readers = p.most(i)
	}
	sort.SliceStable(r.Resources, func(i, k int) bool { return r.Resources[i].Readers < r.Resources[k].Readers })
	return r
}

// most returns for how many readers a resource is enough.
func (p Plan) most(resource int) int {
	return sort.Search(MaxReaders, func(n int) bool {
		more := p
		more.Readers = n + 1
		return !more.resources()[resource].Enough()
	})
}

func (p Plan) settings() Settings {
	const (
		spare       = 1.3     // of worker_connections: nginx begins to close connections when 15 of 16 are taken
		descriptors = 1024    // of a worker, beside its connections
		others      = 65_536  // descriptors of all other processes
		tracked     = 262_144 // what a kernel tracks by default on a machine of some size
		nrOpen      = 1 << 20 // fs.nr_open by default
	)
	s := Settings{Workers: p.Cores, Conntrack: Track}
	s.WorkerConnections = roundUp(int(spare*float64(p.Readers)/float64(s.Workers)), 1024)
	s.LimitNofile = s.WorkerConnections + descriptors
	s.SharedMemory = p.sharedMemory(s.Workers)
	s.AddressMemory = int64(roundUp(p.Readers*addressBytes*5/4, 16<<20))
	s.FileMax = s.Workers*s.LimitNofile + others
	s.NrOpen = max(nrOpen, s.LimitNofile)
	s.TCPMem = p.tcpMem()
	s.ConntrackMax = max(tracked, roundUp(int(spare*float64(p.Readers)), 1024))
	if s.ConntrackMax > tracked {
		s.Conntrack = NoTrack
	}
	return s
}

// sharedMemory returns the size of the module's shared memory: a quarter more than what is in it, for what is lost in
// pages that are not full.
func (p Plan) sharedMemory(workers int) int64 {
	const least, unit = 32 << 20, 32 << 20
	return int64(max(least, roundUp(int(p.zone(workers))*5/4, unit)))
}

// tcpMem returns net.ipv4.tcp_mem. A socket with anything in its buffers counts as a page at least, in each
// direction.
func (p Plan) tcpMem() [3]int {
	_, bytes := p.segments()
	pages := p.Readers * (1 + (bytes+pageSize-1)/pageSize)
	high := max(roundUp(pages, 8), 65_536)
	return [3]int{high / 8 * 6, high / 8 * 7, high}
}

// resources returns what the host needs and has.
func (p Plan) resources() []Resource {
	var memory int64
	for _, item := range p.memory(p.settings()) {
		memory += item.Bytes
	}
	return []Resource{
		{Name: "memory", Unit: "bytes", Need: float64(memory), Have: float64(p.Memory)},
		{Name: "bandwidth", Unit: "bits/s", Need: p.bits(), Have: float64(p.Bandwidth)},
		{Name: "cores", Unit: "cores", Need: p.busy(), Have: float64(p.Cores) * busiest},
	}
}

// bits returns how much is sent in a second.
func (p Plan) bits() float64 {
	const (
		packet = 90 // Ethernet, IP and TCP
		ping   = 16
	)
	packets, bytes := p.segments()
	return 8 * (p.deliveries()*float64(packets*packet+bytes) + p.pings()*(packet+ping))
}

// busiest is the share of a core's time that is planned for; the rest is for bursts and for readers that come back.
const busiest = 0.7

// busy returns how many cores work for messages and pings.
func (p Plan) busy() float64 {
	const micros = 1e-6
	delivery := nchanDelivery
	if p.Module == PushStream {
		delivery = pushDelivery
	}
	return (p.Rate*publishing + p.deliveries()*delivery + p.pings()*ping) * micros
}

// CPU time of a worker, in microseconds, as measured: docs/capacity.md.
const (
	publishing    = 15.0
	nchanDelivery = 20.0
	pushDelivery  = 20.0
	ping          = 20.0
)

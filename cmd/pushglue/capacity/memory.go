package capacity

// What things cost, in bytes. docs/capacity.md says how each was found.
const (
	socketBytes     = 4045 // the kernel's part of an idle connection
	slotBytes       = 424  // of worker_connections: a connection of nginx and its two events
	workerBytes     = 8 << 20
	nchanReader     = 9800
	pushReader      = 10_600 // 9,500 with one channel, 10,900 with a long list
	largeHeader     = 2340   // for each large buffer that a reader's request takes
	smallHeaderSize = 1024   // what a request may have before it takes any
	largeHeaderSize = 2048
	tlsBytes        = 26_400
	addressBytes    = 64       // of one that has connections
	conntrackBytes  = 256 + 64 // an entry and its place in the table
	systemBytes     = 512 << 20
	systemShare     = 50 // one part of so many of the memory is the system's too

	nchanChannel      = 1024 // in a worker that works for a channel
	nchanChannelZone  = 64   // in shared memory
	nchanMessage      = 200  // with a message in shared memory
	nchanMessageOwn   = 32   // in the worker of its channel
	pushChannel       = 256
	pushChannelWorker = 64  // for each worker with readers of a channel
	pushMessage       = 448 // beside the copies of a message, id and type among it
	pushTrash         = 14  // seconds that push-stream keeps what has left its channel

	pageSize = 4096
)

// Item is a part of the memory of a host.
type Item struct {
	Name  string `json:"name"`
	Bytes int64  `json:"bytes"`
}

// memory returns what the memory of the host is needed for.
func (p Plan) memory(s Settings) []Item {
	items := []Item{
		{"kernel, sockets", int64(p.Readers) * socketBytes},
		{"kernel, what is being sent", p.sending()},
		{"nginx, readers", int64(p.Readers) * int64(p.ReaderBytes())},
		{"nginx, slots", int64(s.Workers) * SlotBytes(s.WorkerConnections)},
		{"nginx, channels", p.channels(s.Workers)},
		{"nginx, workers", int64(s.Workers) * workerBytes},
		{"shared memory", s.SharedMemory},
		{"shared memory, addresses", s.AddressMemory},
	}
	if s.Conntrack == Track {
		items = append(items, Item{"conntrack", int64(p.Readers) * conntrackBytes})
	}
	return append(items, Item{"system", systemBytes + p.Memory/systemShare})
}

// ReaderBytes is what nginx has for each reader.
func (p Plan) ReaderBytes() int {
	bytes := nchanReader
	if p.Module == PushStream {
		bytes = pushReader
	}
	if p.HeaderSize > smallHeaderSize {
		bytes += largeHeader * ((p.HeaderSize + largeHeaderSize - 1) / largeHeaderSize)
	}
	if p.TLS {
		bytes += tlsBytes
	}
	return bytes
}

// SlotBytes is what each worker has for so many worker_connections, used or not.
func SlotBytes(connections int) int64 { return int64(connections) * slotBytes }

// channels returns what workers have for channels and their messages: nothing on push-stream. On Nchan one worker
// has a channel, and each that has readers of it.
func (p Plan) channels(workers int) int64 {
	if p.Module == PushStream {
		return 0
	}
	return int64(p.Channels)*int64(p.ChannelBytes(workers)) + int64(p.messages()*nchanMessageOwn)
}

// ChannelBytes is what the workers of an Nchan host have for a channel with readers.
func (p Plan) ChannelBytes(workers int) int {
	return nchanChannel * (1 + min(workers, perChannel(p.Readers, p.Channels)))
}

// messages returns how many stored messages there are at most.
func (p Plan) messages() float64 {
	return min(p.Rate*p.TTL.Seconds(), float64(p.Channels)*float64(p.Stored))
}

// zone returns what is in shared memory at most.
func (p Plan) zone(workers int) int64 {
	messages := p.messages()
	if p.Module == PushStream {
		messages += p.Rate * pushTrash
	}
	return int64(messages)*int64(p.MessageBytes()) + int64(p.Channels)*int64(p.ChannelZoneBytes(workers))
}

// MessageBytes is what a message takes of shared memory. nginx hands that out in powers of two up to half a page, and in
// whole pages beyond.
func (p Plan) MessageBytes() int {
	if p.Module == Nchan {
		return slab(p.MessageSize + nchanMessage)
	}
	frame := 2 // of a WebSocket
	if p.MessageSize > 125 {
		frame = 4
	}
	copies := 0
	for _, more := range []int{1, 2, frame, 8} { // as published, for long polling, WebSocket and EventSource
		copies += slab(p.MessageSize + more)
	}
	return copies + pushMessage
}

// slab returns how much of shared memory nginx hands out for n bytes.
func slab(n int) int {
	if n > pageSize/2 {
		return roundUp(n, pageSize)
	}
	return powerOfTwo(max(n, 8))
}

// ChannelZoneBytes is what a channel takes of shared memory.
func (p Plan) ChannelZoneBytes(workers int) int {
	if p.Module == Nchan {
		return nchanChannelZone
	}
	return pushChannel + slab(p.ChannelLength+1) + pushChannelWorker*min(workers, perChannel(p.Readers, p.Channels))
}

// segments returns how many packets carry a message to a reader, and the bytes that they carry. push-stream
// writes id, type and data by themselves.
func (p Plan) segments() (packets, bytes int) {
	const (
		eventText = 100 // id, type and the names of all fields
		payload   = 1448
		tlsRecord = 29
	)
	bytes = p.MessageSize + eventText
	packets = (bytes + payload - 1) / payload
	writes := 1
	if p.Module == PushStream {
		writes = 3
		packets += 2
	}
	if p.TLS {
		bytes += writes * tlsRecord
	}
	return packets, bytes
}

// sending returns what the kernel has of messages that readers have not yet acknowledged: those of a quarter of a
// second, or of one message.
func (p Plan) sending() int64 {
	const (
		quarter = 0.25
		skb     = 512 // a packet's own structures
		room    = 640 // for headers, with its data
	)
	packets, bytes := p.segments()
	atOnce := max(float64(p.readersOfOne()), p.deliveries()*quarter)
	return int64(atOnce * float64(packets*(skb+powerOfTwo(bytes/packets+room))))
}

package gluetest

import (
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	maxStored  = 20      // messages of each channel that are kept for readers who come back, unless Store says otherwise
	maxPending = 4 << 20 // bytes that a reader may be behind before it is cut off
)

// pushStore is what a PushServer knows: its channels with their last messages, and its readers.
type pushStore struct {
	mu        sync.Mutex
	channels  map[string]*pushChannel
	maxStored int // messages of each channel
	readers   int
	published int
	lastTime  int64
	lastTag   int
	closed    bool

	started time.Time
	ending  sync.WaitGroup // readers that have joined and not yet left
}

type pushChannel struct {
	published int
	stored    []*pushMessage
	readers   map[*pushReader]struct{}
}

// pushMessage is a message in one channel. It is never changed once it is published.
type pushMessage struct {
	id, kind, body string
	event          string // as it goes into an event stream
	time           int64  // in seconds; with tag, a position in the order of all messages
	tag            int
}

// eventText formats m as push-stream does: blank lines of the body are lost.
func (m *pushMessage) eventText() string {
	var text strings.Builder
	if m.id != "" {
		text.WriteString("id: " + m.id + "\n")
	}
	if m.kind != "" {
		text.WriteString("event: " + m.kind + "\n")
	}
	for _, line := range bodyLines(m.body) {
		text.WriteString("data: " + line + "\n")
	}
	text.WriteString("\n")
	return text.String()
}

// bodyLines splits a body at CR LF, LF and CR, but leaves a CR alone that no LF follows: so
// does push-stream, and a browser then takes what follows the CR for a line of its own.
func bodyLines(body string) []string {
	end := strings.LastIndex(body, "\n") + 1
	lines := strings.FieldsFunc(body[:end], func(r rune) bool { return r == '\r' || r == '\n' })
	if end < len(body) {
		lines = append(lines, body[end:])
	}
	return lines
}

// position is where a reader continues: after the message with an id, channel by channel, or
// after a point in time. The zero time is none.
type position struct {
	lastEventID string
	since       int64
	tag         int // -1: none
}

// after returns the messages of stored that follow p. An id that is not stored has none.
func (p position) after(stored []*pushMessage) []*pushMessage {
	for i, m := range stored {
		if p.lastEventID != "" && m.id == p.lastEventID {
			return stored[i+1:]
		}
		if p.since != 0 && (m.time > p.since || m.time == p.since && p.tag >= 0 && m.tag > p.tag) {
			return stored[i:]
		}
	}
	return nil
}

// pushReader is a stream or a poll. Its fields belong to the store's lock, but for ready.
type pushReader struct {
	control  *http.ResponseController
	ready    chan struct{} // has an element when there is something to take
	channels []*pushChannel
	pending  []*pushMessage
	size     int
	over     bool
}

func newPushReader(control *http.ResponseController) *pushReader {
	return &pushReader{control: control, ready: make(chan struct{}, 1)}
}

func (r *pushReader) offer(m *pushMessage) {
	if r.over {
		return
	}
	r.pending = append(r.pending, m)
	if r.size += len(m.event); r.size > maxPending {
		r.end()
		return
	}
	r.wake()
}

func (r *pushReader) wake() {
	select {
	case r.ready <- struct{}{}:
	default:
	}
}

// end cuts the reader off, even in the middle of a write that nobody reads.
func (r *pushReader) end() {
	r.over, r.pending = true, nil
	_ = r.control.SetWriteDeadline(time.Now()) // a writer without deadlines never blocks
	r.wake()
}

// Close ends all streams, waits until they are gone, and refuses new ones. It is safe to call
// more than once.
func (s *pushStore) Close() error {
	s.mu.Lock()
	s.closed = true
	for _, channel := range s.channels {
		for reader := range channel.readers {
			reader.end()
		}
	}
	s.mu.Unlock()
	s.ending.Wait()
	return nil
}

// Store sets how many messages of each channel are kept for readers who come back, from the next one on.
func (s *pushStore) Store(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.maxStored = n
}

// publish gives a message to every channel's readers and stores it.
func (s *pushStore) publish(names []string, m pushMessage) {
	m.event = m.eventText()
	m.time = time.Now().Unix()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, name := range names {
		if s.lastTag++; m.time != s.lastTime {
			s.lastTime, s.lastTag = m.time, 1
		}
		m.tag = s.lastTag
		s.published++
		s.channel(name).add(m, s.maxStored)
	}
}

// channel returns a channel, which exists from the first time that anybody names it.
func (s *pushStore) channel(name string) *pushChannel {
	channel, ok := s.channels[name]
	if !ok {
		channel = &pushChannel{readers: make(map[*pushReader]struct{})}
		s.channels[name] = channel
	}
	return channel
}

func (c *pushChannel) add(m pushMessage, maxStored int) {
	c.published++
	c.stored = append(c.stored, &m)
	if over := len(c.stored) - maxStored; over > 0 {
		c.stored = slices.Clone(c.stored[over:])
	}
	for reader := range c.readers {
		reader.offer(&m)
	}
}

// join subscribes a reader, and gives it what it missed. It reports false once s is closed.
func (s *pushStore) join(r *pushReader, requests []channelRequest, from position) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.ending.Add(1)
	s.readers++
	for _, request := range requests {
		channel := s.channel(request.name)
		missed := from.after(channel.stored)
		if request.backtrack > 0 {
			missed = channel.stored[max(0, len(channel.stored)-request.backtrack):]
		}
		for _, m := range missed {
			r.offer(m)
		}
		channel.readers[r] = struct{}{}
		r.channels = append(r.channels, channel)
	}
	return true
}

func (s *pushStore) leave(r *pushReader) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, channel := range r.channels {
		delete(channel.readers, r)
	}
	s.readers--
	s.ending.Done()
}

// take returns what r has not had yet, and whether more may come.
func (s *pushStore) take(r *pushReader) (messages []*pushMessage, open bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	messages, r.pending, r.size = r.pending, nil, 0
	return messages, !r.over
}

// channelStats is what push-stream tells about a channel.
type channelStats struct {
	Channel   string `json:"channel"`
	Published int    `json:"published_messages"`
	Stored    int    `json:"stored_messages"`
	Readers   int    `json:"subscribers"`
}

// hostStats returns what push-stream tells about a host at the head of every list.
func (s *pushStore) hostStats() map[string]any {
	return map[string]any{
		"hostname":          hostname(),
		"time":              time.Now().Format("2006-01-02T15:04:05"),
		"channels":          len(s.channels),
		"wildcard_channels": 0,
		"uptime":            int(time.Since(s.started).Seconds()),
	}
}

// totals returns the statistics of the host, which is its only worker.
func (s *pushStore) totals() map[string]any {
	s.mu.Lock()
	defer s.mu.Unlock()
	stored := 0
	for _, channel := range s.channels {
		stored += len(channel.stored)
	}
	stats := s.hostStats()
	stats["published_messages"] = s.published
	stats["stored_messages"] = stored
	stats["subscribers"] = s.readers
	for _, absent := range []string{"messages_in_trash", "channels_in_delete", "channels_in_trash"} {
		stats[absent] = 0
	}
	stats["by_worker"] = []map[string]any{
		{"pid": strconv.Itoa(os.Getpid()), "subscribers": s.readers, "uptime": stats["uptime"]},
	}
	return stats
}

// details returns the statistics of the channels in a list, which may have "ALL" or "prefix*" in it: as one
// object, as a list under the host's, or nil when there are none. Unlike push-stream's, its JSON is
// good whatever the names are.
func (s *pushStore) details(names []string) any {
	s.mu.Lock()
	defer s.mu.Unlock()
	listed, isPattern := s.listed(names)
	infos := make([]channelStats, len(listed))
	for i, name := range listed {
		c := s.channels[name]
		infos[i] = channelStats{Channel: name, Published: c.published, Stored: len(c.stored), Readers: len(c.readers)}
	}
	switch {
	case len(infos) == 0 && !isPattern:
		return nil
	case len(infos) == 1 && !isPattern:
		return infos[0]
	default:
		stats := s.hostStats()
		stats["infos"] = infos
		return stats
	}
}

// listed returns the channels that names has, in its order and as often. The first pattern in it stands
// for the whole list. Every answer to a publisher comes this way, so only a pattern walks through all channels.
func (s *pushStore) listed(names []string) (listed []string, isPattern bool) {
	for _, name := range names {
		if prefix, _, ok := strings.Cut(name, "*"); ok {
			return s.beginning(prefix), true
		}
		if name == "ALL" {
			return s.beginning(""), true
		}
		if _, ok := s.channels[name]; ok {
			listed = append(listed, name)
		}
	}
	return listed, false
}

// beginning returns the names of all channels that begin with prefix.
func (s *pushStore) beginning(prefix string) []string {
	var names []string
	for name := range s.channels {
		if strings.HasPrefix(name, prefix) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

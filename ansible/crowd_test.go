package ansible_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pushglue/glue/eventstream"
)

// crowd are readers of many channels, spread over hosts. One whose stream ends goes on at once, on the host that takes it, with what it
// has missed; as browsers do behind a balancer that looks for hosts that take connections.
type crowd struct {
	hosts    []string // host:port of their public ports
	channels int
	readers  []*crowdReader
	stop     context.CancelFunc
	wg       sync.WaitGroup
	open     atomic.Int64

	mu    sync.Mutex
	ends  []time.Time // of streams that hosts ended
	moves int         // streams that readers left by themselves
	wrong []string
}

// crowdReader reads one channel. Only its own goroutine writes it; seen can be read when the crowd is stopped.
type crowdReader struct {
	channel  int
	home     int           // index of the host that it began with
	lifetime time.Duration // of a stream at another host, after which it goes home; 0 for ever
	seen     map[int]bool  // numbers of messages

	last atomic.Int64 // highest number of a message
}

// crowdMessage is what a message's body has.
type crowdMessage struct {
	ID string `json:"id"` // CHANNEL.NUMBER
}

// startCrowd returns when n readers read. A share of them, one in so many, goes home after a lifetime at another host.
func startCrowd(tb testing.TB, n, channels, wanderers int, lifetime time.Duration, hosts ...string) *crowd {
	tb.Helper()
	ctx, cancel := context.WithCancel(tb.Context())
	c := &crowd{hosts: hosts, channels: channels, stop: cancel}
	tb.Cleanup(c.end)
	for i := range n {
		r := &crowdReader{channel: i % channels, home: i / channels % len(hosts), seen: map[int]bool{}}
		if i/channels/len(hosts)%wanderers == 0 {
			r.lifetime = lifetime
		}
		c.readers = append(c.readers, r)
		c.wg.Go(func() { c.read(ctx, r) })
	}
	await(tb, "all readers read", func() bool { return int(c.open.Load()) == n })
	return c
}

// end ends all streams.
func (c *crowd) end() {
	c.stop()
	c.wg.Wait()
}

// read reads one stream after the other.
func (c *crowd) read(ctx context.Context, r *crowdReader) {
	host, position := r.home, ""
	for ctx.Err() == nil {
		stream, err := c.subscribe(ctx, r.channel, host, position)
		if err != nil {
			host = (host + 1) % len(c.hosts)
			continue
		}
		c.open.Add(1)
		position, err = c.readStream(ctx, r, stream, host, position)
		c.open.Add(-1)
		switch {
		case ctx.Err() != nil:
		case errors.Is(err, os.ErrDeadlineExceeded):
			host = r.home
			c.note(func() { c.moves++ })
		default:
			host = (host + 1) % len(c.hosts)
			c.note(func() { c.ends = append(c.ends, time.Now()) })
		}
	}
}

func (c *crowd) note(what func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	what()
}

// crowdStream is an open stream. It takes no goroutine but the reader's, of which the race detector stands 8,000.
type crowdStream struct {
	net.Conn
	events *eventstream.Reader
}

func (c *crowd) subscribe(ctx context.Context, channel, host int, position string) (*crowdStream, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", c.hosts[host])
	if err != nil {
		return nil, err
	}
	// Whoever comes back wants all that is stored; Nchan takes any position for that.
	if position == "" {
		position = "0:0"
	}
	_ = conn.SetDeadline(time.Now().Add(patience))
	_, err = fmt.Fprintf(conn, "GET /subscribe/crowd:%d HTTP/1.1\r\nHost: crowd\r\nAccept: text/event-stream\r\nLast-Event-ID: %s\r\n\r\n", channel, position)
	if err != nil {
		conn.Close()
		return nil, err
	}
	in := bufio.NewReaderSize(conn, 1<<10)
	resp, err := http.ReadResponse(in, nil)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s answers %s", c.hosts[host], resp.Status)
		c.note(func() { c.wrong = append(c.wrong, err.Error()) })
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	_ = conn.SetDeadline(time.Time{})
	return &crowdStream{conn, eventstream.NewReader(resp.Body)}, nil
}

// readStream reads a stream until it ends, and returns the id of the last event.
func (c *crowd) readStream(ctx context.Context, r *crowdReader, stream *crowdStream, host int, position string) (string, error) {
	defer stream.Close()
	defer context.AfterFunc(ctx, func() { stream.Close() })()
	if host != r.home && r.lifetime > 0 {
		_ = stream.SetReadDeadline(time.Now().Add(r.lifetime))
	}
	for {
		event, err := stream.events.Next()
		if err != nil {
			return position, err
		}
		position = event.ID
		var m crowdMessage
		var channel, number int
		err = json.Unmarshal([]byte(event.Data), &m)
		if _, scanErr := fmt.Sscanf(m.ID, "%d.%d", &channel, &number); err != nil || scanErr != nil || channel != r.channel {
			c.note(func() { c.wrong = append(c.wrong, fmt.Sprintf("channel %d: %.100q", r.channel, event.Data)) })
			continue
		}
		r.seen[number] = true
		r.last.Store(max(r.last.Load(), int64(number)))
	}
}

// awaitLast returns when every reader has the message with this number.
func (c *crowd) awaitLast(tb testing.TB, number int) {
	tb.Helper()
	await(tb, "all readers have the last message", func() bool {
		for _, r := range c.readers {
			if r.last.Load() < int64(number) {
				return false
			}
		}
		return true
	})
}

// lost ends the crowd and returns what readers did not get of the messages 1 to number, and what was no message of theirs.
func (c *crowd) lost(number int) []string {
	c.end()
	lost := slices.Clone(c.wrong)
	for i, r := range c.readers {
		var missing []string
		for n := 1; n <= number; n++ {
			if !r.seen[n] {
				missing = append(missing, fmt.Sprint(n))
			}
		}
		if missing != nil {
			lost = append(lost, fmt.Sprintf("reader %d of channel %d missed %s", i, r.channel, strings.Join(missing, " ")))
		}
	}
	return lost
}

// busiest returns how many streams hosts ended in all, and how many in the busiest two seconds, whenever they began.
func (c *crowd) busiest() (ended, most int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	slices.SortFunc(c.ends, time.Time.Compare)
	first := 0
	for i, at := range c.ends {
		for at.Sub(c.ends[first]) >= 2*time.Second {
			first++
		}
		most = max(most, i-first+1)
	}
	return len(c.ends), most
}

// await returns when something is true.
func await(tb testing.TB, what string, is func() bool) {
	tb.Helper()
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	late := time.After(patience)
	for !is() {
		select {
		case <-ticker.C:
		case <-late:
			tb.Fatalf("it does not come true that %s", what)
		}
	}
}

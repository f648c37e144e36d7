package faults

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"pushglue/glue/eventstream"
	"pushglue/glue/gluetest/service"
)

// readers are EventSource readers, one for each channel of each push host. One whose stream ends comes back, as
// browsers do, and asks for what it has missed.
type readers struct {
	r    *round
	stop context.CancelFunc
	wg   sync.WaitGroup

	mu     sync.Mutex
	lists  []*receipt
	events int
}

// receipt is what one reader has received.
type receipt struct {
	host    int
	channel string

	first   []int // numbers of messages in the order in which they first came
	again   []int // those that came again
	got     map[int]bool
	events  int
	streams int      // that it has opened
	wrong   []string // events that are none of ours, or not the same as their original
}

func startReaders(r *round) *readers {
	r.Helper()
	ctx, cancel := context.WithCancel(r.Context())
	rs := &readers{r: r, stop: cancel}
	r.Cleanup(func() { cancel(); rs.wg.Wait() })
	for host := range r.public {
		for _, channel := range channels() {
			rec := &receipt{host: host, channel: channel, got: map[int]bool{}, streams: 1}
			rs.lists = append(rs.lists, rec)
			stream, err := rs.subscribe(ctx, rec, "", false)
			if err != nil {
				r.Fatal(err)
			}
			rs.wg.Go(func() { rs.read(ctx, stream, rec) })
		}
	}
	return rs
}

// subscribe opens a stream. One that comes back asks Nchan for what comes after its last event. It asks
// push-stream for all that is stored: that module gives nothing at all after an event that it has
// forgotten, so that a reader who must miss nothing asks for a backtrack (docs/guarantees.md).
func (rs *readers) subscribe(ctx context.Context, rec *receipt, last string, again bool) (*opening, error) {
	url := rs.r.public[rec.host] + "/subscribe/" + rec.channel
	switch {
	case again && rs.r.module == service.PushStream:
		url, last = fmt.Sprintf("%s.b%d", url, stored), ""
	case again && last == "":
		last = "0:0" // of Nchan: from the beginning
	}
	ctx, end := context.WithCancel(ctx)
	o := &opening{end: end, limit: rs.r.scenario.watchdog}
	defer o.watch()()
	var err error
	if o.Subscription, err = eventstream.Subscribe(ctx, url, last); err != nil {
		end()
		return nil, err
	}
	return o, nil
}

// reconnectPause is how long a reader waits before it comes back. Browsers take a few seconds.
const reconnectPause = 50 * time.Millisecond

func (rs *readers) read(ctx context.Context, stream *opening, rec *receipt) {
	last := ""
	for {
		event, err := stream.next()
		if err == nil {
			last = event.ID
			rs.note(rec, event)
			continue
		}
		stream.close()
		for stream = nil; stream == nil; {
			select {
			case <-ctx.Done():
				return
			case <-time.After(reconnectPause):
			}
			stream, _ = rs.subscribe(ctx, rec, last, true) // again, until it works
		}
		rs.mu.Lock()
		rec.streams++
		rs.mu.Unlock()
	}
}

// opening is a stream of a reader, or the attempt at one.
type opening struct {
	*eventstream.Subscription
	end   context.CancelFunc
	limit time.Duration // of silence; 0 for none
}

// watch ends the stream if it is still silent after the limit. The caller stops it when something came.
func (o *opening) watch() (stop func()) {
	if o.limit == 0 {
		return func() {}
	}
	watchdog := time.AfterFunc(o.limit, o.end)
	return func() { watchdog.Stop() }
}

func (o *opening) next() (eventstream.Event, error) {
	defer o.watch()()
	return o.Next()
}

func (o *opening) close() {
	o.Close()
	o.end()
}

// note enters an event into what the reader has received.
func (rs *readers) note(rec *receipt, event eventstream.Event) {
	var message struct {
		ID string `json:"id"`
	}
	err := json.Unmarshal([]byte(event.Data), &message)
	j, known := rs.r.producer.find(message.ID)
	n := j.place[rec.channel]

	rs.mu.Lock()
	defer rs.mu.Unlock()
	rs.events++
	rec.events++
	switch {
	case err != nil, !known, n == 0:
		rec.wrong = append(rec.wrong, fmt.Sprintf("event %d is no message of this channel: %.100q", rec.events, event.Data))
		return
	case event.Data != j.payload:
		rec.wrong = append(rec.wrong, fmt.Sprintf("message %d came as %.100q, and was put as %.100q", n, event.Data, j.payload))
	case rs.r.module == service.PushStream && event.ID != j.id:
		rec.wrong = append(rec.wrong, fmt.Sprintf("message %d came with the id %q, and has %q", n, event.ID, j.id))
	}
	if rec.got[n] {
		rec.again = append(rec.again, n)
		return
	}
	rec.got[n] = true
	rec.first = append(rec.first, n)
}

// count returns how many events all readers have received.
func (rs *readers) count() int {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	return rs.events
}

// end ends all streams. What was received stands still then.
func (rs *readers) end() {
	rs.stop()
	rs.wg.Wait()
}

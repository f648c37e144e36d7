package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"pushglue/glue"
	"pushglue/glue/eventstream"
	"pushglue/glue/tree"
)

// tailLine is what tail writes at once.
type tailLine struct {
	Time    time.Time `json:"time"`
	What    string    `json:"what"` // one of the constants below
	Host    string    `json:"host"`
	Channel string    `json:"channel,omitempty"`
	ID      string    `json:"id,omitempty"`
	Type    string    `json:"type,omitempty"`
	Bytes   int       `json:"bytes,omitempty"`
	LateMS  *float64  `json:"lateMs,omitempty"` // behind the first host that had it
	AgeMS   *float64  `json:"ageMs,omitempty"`  // since the time in the message
	Data    string    `json:"data,omitempty"`
	Error   string    `json:"error,omitempty"`

	Messages *int `json:"messages,omitempty"` // of a summary
	Twice    *int `json:"twice,omitempty"`
	Missing  *int `json:"missing,omitempty"`
	Ends     *int `json:"ends,omitempty"` // of streams
}

// What a tailLine is about.
const (
	tailMessage = "message"
	tailTwice   = "twice"
	tailMissing = "missing"
	tailOpen    = "open"
	tailEnded   = "ended"
	tailSummary = "summary"
)

// maxTailData is how many bytes of a message people are shown.
const maxTailData = 100

// tailMemory is how long tail remembers a message, beyond the time after which it is missing.
const tailMemory = 2 * time.Minute

// tailWatch knows what has come on which stream.
type tailWatch struct {
	streams  []*tailStream
	late     time.Duration
	timePath tree.Path

	states []tailState
	seen   map[tailKey]*tailSeen
	order  []tailKey // of seen, by time
}

// tailState is how one stream stands.
type tailState struct {
	opened, ended            bool
	messages, twice, missing int
	ends                     int
}

// tailKey is a message in a channel.
type tailKey struct{ channel, message string }

// tailSeen is a message that came.
type tailSeen struct {
	first    time.Time
	line     tailLine // as it came first
	expected []bool   // by stream: it was open then
	got      []bool
	judged   bool // it is known where it is missing
}

func newTailWatch(streams []*tailStream, late time.Duration, timePath tree.Path) *tailWatch {
	return &tailWatch{streams: streams, late: late, timePath: timePath, states: make([]tailState, len(streams)), seen: map[tailKey]*tailSeen{}}
}

// hear takes what a stream tells.
func (w *tailWatch) hear(n tailNews) []tailLine {
	state, s := &w.states[n.stream], w.streams[n.stream]
	line := tailLine{Time: n.at, Host: s.host, Channel: s.channel}
	switch {
	case n.event != nil:
		return w.arrive(n.stream, line, n.event)
	case n.open:
		line.What = tailOpen
		state.opened, state.ended = true, false
	default:
		line.What, line.Error = tailEnded, endText(n.ended)
		if n.again > 0 {
			line.Error += fmt.Sprintf("; again in %s", n.again.Round(time.Millisecond))
		}
		if state.opened && !state.ended {
			state.ends++
		}
		state.ended = true
	}
	return []tailLine{line}
}

// endText says for people why a stream ended.
func endText(err error) string {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return "the host ended it"
	}
	return err.Error()
}

// arrive notes the messages in an event.
func (w *tailWatch) arrive(stream int, line tailLine, event *eventstream.Event) []tailLine {
	var lines []tailLine
	for _, m := range unpackEvent(event) {
		line.ID, line.Type, line.Data, line.Bytes = m.id, m.kind, m.data, len(m.data)
		line.AgeMS = w.age(line.Time, m.object)
		lines = append(lines, w.note(stream, line, cmp.Or(m.id, m.data)))
	}
	return lines
}

func (w *tailWatch) note(stream int, line tailLine, message string) tailLine {
	state := &w.states[stream]
	key := tailKey{line.Channel, message}
	seen := w.seen[key]
	line.What = tailMessage
	if seen == nil {
		seen = &tailSeen{first: line.Time, line: line, expected: make([]bool, len(w.streams)), got: make([]bool, len(w.streams))}
		for i := range w.streams {
			seen.expected[i] = w.streams[i].channel == line.Channel && w.states[i].opened
		}
		w.seen[key] = seen
		w.order = append(w.order, key)
	}
	line.LateMS = milliseconds(line.Time.Sub(seen.first))
	switch {
	case seen.got[stream]:
		line.What = tailTwice
		state.twice++
	case seen.judged && seen.expected[stream]:
		state.missing-- // it came after all
		fallthrough
	default:
		state.messages++
		seen.got[stream] = true
	}
	return line
}

// age returns how old a message is by the time in it; nil if it has none.
func (w *tailWatch) age(now time.Time, object *tree.Node) *float64 {
	if w.timePath == nil || object == nil {
		return nil
	}
	node := object.Get(w.timePath)
	if node == nil {
		return nil
	}
	text, _ := node.Text()
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		return milliseconds(now.Sub(at))
	}
	number, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return nil
	}
	if number < 1e11 { // seconds
		number *= 1e3
	}
	return milliseconds(now.Sub(time.UnixMicro(int64(number * 1e3))))
}

func milliseconds(d time.Duration) *float64 {
	ms := float64(d.Round(10*time.Microsecond)) / float64(time.Millisecond)
	return &ms
}

// look returns what is missing by now, and forgets what is old.
func (w *tailWatch) look(now time.Time) []tailLine {
	var lines []tailLine
	for _, key := range w.order {
		seen := w.seen[key]
		if now.Sub(seen.first) < w.late {
			break
		}
		if seen.judged {
			continue
		}
		seen.judged = true
		for i, s := range w.streams {
			if !seen.expected[i] || seen.got[i] {
				continue
			}
			w.states[i].missing++
			line := seen.line
			line.Time, line.What, line.Host, line.Data, line.AgeMS = now, tailMissing, s.host, "", nil
			line.LateMS = milliseconds(now.Sub(seen.first))
			lines = append(lines, line)
		}
	}
	old := 0
	for old < len(w.order) && now.Sub(w.seen[w.order[old]].first) > w.late+tailMemory {
		delete(w.seen, w.order[old])
		old++
	}
	w.order = slices.Delete(w.order, 0, old)
	return lines
}

// summary returns the sums of each host.
func (w *tailWatch) summary() []tailLine {
	var lines []tailLine
	for i, s := range w.streams {
		state := &w.states[i]
		if i == 0 || w.streams[i-1].host != s.host {
			lines = append(lines, tailLine{Time: time.Now(), What: tailSummary, Host: s.host, Messages: new(int), Twice: new(int), Missing: new(int), Ends: new(int)})
		}
		line := &lines[len(lines)-1]
		*line.Messages += state.messages
		*line.Twice += state.twice
		*line.Missing += state.missing
		*line.Ends += state.ends
	}
	return lines
}

// String is the line for people.
func (l *tailLine) String() string {
	var b strings.Builder
	if l.What == tailSummary {
		fmt.Fprintf(&b, "%s: %s, %s twice, %s missing", l.Host, number(*l.Messages, "message"), thousands(*l.Twice), thousands(*l.Missing))
		if *l.Ends > 0 {
			fmt.Fprintf(&b, ", opened again %s", number(*l.Ends, "time"))
		}
		return b.String()
	}
	fmt.Fprintf(&b, "%s  %s  %s", l.Time.Format("15:04:05.000"), l.Host, l.Channel)
	if l.What == tailOpen || l.What == tailEnded {
		fmt.Fprintf(&b, "  %s", l.What)
		if l.Error != "" {
			fmt.Fprintf(&b, ": %s", printable([]byte(l.Error)))
		}
		return b.String()
	}
	fmt.Fprintf(&b, "  %s  %s  %s", printable([]byte(cmp.Or(l.ID, "-"))), printable([]byte(l.Type)), number(l.Bytes, "byte"))
	if l.What != tailMessage {
		fmt.Fprintf(&b, "  %s", l.What)
	}
	switch {
	case l.LateMS != nil && *l.LateMS > 0:
		fmt.Fprintf(&b, "  +%.1f ms", *l.LateMS)
	case l.What == tailMessage:
		b.WriteString("  first")
	}
	if l.AgeMS != nil {
		fmt.Fprintf(&b, "  age %.1f ms", *l.AgeMS)
	}
	if l.What == tailMessage {
		data, more := l.Data, ""
		if len(data) > maxTailData {
			data, more = strings.ToValidUTF8(data[:maxTailData], ""), "…"
		}
		fmt.Fprintf(&b, "  %s%s", printable([]byte(data)), more)
	}
	return b.String()
}

// tailed is a message in an event: most have one.
type tailed struct {
	id, kind, data string
	object         *tree.Node // nil if it is no JSON object
}

// unpackEvent returns the messages in an event, as nginx/www/pushglue.js does.
func unpackEvent(event *eventstream.Event) []tailed {
	if event.Type == glue.CoalescedType {
		var entries []struct {
			ID   string          `json:"id"`
			Type string          `json:"type"`
			Data json.RawMessage `json:"data"`
		}
		if json.Unmarshal([]byte(event.Data), &entries) == nil && len(entries) > 0 {
			list := make([]tailed, len(entries))
			for i, e := range entries {
				data, text := string(e.Data), ""
				if json.Unmarshal(e.Data, &text) == nil {
					data = text
				}
				list[i] = newTailed(e.ID, cmp.Or(e.Type, "message"), data)
			}
			return list
		}
	}
	return []tailed{newTailed(event.ID, event.Type, event.Data)}
}

// nchanID is an event id that Nchan gives: another one on each host.
var nchanID = regexp.MustCompile(`^\d+:[\d,\-\[\]]+$`)

// newTailed gives a message the id in its content, if there is one, else that of its event, if that is the publisher's.
func newTailed(id, kind, data string) tailed {
	m := tailed{kind: kind, data: data}
	if strings.HasPrefix(data, "{") {
		m.object, _ = tree.Parse([]byte(data)) // what is no JSON is a text
	}
	if m.object != nil && m.object.Kind() == tree.Object {
		if own := m.object.Get(tree.Path{"id"}); own != nil {
			m.id, _ = own.Text()
		}
	}
	if m.id == "" && !nchanID.MatchString(id) {
		m.id = id
	}
	return m
}

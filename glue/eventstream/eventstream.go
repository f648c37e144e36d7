// Package eventstream reads the event streams of push hosts as a browser's EventSource does.
package eventstream

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// Event is what a browser's EventSource hands to a page.
type Event struct {
	ID   string // the last id seen on the stream, of this event or of an earlier one
	Type string // "message" where the stream names none
	Data string
}

// Reader reads an event stream as the HTML standard says (section 9.2.6, "Interpreting an
// event stream"). It is not safe for concurrent use.
type Reader struct {
	in     *bufio.Reader
	begun  bool // a byte order mark can no longer come
	sawCR  bool // the last line ended in CR: a LF that follows belongs to it
	lastID string
}

// NewReader returns a reader of the stream in.
func NewReader(in io.Reader) *Reader {
	return &Reader{in: bufio.NewReader(in)}
}

// Next waits for an event. An event that the stream's end cuts short is none: the error is io.EOF.
func (r *Reader) Next() (Event, error) {
	var (
		event  Event
		data   bytes.Buffer
		hasAny bool
	)
	for {
		line, err := r.line()
		if err != nil {
			return Event{}, err
		}
		if len(line) == 0 {
			if hasAny {
				event.ID = r.lastID
				event.Data = strings.TrimSuffix(data.String(), "\n")
				return event.withDefaultType(), nil
			}
			event.Type = ""
			continue
		}

		field, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimPrefix(value, []byte(" "))
		switch string(field) { // a comment's field is empty
		case "data":
			data.Write(value)
			data.WriteByte('\n')
			hasAny = true
		case "event":
			event.Type = string(value)
		case "id":
			if !bytes.ContainsRune(value, 0) {
				r.lastID = string(value)
			}
		}
	}
}

func (e Event) withDefaultType() Event {
	if e.Type == "" {
		e.Type = "message"
	}
	return e
}

// line returns the next line without its end, which is CR LF, LF or CR. It does not wait for
// the byte after a CR, which may be long in coming.
func (r *Reader) line() ([]byte, error) {
	if err := r.skipMark(); err != nil {
		return nil, err
	}
	var line []byte
	for {
		c, err := r.in.ReadByte()
		if err != nil {
			return nil, err
		}
		afterCR := r.sawCR
		r.sawCR = c == '\r'
		switch {
		case c == '\n' && afterCR && len(line) == 0:
		case c == '\n', c == '\r':
			return line, nil
		default:
			line = append(line, c)
		}
	}
}

// skipMark skips the one byte order mark that a stream may begin with.
func (r *Reader) skipMark() error {
	if r.begun {
		return nil
	}
	first, _, err := r.in.ReadRune()
	if err != nil {
		return err
	}
	r.begun = true
	if first != '\uFEFF' {
		return r.in.UnreadRune()
	}
	return nil
}

// Subscription is an open stream of a push host.
type Subscription struct {
	*Reader
	body io.Closer
}

// Close ends the stream.
func (s *Subscription) Close() error { return s.body.Close() }

// Subscribe opens the event stream at url and returns once the push host has greeted: from
// then on, what is published reaches the stream. lastEventID may be empty. The stream ends
// with ctx at the latest.
func Subscribe(ctx context.Context, url, lastEventID string) (*Subscription, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, fmt.Errorf("subscribe: %w", err)
	}
	req.Header.Set("Accept", "text/event-stream") // Nchan refuses others
	if lastEventID != "" {
		req.Header.Set("Last-Event-ID", lastEventID)
	}
	resp, err := streamClient.Do(req)
	if err != nil {
		return nil, fmt.Errorf("subscribe: %w", err)
	}
	s := &Subscription{Reader: NewReader(resp.Body), body: resp.Body}
	if err := s.greet(resp); err != nil {
		resp.Body.Close()
		return nil, fmt.Errorf("subscribe to %s: %w", url, err)
	}
	return s, nil
}

// greet checks the response's head and reads the comment that both modules begin a stream with.
func (s *Subscription) greet(resp *http.Response) error {
	if resp.StatusCode != http.StatusOK {
		return &StatusError{resp.StatusCode}
	}
	if t := resp.Header.Get("Content-Type"); !strings.HasPrefix(t, "text/event-stream") {
		return fmt.Errorf("content type is %q", t)
	}
	line, err := s.line()
	if err != nil {
		return err
	}
	if !bytes.HasPrefix(line, []byte(":")) {
		return errors.New("the stream does not begin with a comment")
	}
	return nil
}

// StatusError is a push host's answer other than 200 OK to a subscriber.
type StatusError struct{ Code int }

func (e *StatusError) Error() string {
	return fmt.Sprintf("status %d %s", e.Code, http.StatusText(e.Code))
}

// streamClient gives every stream a connection of its own, which leaves no idle one behind.
var streamClient = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

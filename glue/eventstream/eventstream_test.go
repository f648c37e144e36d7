package eventstream_test

import (
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"pushglue/glue/eventstream"
)

func readEvents(t *testing.T, in io.Reader) []eventstream.Event {
	t.Helper()
	var events []eventstream.Event
	for r := eventstream.NewReader(in); ; {
		event, err := r.Next()
		if errors.Is(err, io.EOF) {
			return events
		}
		if err != nil {
			t.Fatal(err)
		}
		events = append(events, event)
	}
}

func TestReader(t *testing.T) {
	type events = []eventstream.Event
	tests := []struct {
		name, in string
		want     events
	}{
		{"one", "data: a\n\n", events{{"", "message", "a"}}},
		{"all fields", "id: 7\nevent: e\ndata: a\n\n", events{{"7", "e", "a"}}},
		{"no space after the colon", "id:7\nevent:e\ndata:a\n\n", events{{"7", "e", "a"}}},
		{"only one space is dropped", "data:  a \n\n", events{{"", "message", " a "}}},
		{"several data lines", "data: a\ndata\ndata: b\n\n", events{{"", "message", "a\n\nb"}}},
		{"empty data", "data\n\n", events{{"", "message", ""}}},
		{"no data is no event", "event: e\nid: 1\n\ndata: a\n\n", events{{"1", "message", "a"}}},
		{"id stays", "id: 1\ndata: a\n\ndata: b\n\n", events{{"1", "message", "a"}, {"1", "message", "b"}}},
		{"empty id resets", "id: 1\ndata: a\n\nid\ndata: b\n\n", events{{"1", "message", "a"}, {"", "message", "b"}}},
		{"id with NUL is ignored", "id: 1\nid: 2\x00\ndata: a\n\n", events{{"1", "message", "a"}}},
		{"type does not stay", "event: e\ndata: a\n\ndata: b\n\n", events{{"", "e", "a"}, {"", "message", "b"}}},
		{"comments", ": \n: hi\n\n:\ndata: a\n:x\ndata: b\n\n", events{{"", "message", "a\nb"}}},
		{"unknown fields", "retry: 10\ndatum: x\ndata: a\nx\n\n", events{{"", "message", "a"}}},
		{"CR LF", "data: a\r\ndata: b\r\n\r\n", events{{"", "message", "a\nb"}}},
		{"CR", "data: a\rdata: b\r\r", events{{"", "message", "a\nb"}}},
		{"mixed ends", "data: a\r\rdata: b\n\r\ndata: c\r\n\n", events{{"", "message", "a"}, {"", "message", "b"}, {"", "message", "c"}}},
		{"byte order mark", "\uFEFFdata: a\n\n", events{{"", "message", "a"}}},
		{"only one mark", "\uFEFF\uFEFFdata: a\n\ndata: b\n\n", events{{"", "message", "b"}}},
		{"cut short", "data: a\n\ndata: b\n", events{{"", "message", "a"}}},
		{"colon in data", "data: a:b\n\n", events{{"", "message", "a:b"}}},
		{"U+2028 is no line end", "data: a\u2028b\n\n", events{{"", "message", "a\u2028b"}}},
		{"nothing", "", nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := readEvents(t, strings.NewReader(test.in)); !slices.Equal(got, test.want) {
				t.Errorf("got  %q\nwant %q", got, test.want)
			}
			if got := readEvents(t, iotest.OneByteReader(strings.NewReader(test.in))); !slices.Equal(got, test.want) {
				t.Errorf("byte by byte: got  %q\nwant %q", got, test.want)
			}
		})
	}
}

// After a CR the event is complete, whatever comes next.
func TestReaderDoesNotWaitForLF(t *testing.T) {
	in, out := io.Pipe()
	defer in.Close()
	go func() { _, _ = io.WriteString(out, "data: a\r\r") }() // an error leaves the reader without its event
	event, err := eventstream.NewReader(in).Next()
	if err != nil || event.Data != "a" {
		t.Errorf("got %q, %v", event, err)
	}
}

func FuzzReader(f *testing.F) {
	f.Add("id: 1\nevent: e\ndata: a\r\n\r\n")
	f.Add("\uFEFF:\r\rdata\n\n")
	f.Fuzz(func(t *testing.T, in string) {
		whole := readEvents(t, strings.NewReader(in))
		bytewise := readEvents(t, iotest.OneByteReader(strings.NewReader(in)))
		if !slices.Equal(whole, bytewise) {
			t.Errorf("%q: %q at once, %q byte by byte", in, whole, bytewise)
		}
		for _, event := range whole {
			if strings.ContainsAny(event.ID+event.Type, "\r\n") {
				t.Errorf("%q: line end in %q", in, event)
			}
		}
	})
}

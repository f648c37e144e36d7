package bench

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
)

// feedAll feeds pieces to a stream and returns the data of its events, up to an error.
func feedAll(s *stream, pieces ...[]byte) (events []string, err error) {
	for _, piece := range pieces {
		if err = s.feed(piece, func(data []byte) { events = append(events, string(data)) }); err != nil {
			break
		}
	}
	return events, err
}

// ids returns the ids of all messages in the data of events.
func ids(events []string) []string {
	var all []string
	for _, event := range events {
		for data := []byte(event); data != nil; {
			var id []byte
			id, data = nextID(data)
			all = append(all, string(id))
		}
	}
	return all
}

// TestStreamOfBothModules cuts what nginx has sent, two messages, three that are coalesced, and a ping, at every byte.
func TestStreamOfBothModules(t *testing.T) {
	var want []string
	for n := range 5 {
		want = append(want, fmt.Sprintf("1763990000123456.%d", n))
	}
	for _, module := range []string{"nchan", "push-stream"} {
		t.Run(module, func(t *testing.T) {
			text, err := os.ReadFile("testdata/streams/" + module)
			if err != nil {
				t.Fatal(err)
			}
			check := func(pieces ...[]byte) {
				t.Helper()
				var s stream
				events, err := feedAll(&s, pieces...)
				if got := ids(events); err != nil || !s.greeted || len(events) != 3 || !slices.Equal(got, want) {
					t.Fatalf("%d pieces, the first of %d bytes: %d events with %q, %v", len(pieces), len(pieces[0]), len(events), got, err)
				}
			}
			for i := range len(text) {
				check(text[:i], text[i:])
			}
			check(slices.Collect(slices.Chunk(text, 1))...)
			check(slices.Collect(slices.Chunk(text, 7))...)
		})
	}
}

const (
	head        = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n\r\n"
	chunkedHead = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: Chunked\r\n\r\n"
)

func TestStream(t *testing.T) {
	for name, test := range map[string]struct {
		text   string
		events []string
		err    string
	}{
		"nothing":               {"", nil, ""},
		"no greeting yet":       {head, nil, ""},
		"a ping":                {head + ": hi\n\n: ping\n\n", nil, ""},
		"no blank before data":  {head + ":\ndata: a\ndata:b\n", []string{"a"}, ""},
		"a part of a line":      {head + ":\ndata: a\ndata: b", []string{"a"}, ""},
		"chunks":                {chunkedHead + "2\r\n:\n\r\n9\r\ndata: ab\n\r\n", []string{"ab"}, ""},
		"a line in two chunks":  {chunkedHead + "2\r\n:\n\r\n6\r\ndata: \r\n3\r\nab\n\r\n", []string{"ab"}, ""},
		"a chunk's extension":   {chunkedHead + "2;a=\"0\"\r\n:\n\r\n00A \r\ndata: abc\n\r\n", []string{"abc"}, ""},
		"no space after data":   {head + ":\ndatabase: a\n", nil, ""},
		"the last chunk":        {chunkedHead + "2\r\n:\n\r\n0\r\n\r\n", nil, "EOF"},
		"a chunk without size":  {chunkedHead + "2\r\n:\n\r\nx\r\n", nil, "a chunk has no size"},
		"a chunk that is huge":  {chunkedHead + "fffffffffffffffff\r\n", nil, "a chunk has no size"},
		"a chunk that goes on":  {chunkedHead + "2\r\n:\n:\n", nil, "a chunk is longer than it says"},
		"no comment":            {head + "data: a\n", nil, "the stream does not begin with a comment"},
		"refused":               {"HTTP/1.1 403 Forbidden\r\nContent-Type: text/html\r\n\r\n<html>", nil, "status 403"},
		"another type":          {"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n:\n", nil, `content type "text/html"`},
		"another protocol":      {"SSH-2.0-OpenSSH_9.2\r\n\r\n", nil, "the response is no HTTP/1"},
		"a head without an end": {"HTTP/1.1 200 OK\r\n" + strings.Repeat("a", maxHead), nil, "the response's head is longer than 16384 bytes"},
		"a line without an end": {head + ":" + strings.Repeat("a", maxLine), nil, "a line is longer than 16777216 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			got := ""
			events, err := feedAll(new(stream), []byte(test.text))
			if err != nil {
				got = err.Error()
			}
			if !slices.Equal(events, test.events) || got != test.err {
				t.Errorf("%q, error %q; want %q, %q", events, got, test.events, test.err)
			}
		})
	}
}

func TestNextID(t *testing.T) {
	for data, want := range map[string][]string{
		`{"id":"1.2"}`:             {"1.2"},
		`{"id":"1.2","data":[{}]}`: {"1.2"},
		`[{"id":"1.2","type":"post_save","data":{"id":"1.2","author":{"id":"ab"},"post":1}}]`:             {"1.2"},
		`[{"id":"1.2","type":"t","data":{"id":"1.2"}},{"id":"1.3","type":"t","data":{"id":"1.3","a":1}}]`: {"1.2", "1.3"},
		`[{"id":"1.2","data":{"id":"1.2","message":"},{\"id\":\"5.5\"},"}},{"id":"1.3","data":{}}]`:       {"1.2", "1.3"},
		``:                     {""},
		`[]`:                   {""},
		`{"x":"y","id":"1.2"}`: {""},
		`hello`:                {""},
		`{"id":17}`:            {""},
		`{"id":"1.2`:           {"1.2"},
	} {
		if got := ids([]string{data}); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", data, got, want)
		}
	}
}

// TestStreamAllocatesNothing holds a reader to what a machine can bear that delivers a million messages a second.
func TestStreamAllocatesNothing(t *testing.T) {
	var s stream
	n := 0
	got := func(data []byte) {
		for data != nil {
			var id []byte
			id, data = nextID(data)
			if _, _, ok := parseID(id); ok {
				n++
			}
		}
	}
	if err := s.feed([]byte(head+":\n"), got); err != nil {
		t.Fatal(err)
	}
	event := []byte("id: 1.1\nevent: post_save\ndata: {\"id\":\"1763990000123456.1\"}\n\ndata: [{\"id\":\"1.2\"},{\"id\":\"1.3\"}]\n\n")
	if allocs := testing.AllocsPerRun(100, func() {
		if err := s.feed(event, got); err != nil {
			t.Fatal(err)
		}
	}); allocs != 0 || n != 3*101 {
		t.Errorf("%v allocations for each event, %d messages", allocs, n)
	}
}

// FuzzStream holds that a stream says the same however it is cut.
func FuzzStream(f *testing.F) {
	for _, module := range []string{"nchan", "push-stream"} {
		text, err := os.ReadFile("testdata/streams/" + module)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text, uint8(3))
	}
	f.Add([]byte(chunkedHead+"2;a\r\n:\n\r\n8\r\ndata: a\n\r\n0\r\n\r\n"), uint8(1))
	f.Fuzz(func(t *testing.T, text []byte, size uint8) {
		var whole, cut stream
		want, wantErr := feedAll(&whole, text)
		got, err := feedAll(&cut, slices.Collect(slices.Chunk(text, int(size)+1))...)
		for _, event := range slices.Concat(got, want) {
			ids([]string{event})
		}
		if !slices.Equal(got, want) || fmt.Sprint(err) != fmt.Sprint(wantErr) {
			t.Errorf("%q, %v; in one piece %q, %v", got, err, want, wantErr)
		}
	})
}

// FuzzNextID holds that the messages of a list are found and nothing else, whatever their text is.
func FuzzNextID(f *testing.F) {
	f.Add("hello", uint8(2))
	f.Add(`},{"id":"1.2"},`, uint8(3))
	f.Add("a\\\"},{\"id\":\"\u2028", uint8(1))
	f.Fuzz(func(t *testing.T, text string, n uint8) {
		var list []string
		var want []string
		for i := range int(n) + 1 {
			id := fmt.Sprintf("1763990000123456.%d", i)
			body, err := json.Marshal(struct {
				ID      string `json:"id"`
				Author  any    `json:"author"`
				Message string `json:"message"`
			}{id, map[string]string{"id": text}, text})
			if err != nil {
				t.Fatal(err)
			}
			list = append(list, fmt.Sprintf(`{"id":%q,"type":"post_save","data":%s}`, id, body))
			want = append(want, id)
		}
		if got := ids([]string{"[" + strings.Join(list, ",") + "]"}); !slices.Equal(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
	})
}

// BenchmarkStream reads as many messages as a burst brings to one reader.
func BenchmarkStream(b *testing.B) {
	text, err := os.ReadFile("testdata/streams/push-stream")
	if err != nil {
		b.Fatal(err)
	}
	_, events, _ := bytes.Cut(text, []byte("3\r\n: \n\r\n"))
	var s stream
	_, err = feedAll(&s, text[:len(text)-len(events)])
	if err != nil {
		b.Fatal(err)
	}
	deliveries := 0
	for b.Loop() {
		err := s.feed(events, func(data []byte) {
			for data != nil {
				_, data = nextID(data)
				deliveries++
			}
		})
		if err != nil && !errors.Is(err, io.EOF) {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(deliveries), "ns/delivery")
}

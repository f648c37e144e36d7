package conform

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"pushglue/glue"
	"pushglue/glue/eventstream"
)

// oddNames are channel names that an escaping mistake on either side would confuse. All of them
// are legal.
var oddNames = []string{
	"forum:disqus", "thread:42", "user:jane.doe@example.com", "post:1,2;3=4",
	"two words", " leading", "trailing ", "a  b",
	"grüße", "日本語", "👩‍👩‍👧", "e\u0301", "\u00e9", "\u200f\u05d0",
	"100%", "100%25", "%41", "%2F", "%", "%zz", "%00",
	"a+b", "a%2Bb", "a&b", "a=b", "a#b", "a;b", "a,b", "&id=x", "a|b", "a^b", "a~b",
	`say "hi"`, "it's", `back\slash`, "<b>", "{x}", "[x]", "(x)", "`x`", "$arg_id", "${x}", "!x", "@x",
	"x.", "x.b", "x.b1x", ".b", "b3", "...", ".hidden", "a..b", "x.B3",
	"all", "ALLES", "All",
	"-", "_", "~", ":", "0",
	strings.Repeat("x", glue.MaxChannelLen), strings.Repeat("é", glue.MaxChannelLen/2),
}

// What is published to a name reaches the readers of that name, however they escape it.
func (h *pushHost) testNames(t *testing.T) {
	for _, name := range oddNames {
		t.Run(name, func(t *testing.T) {
			if err := glue.CheckChannel(name); err != nil {
				t.Fatalf("not a legal name: %v", err)
			}
			streams := []*eventstream.Subscription{
				h.open(t, escape(name), ""),
				h.open(t, url.PathEscape(name), ""),
				h.open(t, encodeURIComponent(name), ""),
				h.open(t, escape(name)+"/"+h.channel(), ""),
			}
			h.publish(t, message{body: name}, name)
			for _, s := range streams {
				next(t, s, name)
			}
		})
	}
}

// encodeURIComponent is JavaScript's.
func encodeURIComponent(name string) string {
	text := strings.ReplaceAll(url.QueryEscape(name), "+", "%20")
	return strings.NewReplacer("%21", "!", "%27", "'", "%28", "(", "%29", ")", "%2A", "*").Replace(text)
}

// An escaped slash splits a list as a plain one does: the reason why names are checked and not
// only escaped.
func (h *pushHost) testSlash(t *testing.T) {
	a, b := h.channel(), h.channel()
	first, second := h.subscribe(t, "", a), h.subscribe(t, "", b)
	both := h.open(t, a+"%2F"+b, "")
	if status := h.post(t, a+"%2F"+b, message{body: "split"}); !h.accepted(status) {
		t.Fatalf("status %d", status)
	}
	next(t, first, "split")
	next(t, second, "split")
	next(t, both, "split")
	next(t, both, "split")
}

func (h *pushHost) testRefusedToPublish(t *testing.T) {
	long := strings.Repeat("x", glue.MaxChannelLen+1)
	tests := []struct {
		name, channels, body string
		push, nchan          int // status; 0: accepted
	}{
		{"no id", "", "x", 400, 400},
		{"empty body", "a", "", 400, 0},
		{"body too large", "a", strings.Repeat("x", 64<<10+1), 413, 413},
		{"name too long", long, "x", 400, 400},
		{"one name too long", "a/" + long, "x", 400, 400},
		{"wildcard", "ALL", "x", 403, 403},
		{"wildcard in a list", "a/ALL/b", "x", 403, 403},
		{"asterisk", "a*", "x", 403, 403},
		{"escaped asterisk", "%2A", "x", 403, 403},
		{"question mark", "a%3Fb/c", "x", 400, 400},
		{"backtrack", "x.b3", "x", 0, 400}, // push-stream publishes to x
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			want := test.push
			if h.nchan {
				want = test.nchan
			}
			status := h.post(t, test.channels, message{body: test.body})
			if want == 0 && !h.accepted(status) || want != 0 && status != want {
				t.Errorf("status %d, want %d", status, want)
			}
		})
	}
	t.Run("other methods", func(t *testing.T) {
		for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodDelete} {
			req, err := http.NewRequestWithContext(t.Context(), method, h.internal+"/publish?id=a", nil)
			if err != nil {
				t.Fatal(err)
			}
			if status := h.status(t, req); status != http.StatusForbidden {
				t.Errorf("%s: status %d, want 403", method, status)
			}
		}
	})
}

// A publisher's backtrack is cut off: the message goes to a channel that nobody named.
func (h *pushHost) testPublishBacktrack(t *testing.T) {
	channel := h.channel()
	s := h.subscribe(t, "", channel)
	if status := h.post(t, channel+".b3", message{body: "x"}); !h.accepted(status) {
		t.Fatalf("status %d", status)
	}
	next(t, s, "x")
}

func (h *pushHost) testRefusedToSubscribe(t *testing.T) {
	tests := []struct {
		channels string
		want     int
	}{
		{"", 400},
		{"ALL", 403},
		{"a/ALL", 403},
		{"a%2A", 403},
		{"a%3Fb", 400},
		{"a%3fb/c", 400},
		{strings.Repeat("x", glue.MaxChannelLen+1), 400},
	}
	if h.nchan {
		tests = append(tests, struct {
			channels string
			want     int
		}{"a.b3", 400})
	}
	for _, test := range tests {
		t.Run(test.channels, func(t *testing.T) {
			_, err := eventstream.Subscribe(t.Context(), h.public+"/subscribe/"+test.channels, "")
			requireStatus(t, err, test.want)
		})
	}
}

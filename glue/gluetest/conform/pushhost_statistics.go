package conform

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"pushglue/glue"
)

// statistics is what a push-stream host tells about one channel, or about a list.
type statistics struct {
	channelStatistics
	Infos []channelStatistics
}

type channelStatistics struct {
	Channel   string
	Published int `json:"published_messages"`
	Stored    int `json:"stored_messages"`
	Readers   int `json:"subscribers"`
}

// statistics asks for a list of channels that is in its URL's form already.
func (h *pushHost) statistics(t *testing.T, channels string) (int, statistics) {
	t.Helper()
	status, text := h.get(t, h.internal+"/channels-stats?id="+channels)
	var s statistics
	if status == http.StatusOK {
		if err := json.Unmarshal([]byte(text), &s); err != nil {
			t.Fatalf("statistics of %s: %v in %s", channels, err, text)
		}
	}
	return status, s
}

// A list's channels come in its order and as often as they stand there; those that nobody has named
// before are left out, and asking does not make them.
func (h *pushHost) testStatisticsOfChannels(t *testing.T) {
	a, b, none := h.channel(), "grüße:"+h.channel(), h.channel()
	h.publish(t, message{body: "x"}, a, b)
	for channels, want := range map[string][]string{
		list([]string{none, b, a}, escape):                {b, a},
		list([]string{a, b, a}, escape):                   {a, b, a},
		list([]string{a + ".b3", b}, escape):              {a, b},
		escape(a) + "%2F" + escape(b):                     {a, b},
		strings.Repeat(escape(none)+"/", 500) + escape(b): {b},
	} {
		status, got := h.statistics(t, channels)
		if got.Infos == nil {
			got.Infos = []channelStatistics{got.channelStatistics} // of one there is no list
		}
		var names []string
		for _, info := range got.Infos {
			names = append(names, info.Channel)
		}
		if status != http.StatusOK || !slices.Equal(names, want) {
			t.Errorf("%.100s: status %d, channels %q, want %q", channels, status, names, want)
		}
	}
	for channels, want := range map[string]int{
		none:              http.StatusNotFound,
		none + "/" + none: http.StatusNotFound,
		a + "/" + strings.Repeat("x", glue.MaxChannelLen+1): http.StatusBadRequest,
	} {
		if status, _ := h.statistics(t, channels); status != want {
			t.Errorf("%s: status %d, want %d", channels, status, want)
		}
	}
}

// A reader counts from its greeting on, in all its channels, however it listens, until it has left.
func (h *pushHost) testStatisticsCountReaders(t *testing.T) {
	a, b := h.channel(), h.channel()
	first := h.subscribe(t, "", a, b)
	h.wantReaders(t, b+"/"+a, 1, 1)
	second := h.subscribe(t, "", a)
	h.wantReaders(t, a+"/"+b, 2, 1)
	first.Close()
	second.Close()
	h.wantReaders(t, a+"/"+b, 0, 0)

	polled := make(chan int)
	go func() {
		status, _ := h.get(t, h.public+"/poll/"+a)
		polled <- status
	}()
	h.wantReaders(t, a, 1)
	h.publish(t, message{body: "x"}, a)
	if status := <-polled; status != http.StatusOK {
		t.Errorf("the poll ends with status %d", status)
	}
	h.wantReaders(t, a, 0)
}

// wantReaders waits until the channels of a list have so many readers: a host notices only by and by
// who comes and leaves.
func (h *pushHost) wantReaders(t *testing.T, channels string, want ...int) {
	t.Helper()
	var last string
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		status, got := h.statistics(t, channels)
		if got.Infos == nil {
			got.Infos = []channelStatistics{got.channelStatistics}
		}
		var readers []int
		for _, info := range got.Infos {
			readers = append(readers, info.Readers)
		}
		if status == http.StatusOK && slices.Equal(readers, want) {
			return
		}
		last = fmt.Sprintf("status %d, %v readers", status, readers)
	}
	t.Errorf("%s: %s, want %v", channels, last, want)
}

// A reader that comes back gets nothing of what it missed, whatever it asks for.
func (h *pushHost) testUnstored(t *testing.T) {
	channel := h.channel()
	first := h.subscribe(t, "", channel)
	h.publish(t, message{id: "1", body: "before"}, channel)
	next(t, first, "before")
	first.Close()
	h.publish(t, message{id: "2", body: "missed"}, channel)
	if _, got := h.statistics(t, channel); got.Published != 2 || got.Stored != 0 {
		t.Errorf("%d messages published, %d stored", got.Published, got.Stored)
	}
	back, backtrack := h.subscribe(t, "1", channel), h.subscribe(t, "", channel+".b5")
	h.publish(t, message{id: "3", body: "after"}, channel)
	next(t, back, "after")
	next(t, backtrack, "after")
}

package demo

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pushglue/glue"
	"pushglue/glue/thoonk"
	"pushglue/glue/tree"
)

func TestTheJournalFindsWhatIsWrong(t *testing.T) {
	for name, test := range map[string]struct {
		put, received string
		want          string
	}{
		"all":           {"a b c", "a b c", ""},
		"some to come":  {"a b c", "a", ""},
		"out of order":  {"a b c", "a c", `the reader received "c" before "b": a message is late or lost`},
		"twice":         {"a b c", "a a", `the reader received "a" a second time, or nobody put it`},
		"nobody's":      {"a", "x", `the reader received "x" a second time, or nobody put it`},
		"one too many":  {"a", "a a", `the reader received "a", and nothing was on its way`},
		"from the past": {"", "a", `the reader received "a", and nothing was on its way`},
	} {
		j := &journal{feed: new(fakeFeed)}
		for _, id := range strings.Fields(test.put) {
			if err := j.put(t.Context(), comment{id: id}); err != nil {
				t.Fatal(err)
			}
		}
		var err error
		for _, id := range strings.Fields(test.received) {
			if err = j.receive(id); err != nil {
				break
			}
		}
		if got := errorText(err); got != test.want {
			t.Errorf("%s: got %q, want %q", name, got, test.want)
		}
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// TestPlay lets time pass over a demo whose reader is the test.
func TestPlay(t *testing.T) {
	lost := errors.New("the stream ended")
	for name, test := range map[string]struct {
		receive func(j *journal, id string) error // is called for each message that is put
		abort   time.Duration                     // when, if at all
		put     int
		want    string
	}{
		"good":                   {receive: (*journal).receive, put: 20},
		"lost":                   {receive: func(*journal, string) error { return nil }, put: 20, want: "20 messages did not reach the reader in 5s"},
		"broken":                 {receive: func(*journal, string) error { return lost }, put: 1, want: "the stream ended"},
		"aborted":                {receive: func(*journal, string) error { return nil }, abort: 2100 * time.Millisecond, put: 4, want: "aborted"},
		"aborted while it waits": {receive: func(*journal, string) error { return nil }, abort: 12 * time.Second, put: 20, want: "aborted"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				abort := make(chan struct{})
				if test.abort > 0 {
					time.AfterFunc(test.abort, func() { close(abort) })
				}
				received := make(chan error, 100)
				d := &demo{Config: Config{For: 10*time.Second + 1, Rate: 2, Abort: abort, Out: new(strings.Builder)}}
				d.journal = &journal{}
				d.journal.feed = receiver(func(id string) { // the message comes back when the lock is free again
					time.AfterFunc(1, func() { received <- test.receive(d.journal, id) })
				})
				d.ledger = new(glue.Ledger)
				if got := errorText(d.play(t.Context(), received)); got != test.want {
					t.Errorf("got %q, want %q", got, test.want)
				}
				if got := d.journal.state().Put; got != test.put {
					t.Errorf("%d were put, want %d", got, test.put)
				}
			})
		})
	}
}

// receiver is called when something is put, with the id of its message.
type receiver func(id string)

func (r receiver) Put(_ context.Context, payloads [][]byte, _ thoonk.PutOptions) ([]string, error) {
	envelope, err := tree.Parse(payloads[0])
	if err != nil {
		return nil, err
	}
	id, _ := envelope.Get(idPath).Text()
	r(id)
	return make([]string, len(payloads)), nil
}

func TestReport(t *testing.T) {
	var out strings.Builder
	d := &demo{Config: Config{Out: &out}, journal: &journal{tally: tally{Put: 7, Received: 7}}}
	sums := glue.Sums{Feeds: []glue.FeedSums{{Name: "comments", Claimed: 7, Finished: 7}}}
	if err := d.report(sums); err != nil || !strings.HasSuffix(out.String(), "\n7 jobs put, 7 messages received, and the ledger balances.\n") {
		t.Errorf("%v: %s", err, &out)
	}
	sums.Feeds[0].Finished = 6
	out.Reset()
	if err := d.report(sums); errorText(err) != "feed comments: 7 in, 6 accounted for" || strings.Contains(out.String(), "balances") {
		t.Errorf("%v: %s", err, &out)
	}
}

// TestTheScript reads three rounds: nothing in them may be taken for something else, and everything
// must be what a pipeline takes.
func TestTheScript(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	perRound := 0
	for range firstRound() {
		perRound++
	}
	seen := map[string]bool{}
	posts := map[string]int{} // round of each post
	n := 0
	for c := range script(func() time.Time { return now }) {
		if n == 3*perRound {
			break
		}
		round := n/perRound + 1
		n++
		envelope, err := tree.Parse(c.payload)
		if err != nil {
			t.Fatal(err)
		}
		id, _ := envelope.Get(idPath).Text()
		if id != c.id || seen[id] || glue.CheckToken(id) != nil {
			t.Errorf("round %d: id %q, envelope %s", round, c.id, c.payload)
		}
		seen[id] = true
		if suffix := fmt.Sprintf("~%d", round); (round > 1) != strings.HasSuffix(id, suffix) {
			t.Errorf("round %d: id %q", round, id)
		}
		post, _ := envelope.Get(tree.Path{"post"}).Text()
		if r, ok := posts[post]; ok && r != round {
			t.Errorf("post %s is in rounds %d and %d", post, r, round)
		}
		posts[post] = round
		if created := envelope.Get(createdPath); created != nil {
			if text, _ := created.Text(); text != "2026-11-23T12:00:00Z" {
				t.Errorf("created %s", text)
			}
		}
		if parent := envelope.Get(tree.Path{"parent"}); parent != nil && parent.Kind() == tree.Number {
			if text, _ := parent.Text(); posts[text] != round {
				t.Errorf("round %d: parent %s of %s is not of this round", round, text, id)
			}
		}
	}
}

func TestShiftLeavesAloneWhatIsNoNumber(t *testing.T) {
	for before, want := range map[string]string{
		`{"post":7}`: `{"post":1007}`, `{"post":null}`: `{"post":null}`, `{"post":"7"}`: `{"post":"7"}`,
		`{"post":7.5}`: `{"post":7.5}`, `{}`: `{}`,
	} {
		envelope, err := tree.Parse([]byte(before))
		if err != nil {
			t.Fatal(err)
		}
		shift(envelope, "post", 1000)
		if got := string(envelope.Append(nil)); got != want {
			t.Errorf("%s becomes %s, want %s", before, got, want)
		}
	}
}

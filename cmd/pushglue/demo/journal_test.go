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
		"out of order":  {"a b c", "a c b", `the reader received "b" after "c", which was put later`},
		"overtaken":     {"a b c", "a c", ""}, // it may have stalled
		"twice":         {"a b c", "a a b c", ""},
		"nobody's":      {"a", "x a", ""},
		"from the past": {"", "a", ""},
	} {
		j := &journal{feed: new(fakeFeed)}
		for _, id := range strings.Fields(test.put) {
			if err := j.put(t.Context(), id, nil); err != nil {
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

// TestTheJournalCounts gives the journal what is no error.
func TestTheJournalCounts(t *testing.T) {
	j := &journal{feed: jobs{}}
	for _, id := range []string{"a", "b", "c", "d"} {
		if err := j.put(t.Context(), id, []byte(id)); err != nil {
			t.Fatal(err)
		}
	}
	for _, id := range []string{"b", "b", "x", ""} {
		if err := j.receive(id); err != nil {
			t.Error(err)
		}
	}
	j.stall("job a") // after b has overtaken it
	j.stall("job b") // b was received nevertheless
	j.stall("job d")
	if got, want := j.state(), (tally{Put: 4, Received: 1, Stalled: 2, OnTheWay: 1, Again: 1, Foreign: 2}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	for i := range remembered {
		j.received.add(fmt.Sprint(i))
	}
	if j.received.has("b") || len(j.received.ids) != remembered || len(j.received.list) != remembered {
		t.Errorf("%d ids are kept", len(j.received.ids))
	}
}

// jobs is a feed whose jobs are called after their payload.
type jobs struct{}

func (jobs) Put(_ context.Context, payloads [][]byte, _ thoonk.PutOptions) ([]string, error) {
	return []string{"job " + string(payloads[0])}, nil
}

// TestTheJournalMissesWhatIsLost lets seconds pass.
func TestTheJournalMissesWhatIsLost(t *testing.T) {
	for name, test := range map[string]struct {
		put, received string // a letter for each second
		want          string
	}{
		"good":        {"abcdefgh", "abcdefgh", ""},
		"idle":        {"a       b", "a       b", ""},
		"slow":        {"ab", " a b", ""},
		"silence":     {"abcd", "a   ", "3 messages are on their way, and nothing reached the reader for 3 s"},
		"one is lost": {"abcdef", "a cdef", `the reader received "c", and "b", which was put before it, did not come within 3 s`},
	} {
		j := &journal{feed: jobs{}}
		var err error
		for second := range 10 {
			if second < len(test.put) && test.put[second] != ' ' {
				if err := j.put(t.Context(), test.put[second:second+1], []byte("x")); err != nil {
					t.Fatal(err)
				}
			}
			if second < len(test.received) && test.received[second] != ' ' {
				if err := j.receive(test.received[second : second+1]); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
			if err = j.tick(3); err != nil {
				break
			}
		}
		if errorText(err) != test.want {
			t.Errorf("%s: got %v, want %s", name, err, test.want)
		}
	}
}

func TestPlayEndsWithTheEngine(t *testing.T) {
	ended := make(chan struct{})
	close(ended)
	d := &demo{Config: Config{Rate: 0.001}, journal: &journal{feed: jobs{}}}
	if err := d.play(t.Context(), nil, ended); !errors.Is(err, errEngine) {
		t.Errorf("got %v", err)
	}
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
		"lost":                   {receive: func(*journal, string) error { return nil }, put: 20, want: "20 messages are on their way, and nothing reached the reader for 5 s"},
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
				if got := errorText(d.play(t.Context(), received, nil)); got != test.want {
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

// TestTheStatus reads what stands on the terminal while the clock of the comments is that of the status.
func TestTheStatus(t *testing.T) {
	for _, test := range []struct {
		rate float64
		lost bool
		want string // after five seconds
	}{
		{rate: 0.5, want: "2 put   2 received   0 on the way"},
		{rate: 1, want: "5 put   5 received   0 on the way"},
		{rate: 2, want: "10 put   10 received   0 on the way"},
		{rate: 3, lost: true, want: "15 put   0 received   15 on the way"},
	} {
		synctest.Test(t, func(t *testing.T) {
			var out output
			abort := make(chan struct{})
			received := make(chan error, 100)
			d := &demo{Config: Config{Rate: test.rate, Abort: abort, Out: &out, Terminal: true}, journal: &journal{}, ledger: new(glue.Ledger)}
			d.journal.feed = receiver(func(id string) {
				time.AfterFunc(10*time.Millisecond, func() {
					if !test.lost {
						received <- d.journal.receive(id)
					}
				})
			})
			time.AfterFunc(5300*time.Millisecond, func() { close(abort) })
			if err := d.play(t.Context(), received, nil); !errors.Is(err, ErrAborted) {
				t.Error(err)
			}
			lines := strings.Split(out.text.String(), "\r\x1b[K")
			if last := lines[len(lines)-1]; !strings.HasPrefix(last, test.want) {
				t.Errorf("rate %g: %q, want %q", test.rate, last, test.want)
			}
		})
	}
}

func TestReport(t *testing.T) {
	var out strings.Builder
	d := &demo{Config: Config{Out: &out}, journal: &journal{tally: tally{Put: 7, Received: 7}}}
	sums := glue.Sums{Feeds: []glue.FeedSums{{Name: "comments", Claimed: 7, Finished: 7}}}
	if err := d.report(sums, true); err != nil || !strings.HasSuffix(out.String(), "\n7 jobs put, 7 messages received, and the ledger balances.\n") {
		t.Errorf("%v: %s", err, &out)
	}
	out.Reset()
	if err := d.report(sums, false); err != nil || strings.Contains(out.String(), "balances") {
		t.Errorf("after a bad run: %v: %s", err, &out)
	}
	d.journal.tally = tally{Put: 7, Received: 6, Stalled: 1, Again: 2, Foreign: 3}
	if err := d.report(sums, true); err != nil || !strings.Contains(out.String(), "6 messages received, 1 stalled, 2 came again, 3 put by somebody else, and") {
		t.Errorf("%v: %s", err, &out)
	}
	sums.Feeds[0].Finished = 6
	out.Reset()
	if err := d.report(sums, true); errorText(err) != "feed comments: 7 in, 6 accounted for" || strings.Contains(out.String(), "balances") {
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

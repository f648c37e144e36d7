package glue_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pushglue/glue"
	"pushglue/glue/gluetest"
	"pushglue/glue/tree"
)

// address is a stage that reads "channel,channel body" from the payload. A body in braces is parsed.
var address = glue.NamedStage{Name: "address", Stage: stage(func(m *glue.Message) error {
	channels, body, _ := strings.Cut(string(m.Body()), " ")
	if channels != "" {
		m.Channels = strings.Split(channels, ",")
	}
	m.SetBody([]byte(body))
	if strings.HasPrefix(body, "{") {
		object, err := tree.Parse([]byte(body))
		if err != nil {
			return glue.Permanent(err)
		}
		m.SetObject(object)
	}
	return nil
})}

// about is the Key of bodies like "key=value".
func about(m *glue.Message) (string, bool) {
	key, _, ok := strings.Cut(string(m.Body()), "=")
	return key, ok
}

// coalescing returns a pipeline that coalesces. Without bounds they are the defaults.
func coalescing(pub glue.Publisher, c glue.Coalesce) glue.Pipeline {
	def := glue.DefaultCoalesce()
	if c.Window == 0 {
		c.Window = def.Window
	}
	if c.Count == 0 {
		c.Count = def.Count
	}
	if c.Bytes == 0 {
		c.Bytes = def.Bytes
	}
	return glue.Pipeline{Name: "p", Stages: []glue.NamedStage{address}, Publisher: pub, Coalesce: &c}
}

// entry is what a reader gets of a message that travelled with others.
type entry struct {
	ID   string          `json:"id"`
	Type string          `json:"type"`
	Data json.RawMessage `json:"data"`
}

// unpack returns the ids of the messages that m carries.
func unpack(t *testing.T, m *glue.Message) []string {
	t.Helper()
	if m.Type != glue.CoalescedType {
		return []string{m.ID}
	}
	var entries []entry
	if err := json.Unmarshal(m.Body(), &entries); err != nil {
		t.Fatalf("%s: %v", m.Body(), err)
	}
	ids := make([]string, len(entries))
	for i, e := range entries {
		ids[i] = e.ID
	}
	if len(ids) < 2 || m.ID != ids[len(ids)-1] || !m.IsJSON() {
		t.Errorf("%s carries %q", m.ID, ids)
	}
	return ids
}

// unpackAll does that for all of them, and leaves out what comes again, as readers do.
func unpackAll(t *testing.T, messages []*glue.Message) []string {
	t.Helper()
	var ids []string
	for _, m := range messages {
		for _, id := range unpack(t, m) {
			if !slices.Contains(ids, id) {
				ids = append(ids, id)
			}
		}
	}
	return ids
}

// outline tells what was published, such as "1+2@a 3@b".
func outline(t *testing.T, messages []*glue.Message) string {
	t.Helper()
	var list []string
	for _, m := range messages {
		list = append(list, strings.Join(unpack(t, m), "+")+"@"+strings.Join(m.Channels, ","))
	}
	return strings.Join(list, " ")
}

// putAll puts jobs with the ids 1, 2, 3 …
func (e *engine) putAll(payloads ...string) {
	for i, payload := range payloads {
		e.feed.Put(fmt.Sprint(i+1), []byte(payload))
	}
}

func TestGroups(t *testing.T) {
	for name, test := range map[string]struct {
		coalesce glue.Coalesce
		payloads []string
		want     string
	}{
		"one":                      {payloads: []string{"a x"}, want: "1@a"},
		"one channel":              {payloads: []string{"a x", "a y", "a z"}, want: "1+2+3@a"},
		"two channels":             {payloads: []string{"a x", "b y", "a z", "b x"}, want: "1+3@a 2+4@b"},
		"sets in any order":        {payloads: []string{"a,b x", "b,a y"}, want: "1+2@a,b"},
		"a channel that is twice":  {payloads: []string{"a,b x", "a,a y", "a x", "b,a,b x", "a,b y"}, want: "1@a,b 2+3@a,a 4+5@b,a,b"},
		"other set":                {payloads: []string{"a,b x", "a y", "a z"}, want: "1@a,b 2+3@a"},
		"a later one in between":   {payloads: []string{"a x", "a,b y", "a z", "a z"}, want: "1@a 2@a,b 3+4@a"},
		"a later one beside":       {payloads: []string{"a x", "b,c y", "a z"}, want: "1+3@a 2@b,c"},
		"only one channel crossed": {payloads: []string{"a,b x", "b,c y", "a,b z", "b,c x"}, want: "1@a,b 2@b,c 3@a,b 4@b,c"},
		"back to the first":        {payloads: []string{"a,b x", "b y", "a z", "a,b x"}, want: "1@a,b 2@b 3@a 4@a,b"},
		"no channel":               {payloads: []string{" x", " y", "a x", "a y"}, want: "1@ 2@ 3+4@a"},
		"count":                    {coalesce: glue.Coalesce{Count: 2}, payloads: []string{"a x", "a y", "b x", "a z", "b x", "b x"}, want: "1+2@a 3+5@b 4@a 6@b"},
		// [{"id":"1","data":"x"},{"id":"2","data":"y"}] has 45 bytes.
		"just fits":     {coalesce: glue.Coalesce{Bytes: 45}, payloads: []string{"a x", "a y", "a z", "a x"}, want: "1+2@a 3+4@a"},
		"just too long": {coalesce: glue.Coalesce{Bytes: 44}, payloads: []string{"a x", "a y"}, want: "1@a 2@a"},
		"alone too long": {
			coalesce: glue.Coalesce{Bytes: 60}, payloads: []string{"a x", "a " + strings.Repeat("x", 100), "a y", "a z"},
			want: "1@a 2@a 3+4@a",
		},
		"escapes count": {coalesce: glue.Coalesce{Bytes: 45}, payloads: []string{"a x", `a "`}, want: "1@a 2@a"},

		"latest":                   {coalesce: glue.Coalesce{Key: about}, payloads: []string{"a k=1", "a l=1", "a k=2", "a k=3", "a x"}, want: "2+4+5@a"},
		"latest, alone":            {coalesce: glue.Coalesce{Key: about}, payloads: []string{"a k=1", "a k=2"}, want: "2@a"},
		"latest, no key":           {coalesce: glue.Coalesce{Key: about}, payloads: []string{"a x", "a x"}, want: "1+2@a"},
		"latest, other channels":   {coalesce: glue.Coalesce{Key: about}, payloads: []string{"a k=1", "b k=2", "a,b k=3", "b,a k=4"}, want: "1@a 2@b 4@b,a"},
		"latest keeps its place":   {coalesce: glue.Coalesce{Key: about}, payloads: []string{"a k=1", "a,b x", "a k=2"}, want: "2@a,b 3@a"},
		"latest closes up":         {coalesce: glue.Coalesce{Key: about}, payloads: []string{"a x", "a,b k=1", "a y", "a,b k=2"}, want: "1+3@a 4@a,b"},
		"latest makes room":        {coalesce: glue.Coalesce{Key: about, Count: 2}, payloads: []string{"a k=1", "a k=2", "a k=3", "a x"}, want: "3+4@a"},
		"latest with an empty key": {coalesce: glue.Coalesce{Key: about}, payloads: []string{"a =1", "a x", "a =2"}, want: "2+3@a"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var pub gluetest.Publisher
				e := start(t, glue.Config{}, coalescing(&pub, test.coalesce))
				e.putAll(test.payloads...)
				time.Sleep(time.Second)
				state, err := e.end()
				if got := outline(t, pub.Messages()); got != test.want {
					t.Errorf("published %s, want %s", got, test.want)
				}
				if err != nil || len(state.Finished) != len(test.payloads) {
					t.Errorf("finished %v, %v", state.Finished, err)
				}
				sums := e.ledger.Sums().Pipelines[0].Publish
				if published := int64(len(unpackAll(t, pub.Messages()))); sums.Published != published || sums.Replaced != sums.In-published {
					t.Errorf("published %d: %+v", published, sums)
				}
			})
		})
	}
}

func TestTheBodyOfAGroup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var pub gluetest.Publisher
		p := coalescing(&pub, glue.Coalesce{})
		p.Stages = append(p.Stages, glue.NamedStage{Name: "type", Stage: stage(func(m *glue.Message) error {
			m.Type = map[string]string{"1": "post_save", "2": `"\`}[m.ID]
			return nil
		})})
		e := start(t, glue.Config{}, p)
		e.putAll(`a {"id": 1, "big": 9007199254740993, "text": "\u00e4"}`, `b,a x`, `a text "with" \ and	tab, <b>ä</b>`, `a,b y`, `a {}`)
		time.Sleep(time.Second)
		if _, err := e.end(); err != nil {
			t.Error(err)
		}
		var got []string
		for _, m := range pub.Messages() {
			got = append(got, fmt.Sprintf("%s %s %v %s", m.ID, m.Type, m.Channels, m.Body()))
		}
		equal(t, "published", got, []string{
			`1 post_save [a] {"id":1,"big":9007199254740993,"text":"\u00e4"}`,
			`2 "\ [b a] x`,
			`3  [a] text "with" \ and	tab, <b>ä</b>`,
			`4  [a b] y`,
			`5  [a] {}`,
		})

		pub = gluetest.Publisher{}
		e = start(t, glue.Config{}, p)
		e.putAll(`a {"id": 1, "big": 9007199254740993, "text": "\u00e4"}`, `a x`, `a text "with" \ and	tab, <b>ä</b>`, `a {}`)
		time.Sleep(time.Second)
		if _, err := e.end(); err != nil {
			t.Error(err)
		}
		m := pub.Messages()[0]
		const want = `[{"id":"1","type":"post_save","data":{"id":1,"big":9007199254740993,"text":"\u00e4"}},` +
			`{"id":"2","type":"\"\\","data":"x"},` +
			`{"id":"3","data":"text \"with\" \\ and\ttab, <b>ä</b>"},` +
			`{"id":"4","data":{}}]`
		if got := string(m.Body()); got != want || m.ID != "4" || m.Type != glue.CoalescedType || !slices.Equal(m.Channels, []string{"a"}) {
			t.Errorf("%s %s %v\n got %s\nwant %s", m.ID, m.Type, m.Channels, got, want)
		}
	})
}

// TestGroupsKeepTheOrderOfEachChannel runs random messages to random channels through random bounds.
func TestGroupsKeepTheOrderOfEachChannel(t *testing.T) {
	for seed := range uint64(200) {
		synctest.Test(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 0))
			payloads := randomPayloads(random)
			c := glue.Coalesce{Count: 2 + random.IntN(10), Bytes: 40 + random.IntN(200)}
			if random.IntN(2) == 0 {
				c.Key = about
			}
			var pub gluetest.Publisher
			e := start(t, glue.Config{Batch: 1 + random.IntN(100), InFlight: 400}, coalescing(&pub, c))
			e.putAll(payloads...)
			time.Sleep(time.Minute)
			state, err := e.end()
			if err != nil || len(state.Finished) != len(payloads) {
				t.Fatalf("seed %d: finished %d of %d, %v", seed, len(state.Finished), len(payloads), err)
			}
			checkOrder(t, pub.Messages(), payloads, c.Key != nil)
			for _, m := range pub.Messages() {
				if m.Type == glue.CoalescedType && (len(m.Body()) > c.Bytes || len(unpack(t, m)) > c.Count) {
					t.Errorf("%d messages in %d bytes: %s", len(unpack(t, m)), len(m.Body()), m.Body())
				}
			}
			if t.Failed() {
				t.Fatalf("seed %d: %s of %q", seed, outline(t, pub.Messages()), payloads)
			}
		})
	}
}

func randomPayloads(random *rand.Rand) []string {
	payloads := make([]string, 1+random.IntN(200))
	for i := range payloads {
		var channels []string
		for range 1 + random.IntN(3) {
			channels = append(channels, string(rune('a'+random.IntN(4))))
		}
		body := []string{"k=1", "l=1", "m=1", "x", `"`, "{}"}[random.IntN(6)]
		payloads[i] = strings.Join(channels, ",") + " " + body
	}
	return payloads
}

// checkOrder makes sure that each channel got the messages of its payloads once, in their order. In latest mode
// some may be missing, but only if a newer one of the same key has the same channels, and there is one.
func checkOrder(t *testing.T, messages []*glue.Message, payloads []string, latest bool) {
	t.Helper()
	got := map[string][]string{}
	for _, m := range messages {
		names := slices.Sorted(slices.Values(m.Channels))
		for _, name := range slices.Compact(names) {
			got[name] = append(got[name], unpack(t, m)...)
		}
	}
	for _, name := range []string{"a", "b", "c", "d"} {
		var want []string
		for i, payload := range payloads {
			channels, body, _ := strings.Cut(payload, " ")
			id := fmt.Sprint(i + 1)
			if !slices.Contains(strings.Split(channels, ","), name) {
				continue
			}
			if latest && strings.Contains(body, "=") && !slices.Contains(got[name], id) && replaced(payloads, i) {
				continue
			}
			want = append(want, id)
		}
		equal(t, "channel "+name, got[name], want)
	}
}

// replaced reports whether a later payload has the same channels and body as that at i.
func replaced(payloads []string, i int) bool {
	set := func(payload string) string {
		channels, body, _ := strings.Cut(payload, " ")
		names := slices.Sorted(slices.Values(strings.Split(channels, ",")))
		return strings.Join(slices.Compact(names), ",") + " " + body
	}
	return slices.ContainsFunc(payloads[i+1:], func(other string) bool { return set(other) == set(payloads[i]) })
}

// TestNothingIsLostWhenPublishingFails refuses some messages for good, and whatever has them with it, and others for now.
func TestNothingIsLostWhenPublishingFails(t *testing.T) {
	for seed := range uint64(100) {
		synctest.Test(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 1))
			payloads := randomPayloads(random)
			bad := map[string]bool{}
			for i := range payloads {
				if random.IntN(10) == 0 {
					bad[fmt.Sprint(i+1)] = true
				}
			}
			var pub gluetest.Publisher
			var attempts atomic.Uint64
			pub.Outcome = func(_ context.Context, m *glue.Message) error {
				if slices.ContainsFunc(unpack(t, m), func(id string) bool { return bad[id] }) {
					return glue.Permanentf("answered 413")
				}
				return []error{nil, nil, errors.New("answered 500"), glue.ErrUnavailable}[(seed+attempts.Add(1))%4]
			}
			c := glue.Coalesce{Count: 2 + random.IntN(10)}
			if random.IntN(2) == 0 {
				c.Key = about
			}
			e := start(t, glue.Config{Batch: 1 + random.IntN(50), InFlight: 200, RetryBudget: time.Hour}, coalescing(&pub, c))
			e.putAll(payloads...)
			time.Sleep(time.Hour)
			state, err := e.end()
			published := unpackAll(t, pub.Messages())
			for i := range payloads {
				id := fmt.Sprint(i + 1)
				mayGo := c.Key != nil && strings.Contains(payloads[i], "=") && replaced(payloads, i)
				switch verdict := state.Done[id].Verdict; {
				case bad[id] && verdict != glue.Stall && !mayGo, !bad[id] && verdict != glue.Finish:
					t.Errorf("seed %d: the verdict on %s is %s", seed, id, verdict)
				case !bad[id] && !slices.Contains(published, id) && !mayGo:
					t.Errorf("seed %d: %s is lost", seed, id)
				}
			}
			sums := e.ledger.Sums().Pipelines[0].Publish
			if err != nil || sums.Published != int64(len(published)) || int(sums.Failed) != len(payloads)-len(state.Finished) {
				t.Errorf("seed %d: published %d, finished %d of %d: %+v, %v", seed, len(published), len(state.Finished), len(payloads), sums, err)
			}
		})
	}
}

func TestARefusedGroupIsPublishedOneByOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var pub gluetest.Publisher
		var refused []string
		pub.Outcome = func(_ context.Context, m *glue.Message) error {
			if ids := unpack(t, m); slices.Contains(ids, "2") || slices.Contains(ids, "6") {
				refused = append(refused, strings.Join(ids, "+"))
				return glue.Permanentf("answered 413")
			}
			return nil
		}
		e := start(t, glue.Config{}, coalescing(&pub, glue.Coalesce{}))
		e.putAll("a x", "a y", "a z", "b x", "b y", "c x")
		time.Sleep(time.Second)
		state, err := e.end()
		equal(t, "refused", refused, []string{"1+2+3", "6", "2"})
		if got := outline(t, pub.Messages()); got != "4+5@b 1@a 3@a" || err != nil {
			t.Errorf("published %s, %v", got, err)
		}
		if s := state.Done["2"]; s.Verdict != glue.Stall || s.Reason.String() != "p: answered 413" || len(state.Finished) != 4 {
			t.Errorf("2: %+v, finished %v", s, state.Finished)
		}
		if got, want := e.pipeline().Publish, (glue.PublishSums{In: 6, Published: 4, Failed: 2}); got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
	})
}

// TestWhatReplacesMustBePublished: a newer message takes the older ones with it, but not into the grave.
func TestWhatReplacesMustBePublished(t *testing.T) {
	for name, test := range map[string]struct {
		outcomes []error // of the attempts with message 3
		want     string  // published
		finished []string
		sums     glue.PublishSums
	}{
		"published": {nil, "3@a", []string{"1", "2", "3"}, glue.PublishSums{In: 3, Published: 1, Replaced: 2}},
		"published later": {
			[]error{errors.New("answered 500")},
			"3@a",
			[]string{"1", "2", "3"},
			glue.PublishSums{In: 3, Published: 1, Replaced: 2, Retries: 3},
		},
		"refused": {
			[]error{glue.Permanentf("answered 413"), glue.Permanentf("answered 413")},
			"1@a 2@a",
			[]string{"1", "2"},
			glue.PublishSums{In: 3, Published: 2, Failed: 1},
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				attempt := 0
				var pub gluetest.Publisher
				pub.Outcome = func(_ context.Context, m *glue.Message) error {
					if m.ID != "3" || attempt >= len(test.outcomes) {
						return nil
					}
					attempt++
					return test.outcomes[attempt-1]
				}
				e := start(t, glue.Config{}, coalescing(&pub, glue.Coalesce{Key: about}))
				e.putAll("a k=1", "a k=2", "a k=3")
				time.Sleep(time.Minute)
				state, err := e.end()
				if got := outline(t, pub.Messages()); got != test.want || err != nil {
					t.Errorf("published %s, want %s, %v", got, test.want, err)
				}
				equal(t, "finished", state.Finished, test.finished)
				if got := e.pipeline().Publish; got != test.sums {
					t.Errorf("got %+v, want %+v", got, test.sums)
				}
			})
		})
	}
}

// TestWhatFailsForNowIsTriedAlone: one message that never gets an answer takes no others with it.
func TestWhatFailsForNowIsTriedAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var pub gluetest.Publisher
		pub.Outcome = func(_ context.Context, m *glue.Message) error {
			if slices.Contains(unpack(t, m), "2") {
				return errors.New("gives no answer")
			}
			return nil
		}
		e := start(t, glue.Config{Attempts: 2}, coalescing(&pub, glue.Coalesce{}))
		e.putAll("a x", "a y", "a z")
		time.Sleep(time.Hour)
		state, err := e.end()
		if err != nil {
			t.Error(err)
		}
		slices.Sort(state.Finished)
		equal(t, "finished", state.Finished, []string{"1", "3"})
		if state.Done["2"].Verdict != glue.Stall {
			t.Errorf("job 2: %+v", state.Done["2"])
		}
	})
}

// attempts is a publisher that notes the previous outcomes that it gets, by the messages that it gets them with.
type attempts struct {
	t       *testing.T
	earlier []string
	outcome func(attempt int) error
}

func (a *attempts) Publish(_ context.Context, batch []*glue.Message, outcomes []error) {
	for i, m := range batch {
		ids := strings.Join(unpack(a.t, m), "+")
		a.earlier = append(a.earlier, fmt.Sprintf("%s after %v", ids, outcomes[i]))
		outcomes[i] = a.outcome(len(a.earlier))
	}
}

// TestPreviousOutcomes: what a publisher knows of a group is told to it again only when it is true of all of the group.
func TestPreviousOutcomes(t *testing.T) {
	partial := func(hosts string) error { return errors.New(hosts + " has it") }
	synctest.Test(t, func(t *testing.T) {
		pub := &attempts{t: t}
		pub.outcome = func(attempt int) error {
			switch {
			case attempt > 4:
				return nil
			case attempt == 3:
				return partial("nobody")
			}
			return partial("A") // another error each time
		}
		e := start(t, glue.Config{}, coalescing(pub, glue.Coalesce{Count: 2, Bytes: 50}))
		e.putAll("a x", "a y", "b x", "b a text that fits nowhere")
		time.Sleep(time.Minute)
		if _, err := e.end(); err != nil {
			t.Error(err)
		}
		equal(t, "attempts", pub.earlier, []string{
			"1+2 after <nil>", "3 after <nil>", "4 after <nil>",
			"1 after A has it", "2 after A has it", "3 after A has it", "4 after nobody has it",
			"1 after A has it",
		})
	})
	synctest.Test(t, func(t *testing.T) {
		pub := &attempts{t: t}
		pub.outcome = func(attempt int) error {
			if attempt > 2 {
				return nil
			}
			return partial("A")
		}
		p := coalescing(pub, glue.Coalesce{})
		tries := 0
		p.Stages = append(p.Stages, glue.NamedStage{Name: "late", Stage: stage(func(m *glue.Message) error {
			if tries++; m.ID == "2" && tries < 4 {
				return errors.New("not yet")
			}
			return nil
		})})
		e := start(t, glue.Config{}, p)
		e.putAll("a x", "a y", "a z")
		time.Sleep(time.Minute)
		if _, err := e.end(); err != nil {
			t.Error(err)
		}
		equal(t, "attempts", pub.earlier, []string{"1+3 after <nil>", "1 after A has it", "2 after <nil>", "3 after A has it", "1 after A has it"})
	})
	synctest.Test(t, func(t *testing.T) {
		pub := &attempts{t: t}
		pub.outcome = func(attempt int) error {
			if attempt == 1 || attempt == 3 {
				return fmt.Errorf("away: %w", glue.ErrUnavailable)
			}
			return nil
		}
		e := start(t, glue.Config{}, coalescing(pub, glue.Coalesce{}))
		e.putAll("a x", "a,b y", "a z")
		time.Sleep(time.Minute)
		if _, err := e.end(); err != nil {
			t.Error(err)
		}
		equal(t, "attempts", pub.earlier, []string{"1 after <nil>", "2 after <nil>", "3 after <nil>", "1+3 after tried in other groups"})
	})
}

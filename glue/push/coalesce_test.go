package push_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pushglue/glue"
	"pushglue/glue/gluetest"
)

// toA is a stage that sends everything to the channel a.
type toA struct{}

func (toA) Process(_ context.Context, m *glue.Message) error {
	m.Channels = []string{"a"}
	return nil
}

// coalesce publishes texts as the jobs 1, 2, 3 … of a pipeline that coalesces, and returns what becomes of
// them. Call it in a synctest bubble.
func (h *hosts) coalesce(texts ...string) gluetest.State {
	h.t.Helper()
	f := gluetest.NewFeed("f")
	for i, text := range texts {
		f.Put(fmt.Sprint(i+1), []byte(text))
	}
	c := glue.DefaultCoalesce()
	g, err := glue.New(glue.Config{Feeds: []glue.Feed{f}, Ledger: &h.ledger, Pipelines: []glue.Pipeline{
		{Name: "p", Feed: "f", Stages: []glue.NamedStage{{Name: "toA", Stage: toA{}}}, Publisher: h.push, Coalesce: &c},
	}})
	if err != nil {
		h.t.Fatal(err)
	}
	ctx, stop := context.WithTimeout(h.t.Context(), time.Minute)
	defer stop()
	if err := g.Run(ctx); err != nil {
		h.t.Error(err)
	}
	if err := h.ledger.Sums().Balance(); err != nil {
		h.t.Error(err)
	}
	return f.State()
}

const both = `[{"id":"1","data":"x"},{"id":"2","data":"y"}]`

func TestCoalescedMessagesGoAsJSON(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, "one")
		var head http.Header
		h.set("one", func(r *http.Request, body string) (*http.Response, error) {
			head = r.Header
			return status(200)(r, body)
		})
		state := h.coalesce("x", "y")
		h.want("one", both)
		for name, want := range map[string]string{"Content-Type": "application/json", "Event-Id": "2", "Event-Type": "coalesced"} {
			if got := head.Get(name); got != want {
				t.Errorf("%s: got %q, want %q", name, got, want)
			}
		}
		if len(state.Finished) != 2 {
			t.Errorf("finished %v", state.Finished)
		}
	})
}

// TestAGroupGoesAgainToWhoLacksIt: a host that has a group does not get its messages again because another one failed
// for now.
func TestAGroupGoesAgainToWhoLacksIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, "one", "two")
		h.set("two", func(r *http.Request, body string) (*http.Response, error) {
			h.set("two", nil)
			return status(500)(r, body)
		})
		state := h.coalesce("x", "y")
		h.want("one", both)
		h.want("two", both, "x", "y")
		if len(state.Finished) != 2 {
			t.Errorf("finished %v", state.Finished)
		}
	})
}

// TestTheGuiltyMessageOfAGroupStalls: a host that takes less than the bound of a group refuses the group.
func TestTheGuiltyMessageOfAGroupStalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, "one")
		h.set("one", func(r *http.Request, body string) (*http.Response, error) {
			if len(body) > 20 {
				return status(413)(r, body)
			}
			return status(200)(r, body)
		})
		long := strings.Repeat("z", 30)
		state := h.coalesce("x", long, "y")
		h.want("one", `[{"id":"1","data":"x"},{"id":"2","data":"`+long+`"},{"id":"3","data":"y"}]`, "x", long, "y")
		if s := state.Done["2"]; s.Verdict != glue.Stall || !strings.Contains(s.Reason.Error, "413") || len(state.Finished) != 2 {
			t.Errorf("2: %+v, finished %v", s, state.Finished)
		}
	})
}

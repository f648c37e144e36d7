package push_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jarcoal/httpmock"

	"pushglue/glue"
	"pushglue/glue/push"
)

// slowly answers after some time.
func slowly(d time.Duration) func(*http.Request, string) (*http.Response, error) {
	return func(r *http.Request, _ string) (*http.Response, error) {
		if !glue.Sleep(r.Context(), d) {
			return nil, r.Context().Err()
		}
		return httpmock.NewStringResponse(200, ""), nil
	}
}

// process makes a host tell the id of its process, which changes when it is restarted.
func (h *hosts) process(host string, id int) {
	h.set(host+" health", func(*http.Request, string) (*http.Response, error) {
		return httpmock.NewStringResponse(200, fmt.Sprintf("ok %d\n", id)), nil
	})
}

func (h *hosts) wantPublished(bodies ...string) {
	h.t.Helper()
	for i, err := range h.publish(messages(bodies...), nil) {
		if err != nil {
			h.t.Errorf("message %s: %v", bodies[i], err)
		}
	}
}

// wantMissed wants so many messages that the second host did not get.
func (h *hosts) wantMissed(n int64) {
	h.t.Helper()
	if got := h.ledger.Sums().Hosts[1].Missed; got != n {
		h.t.Errorf("missed: got %d, want %d", got, n)
	}
}

func TestASlowHostHoldsUpNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, "one", "two")
		h.set("two", slowly(2*time.Second))
		begin := time.Now()
		for i := range 5 {
			h.wantPublished(fmt.Sprint(i))
		}
		if took := time.Since(begin); took != time.Second {
			t.Errorf("messages waited for %s, want one deadline of 1s", took)
		}
		h.want("one", "0", "1", "2", "3", "4")
		time.Sleep(time.Minute)
		h.want("two", "0", "1", "2", "3", "4") // it has caught up
		begin = time.Now()
		h.wantPublished("5")
		if took := time.Since(begin); took != time.Second {
			t.Errorf("a message waited for %s, want the deadline again", took)
		}
		h.wantMissed(0)
	})
}

func TestASlowHostThatIsAloneIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, "one")
		h.set("one", slowly(3*time.Second))
		begin := time.Now()
		h.wantPublished("1", "2")
		if took := time.Since(begin); took != 6*time.Second {
			t.Errorf("messages took %s", took)
		}
	})
}

func TestARestartedHostGetsWhatWasPublishedOfLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, "one", "two")
		h.process("one", 1)
		h.process("two", 2)
		h.wantPublished("old")
		time.Sleep(time.Minute)
		h.wantPublished("1", "2")
		time.Sleep(20 * time.Second)
		h.wantPublished("3")
		h.process("one", 3)
		time.Sleep(5 * time.Second)
		h.want("one", "old", "1", "2", "3", "1", "2", "3")
		h.want("two", "old", "1", "2", "3")
		time.Sleep(20 * time.Second)
		h.process("two", 4)
		time.Sleep(5 * time.Second)
		h.want("two", "old", "1", "2", "3", "3") // the others are too old
		h.wantPublished("4")
		h.want("one", "old", "1", "2", "3", "1", "2", "3", "4")
		h.want("two", "old", "1", "2", "3", "3", "4")
	})
}

// TestAHostThatIsAwayGetsTheRestLater: what it had before it does not get again, if it says that it lives on.
func TestAHostThatIsAwayGetsTheRestLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, "one", "two")
		h.process("two", 1)
		h.wantPublished("1")
		h.setSilent("two", refuse)
		time.Sleep(10 * time.Second) // found out without a message
		h.wantPublished("2", "3")
		h.set("two", nil)
		h.process("two", 1)
		time.Sleep(2 * time.Second)
		h.want("two", "1", "2", "3")
		h.wantMissed(0)
	})
}

func TestWhatIsKeptIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := startWith(t, push.Config{Recent: push.Recent{Messages: 3, Time: time.Minute}}, "one", "two")
		h.setSilent("two", refuse)
		for i := range 10 {
			h.wantPublished(fmt.Sprint(i))
		}
		h.setSilent("two", nil)
		time.Sleep(2 * time.Second)
		h.want("two", "0", "0", "0", "7", "8", "9")
		h.wantMissed(7)
	})
}

func TestPolicyAny(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := startWith(t, push.Config{Policy: push.Any}, "one", "two")
		h.set("two", slowly(500*time.Millisecond))
		begin := time.Now()
		h.wantPublished("1", "2")
		if took := time.Since(begin); took != 0 {
			t.Errorf("messages waited for %s", took)
		}
		if err := h.push.Flush(t.Context()); err != nil {
			t.Error(err)
		}
		h.want("two", "1", "2")
		h.set("one", status(413))
		h.wantPublished("3")
		h.set("two", status(413))
		if err := h.publish(messages("4"), nil)[0]; !glue.IsPermanent(err) {
			t.Errorf("refused by all: %v", err)
		}
	})
}

func TestPolicyOfANumber(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := startWith(t, push.Config{Policy: 2}, "one", "two", "three")
		h.setSilent("one", refuse)
		h.wantPublished("1")
		h.setSilent("two", refuse)
		batch := messages("2")
		outcomes := h.publish(batch, nil)
		for range 3 {
			if !errors.Is(outcomes[0], glue.ErrUnavailable) {
				t.Fatalf("one host is not two: %v", outcomes[0])
			}
			outcomes = h.publish(batch, outcomes)
		}
		h.setSilent("two", nil)
		time.Sleep(2 * time.Second)
		if outcomes = h.publish(batch, outcomes); outcomes[0] != nil {
			t.Errorf("with two hosts: %v", outcomes[0])
		}
		h.want("three", "1", "2")
	})
}

func TestPoliciesThatAreNone(t *testing.T) {
	for text, want := range map[string]string{
		"most": `"most" is no policy: it is all, any, or how many push hosts must have a message`,
		"0":    `"0" is no policy: it is all, any, or how many push hosts must have a message`,
		"3":    "3 push hosts must have each message, but there are only 2",
	} {
		if _, err := push.ParsePolicy(text, 2); err == nil || err.Error() != want {
			t.Errorf("%s: got %v, want %s", text, err, want)
		}
	}
	if _, err := push.New(push.Config{Hosts: []string{"http://h"}, Policy: 2}); err == nil {
		t.Error("two of one host")
	}
}

// TestWhatNobodyRetriesIsRetriedOnItsWay: no job waits for a host that is behind, so its lane tries again by itself.
func TestWhatNobodyRetriesIsRetriedOnItsWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, "one", "two")
		h.setSilent("two", refuse)
		h.wantPublished("a", "b", "c", "d")
		refusals := map[string]int{"b": 2, "c": 100}
		h.setSilent("two", nil)
		h.set("two", func(_ *http.Request, body string) (*http.Response, error) {
			if refusals[body]--; refusals[body] >= 0 {
				return httpmock.NewStringResponse(500, ""), nil
			}
			return httpmock.NewStringResponse(200, ""), nil
		})
		time.Sleep(time.Minute)
		again := slices.Repeat([]string{"c"}, 6) // as long as it is kept
		h.want("two", append([]string{"a", "a", "a", "a", "b", "c", "d", "b", "c", "b", "c", "c", "c"}, again...)...)
		h.wantMissed(1)
	})
}

// TestAMessageThatEndsEveryTrialIsLeftOut in the end, for a host that is down otherwise takes none of those behind it.
// What was refused with it comes after them.
func TestAMessageThatEndsEveryTrialIsLeftOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, "one", "two")
		h.set("two", status(500))
		var bodies []string
		for i := range 20 {
			bodies = append(bodies, fmt.Sprint(i))
		}
		h.publish(messages(bodies...), nil)
		h.set("two", func(_ *http.Request, body string) (*http.Response, error) {
			code := 200
			if body == "9" {
				code = 500
			}
			return httpmock.NewStringResponse(code, ""), nil
		})
		time.Sleep(time.Minute)
		h.mu.Lock()
		got := slices.Clone(h.got["two"])
		h.mu.Unlock()
		want := slices.Concat(bodies[:10], []string{"9", "9"}, bodies[10:], bodies[:10], slices.Repeat([]string{"9"}, 9))
		if !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
		h.wantMissed(1)
	})
}

func TestFlushEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := startWith(t, push.Config{Policy: push.Any}, "one", "two")
		h.set("two", slowly(4*time.Second))
		h.wantPublished("1")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := h.push.Flush(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
	})
}

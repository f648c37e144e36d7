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

// refusing answers 500 to some messages.
func refusing(bodies ...string) func(*http.Request, string) (*http.Response, error) {
	return func(_ *http.Request, body string) (*http.Response, error) {
		if slices.Contains(bodies, body) {
			return httpmock.NewStringResponse(500, ""), nil
		}
		return httpmock.NewStringResponse(200, ""), nil
	}
}

func numbers(n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprint(i)
	}
	return list
}

// TestWhatAnUpHostLacksIsNotPublished when the context ends, though another one has it.
func TestWhatAnUpHostLacksIsNotPublished(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, "one", "two")
		h.set("two", slowly(500*time.Millisecond))
		ctx, cancel := context.WithTimeout(t.Context(), 700*time.Millisecond)
		defer cancel()
		outcomes := make([]error, 3)
		h.push.Publish(ctx, messages("1", "2", "3"), outcomes)
		if outcomes[0] != nil || !errors.Is(outcomes[1], context.DeadlineExceeded) || !errors.Is(outcomes[2], context.DeadlineExceeded) {
			t.Errorf("got %v", outcomes)
		}
		time.Sleep(time.Minute)
		h.want("two", "1", "2") // and 3 with its job
	})
}

// TestPoisonDoesNotKeepAHostDown has all hosts refuse the first messages of a batch that the engine holds, each time.
func TestPoisonDoesNotKeepAHostDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, "one")
		h.set("one", status(500))
		h.publish(messages(numbers(9)...), nil)
		batch := messages("p", "q", "a", "b")
		outcomes := h.publish(batch, nil) // the tenth refusal
		h.set("one", refusing("p", "q"))
		for errors.Is(outcomes[2], glue.ErrUnavailable) {
			time.Sleep(5 * time.Second)
			outcomes = h.publish(batch, outcomes)
		}
		if outcomes[0] == nil || errors.Is(outcomes[0], glue.ErrUnavailable) || outcomes[1] == nil || outcomes[2] != nil || outcomes[3] != nil {
			t.Errorf("got %v", outcomes)
		}
		h.want("one", slices.Concat(numbers(9), []string{"p", "p", "p", "q", "p", "q", "a", "b"})...)
		h.wantNothingMissed()
	})
}

func (h *hosts) wantNothingMissed() {
	h.t.Helper()
	for _, host := range h.ledger.Sums().Hosts {
		if host.Missed != 0 {
			h.t.Errorf("%s missed %d", host.Name, host.Missed)
		}
	}
}

// TestAHostThatRefusesWhenItComesBack gets all the same what nobody waits for.
func TestAHostThatRefusesWhenItComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, "one", "two")
		h.process("two", 1)
		h.setSilent("two", refuse)
		time.Sleep(5 * time.Second)
		h.wantPublished(numbers(30)...)
		h.process("two", 1)
		h.set("two", status(500))
		time.Sleep(3 * time.Second)
		h.mu.Lock()
		refused := len(h.got["two"])
		h.mu.Unlock()
		h.set("two", nil)
		time.Sleep(10 * time.Second)
		h.mu.Lock()
		defer h.mu.Unlock()
		for _, body := range numbers(30) {
			if !slices.Contains(h.got["two"][refused:], body) {
				t.Errorf("%s is missing: got %q", body, h.got["two"])
			}
		}
		h.wantNothingMissed()
	})
}

func TestWhatIsTooOldIsNotSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, "one", "two")
		h.process("two", 1)
		h.wantPublished("0")
		h.setSilent("two", refuse)
		time.Sleep(5 * time.Second)
		h.wantPublished("1")
		time.Sleep(time.Hour)
		h.process("two", 1)
		h.set("two", nil)
		time.Sleep(5 * time.Second)
		h.want("two", "0")
		h.wantMissed(1)
	})
}

// TestARefusalBeforeTheOtherHostAccepts is nobody's to retry with the policy any, but the lane's.
func TestARefusalBeforeTheOtherHostAccepts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := startWith(t, push.Config{Policy: push.Any}, "one", "two")
		h.set("one", slowly(100*time.Millisecond))
		h.set("two", func(r *http.Request, body string) (*http.Response, error) {
			h.set("two", nil)
			return status(500)(r, body)
		})
		h.wantPublished("1")
		if err := h.push.Flush(t.Context()); err != nil {
			t.Error(err)
		}
		h.want("two", "1", "1")
		h.wantNothingMissed()
	})
}

func TestAStopDoesNotWaitForWhatIsOwed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := startWith(t, push.Config{Policy: push.Any}, "one", "two")
		h.set("two", func(r *http.Request, body string) (*http.Response, error) {
			h.set("two", slowly(time.Hour))
			glue.Sleep(r.Context(), 10*time.Millisecond)
			return status(500)(r, body)
		})
		h.wantPublished("1")
		time.Sleep(200 * time.Millisecond)
		h.set("one", slowly(30*time.Second))
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		begin := time.Now()
		h.push.Publish(ctx, messages("2"), make([]error, 1))
		if took := time.Since(begin); took != 10*time.Millisecond {
			t.Errorf("it took %s", took)
		}
	})
}

// TestARetryLeavesNoCopy: a host that comes back gets a message once, however often its job was tried meanwhile.
func TestARetryLeavesNoCopy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := startWith(t, push.Config{Policy: 2}, "one", "two")
		h.set("two", status(500))
		batch := messages(numbers(12)...)
		outcomes := h.publish(batch, nil)
		for range 8 {
			time.Sleep(1100 * time.Millisecond)
			outcomes = h.publish(batch, outcomes)
		}
		h.set("two", nil)
		h.mu.Lock()
		h.got["two"] = nil
		h.mu.Unlock()
		time.Sleep(3 * time.Second)
		for i, err := range h.publish(batch, outcomes) {
			if err != nil {
				t.Errorf("message %d: %v", i, err)
			}
		}
		time.Sleep(3 * time.Second)
		h.want("one", numbers(12)...)
		h.want("two", numbers(12)...)
	})
}

func TestWhatIsOnItsWayIsNotMissed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := startWith(t, push.Config{Recent: push.Recent{Messages: 3, Time: time.Minute}}, "one", "two")
		h.set("two", slowly(3*time.Second))
		h.wantPublished("0")
		for _, body := range []string{"1", "2", "3", "4"} {
			h.wantPublished(body)
		}
		time.Sleep(50 * time.Second)
		h.mu.Lock()
		got := int64(len(h.got["two"]))
		h.mu.Unlock()
		h.wantMissed(5 - got)
	})
}

func TestWhatAHostLacksAtTheEndIsMissed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, "one", "two")
		h.setSilent("two", refuse)
		h.wantPublished("1", "2")
		if err := h.push.Flush(t.Context()); err != nil {
			t.Error(err)
		}
		h.push.Close()
		h.wantMissed(2)
	})
}

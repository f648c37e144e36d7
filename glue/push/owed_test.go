package push_test

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jarcoal/httpmock"

	"pushglue/glue"
	"pushglue/glue/push"
)

// received returns what was sent to a host, in order.
func (h *hosts) received(host string) []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.got[host])
}

// TestPoisonNobodyWaitsForDoesNotTakeAHostOut: what a host refuses again and again keeps nothing else from it.
func TestPoisonNobodyWaitsForDoesNotTakeAHostOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := startWith(t, push.Config{Policy: push.Any}, "one", "two")
		h.set("two", refusing("p", "q", "r"))
		h.wantPublished("p", "q", "r")
		time.Sleep(5 * time.Second)
		h.setSilent("one", refuse)
		time.Sleep(5 * time.Second)
		h.wantPublished("good")
		time.Sleep(time.Minute)
		h.wantMissed(3)
	})
}

// TestRefusalsOfOthersDelayNoRetry: each message that is owed has a time of its own.
func TestRefusalsOfOthersDelayNoRetry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := startWith(t, push.Config{Policy: push.Any}, "one", "two")
		seen := map[string]bool{}
		h.set("two", func(_ *http.Request, body string) (*http.Response, error) {
			if !seen[body] && strings.HasSuffix(body, "0") {
				seen[body] = true
				return httpmock.NewStringResponse(500, ""), nil
			}
			return httpmock.NewStringResponse(200, ""), nil
		})
		for _, body := range numbers(4000) {
			h.wantPublished(body)
			time.Sleep(10 * time.Millisecond)
		}
		time.Sleep(time.Second)
		if n, want := len(h.received("two")), 4000+400; n != want {
			t.Errorf("%d messages were sent, want %d", n, want)
		}
		h.wantNothingMissed()
	})
}

// TestWhatIsOwedTakesTurns with what comes in order, which must not wait for messages that a host never takes.
func TestWhatIsOwedTakesTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := startWith(t, push.Config{Policy: push.Any}, "one", "two")
		h.set("two", func(r *http.Request, body string) (*http.Response, error) {
			if strings.HasSuffix(body, "7") && len(body)%2 == 0 { // one of ten, and slowly
				glue.Sleep(r.Context(), 10*time.Millisecond)
				return httpmock.NewStringResponse(500, ""), nil
			}
			return httpmock.NewStringResponse(200, ""), nil
		})
		for _, body := range numbers(10_000) {
			h.wantPublished(body)
			time.Sleep(2 * time.Millisecond)
		}
		if lag := h.push.Hosts()[1].Due; lag > 2000 {
			t.Errorf("two lacks %d messages", lag)
		}
	})
}

// TestAnOutageOfSecondsIsBridged by a host that refuses with little traffic, which says nothing of the host.
func TestAnOutageOfSecondsIsBridged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := startWith(t, push.Config{Policy: push.Any}, "one", "two")
		h.set("two", status(503))
		h.wantPublished("1")
		time.Sleep(5 * time.Second)
		h.set("two", nil)
		time.Sleep(time.Minute)
		h.wantNothingMissed()
	})
}

// TestOneHostHasEverything: then a slower one is not waited for beyond the deadline, whether the first was up when the
// messages came or not.
func TestOneHostHasEverything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, "one", "two")
		h.setSilent("one", refuse)
		time.Sleep(5 * time.Second)
		h.set("two", slowly(4*time.Second))
		begin := time.Now()
		var wg sync.WaitGroup
		wg.Go(func() {
			h.wantPublished(numbers(50)...)
			if took := time.Since(begin); took > 5*time.Second { // of the test's own clock
				t.Errorf("it took %s", took)
			}
		})
		time.Sleep(time.Second)
		h.setSilent("one", nil)
		wg.Wait()
		if got := h.received("one"); !slices.Equal(got[len(got)-50:], numbers(50)) {
			t.Errorf("one got %q", got)
		}
	})
}

// TestAHostThatFallsBehindIsWaitedForByWhoHasNobodyElse: another batch may wait for it alone.
func TestAHostThatFallsBehindIsWaitedForByWhoHasNobodyElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, "one", "two")
		takes := func(times map[string]time.Duration) func(*http.Request, string) (*http.Response, error) {
			return func(r *http.Request, body string) (*http.Response, error) {
				glue.Sleep(r.Context(), times[body])
				return httpmock.NewStringResponse(200, ""), nil
			}
		}
		h.set("one", takes(map[string]time.Duration{"0": 4 * time.Second, "d": time.Second}))
		h.set("two", takes(map[string]time.Duration{"a": 1200 * time.Millisecond, "d": 4 * time.Second}))
		var feeds sync.WaitGroup
		for _, batch := range [][]string{{"a"}, numbers(1024), {"d"}} { // as many as a lane takes at once
			feeds.Go(func() { h.wantPublished(batch...) })
			synctest.Wait()
		}
		feeds.Wait()
		time.Sleep(time.Minute)
		h.want("one", slices.Concat([]string{"a"}, numbers(1024), []string{"d"})...)
		h.want("two", slices.Concat([]string{"a"}, numbers(1024), []string{"d"})...)
	})
}

// TestAMessageThatHangsItsHost fails for itself, in the end; the host is well otherwise.
func TestAMessageThatHangsItsHost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, "one")
		h.set("one", func(r *http.Request, body string) (*http.Response, error) {
			if body == "hangs" {
				glue.Sleep(r.Context(), time.Hour)
				return nil, r.Context().Err()
			}
			return httpmock.NewStringResponse(200, ""), nil
		})
		batch := messages("hangs", "good")
		outcomes := h.publish(batch, nil)
		for range 5 {
			time.Sleep(5 * time.Second)
			outcomes = h.publish(batch, outcomes)
		}
		if outcomes[1] != nil {
			t.Errorf("the message behind it: %v", outcomes[1])
		}
		if err := outcomes[0]; err == nil || glue.IsPermanent(err) || !strings.Contains(err.Error(), "gives no answer to this message") {
			t.Errorf("got %v", err)
		}
	})
}

// TestWhatWasVoidForAMoment comes to all hosts: a stop gives up a batch of which one host has something.
func TestWhatWasVoidForAMoment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := startWith(t, push.Config{Policy: push.Any}, "one", "two")
		h.set("one", slowly(100*time.Millisecond))
		h.set("two", slowly(150*time.Millisecond))
		ctx, cancel := context.WithTimeout(t.Context(), 320*time.Millisecond)
		defer cancel()
		outcomes := make([]error, 6)
		var wg sync.WaitGroup
		wg.Go(func() { h.push.Publish(ctx, messages(numbers(6)...), outcomes) })
		time.Sleep(10 * time.Millisecond)
		wg.Go(func() { h.wantPublished("other") })
		wg.Wait()
		time.Sleep(time.Minute)
		for i, err := range outcomes {
			for _, host := range []string{"one", "two"} {
				if has := slices.Contains(h.received(host), numbers(6)[i]); err == nil && !has {
					t.Errorf("%s lacks %d, which is published", host, i)
				}
			}
		}
		h.wantNothingMissed()
	})
}

// TestWhatAHostRefusesThatNobodyWaitsFor fails no message that the others have, and comes to it once more.
func TestWhatAHostRefusesThatNobodyWaitsFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, "one", "two")
		h.set("two", slowly(2*time.Second))
		h.wantPublished("0") // two falls behind
		h.wantPublished("1", "2")
		h.set("one", slowly(3*time.Second)) // slower than two now
		refused := false
		h.set("two", func(_ *http.Request, body string) (*http.Response, error) {
			if body == "x" && !refused {
				refused = true
				return httpmock.NewStringResponse(500, ""), nil
			}
			return httpmock.NewStringResponse(200, ""), nil
		})
		h.wantPublished("x")
		time.Sleep(time.Minute)
		h.want("two", "0", "1", "2", "x", "x")
		h.wantNothingMissed()
	})
}

// TestWhatIsVoidTakesNoRoom in the backlog: attempts that failed must not push out what a host lacks.
func TestWhatIsVoidTakesNoRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := startWith(t, push.Config{Recent: push.Recent{Messages: 100, Time: 10 * time.Minute}}, "one", "two")
		h.setSilent("one", refuse)
		time.Sleep(5 * time.Second)
		h.wantPublished(numbers(50)...) // one lacks these
		h.set("two", status(500))
		batch := messages(numbers(50)...)
		outcomes := h.publish(batch, nil)
		for range 10 {
			time.Sleep(1500 * time.Millisecond)
			outcomes = h.publish(batch, outcomes)
		}
		h.set("two", nil)
		h.setSilent("one", nil)
		time.Sleep(5 * time.Second)
		h.wantNothingMissed()
		if n := len(h.received("one")); n < 50 {
			t.Errorf("one got %d messages", n)
		}
	})
}

// TestARefusalForGoodThatNobodyWaitsFor is counted and logged.
func TestARefusalForGoodThatNobodyWaitsFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := startWith(t, push.Config{Policy: push.Any}, "one", "two")
		h.set("two", status(413))
		h.wantPublished("1")
		time.Sleep(time.Minute)
		h.wantMissed(1)
		h.push.Close() // so that nobody writes the log any more
		if text := h.log.String(); !strings.Contains(text, "push host misses messages for good") || !strings.Contains(text, "413") {
			t.Errorf("the log says %s", text)
		}
	})
}

// TestAfterATroubleNothingIsMissed by a host that takes all that comes, and refused some of it for a while.
func TestAfterATroubleNothingIsMissed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := startWith(t, push.Config{Policy: push.Any, Recent: push.Recent{Messages: 1_000_000, Time: 20 * time.Second}}, "one", "two")
		begin := time.Now()
		h.set("two", func(r *http.Request, body string) (*http.Response, error) {
			glue.Sleep(r.Context(), time.Millisecond)
			if time.Since(begin) < 3*time.Second && strings.ContainsAny(body[len(body)-1:], "147") {
				return httpmock.NewStringResponse(500, ""), nil
			}
			return httpmock.NewStringResponse(200, ""), nil
		})
		for _, body := range numbers(25_000) {
			h.wantPublished(body)
			time.Sleep(time.Millisecond)
		}
		if s := h.status("two"); s.Owed > 0 {
			t.Errorf("two is owed %d messages still", s.Owed)
		}
		h.wantNothingMissed()
	})
}

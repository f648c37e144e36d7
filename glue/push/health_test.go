package push_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jarcoal/httpmock"

	"pushglue/glue"
)

func TestAHostThatIsDownHoldsUpNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, "one", "two")
		h.setSilent("two", refuse)
		for _, err := range append(h.publish(messages("1", "2"), nil), h.publish(messages("3"), nil)...) {
			if err != nil {
				t.Error(err)
			}
		}
		h.want("one", "1", "2", "3")
		h.want("two", "1", "1", "1") // three attempts, and then none while it is down
		h.setSilent("two", nil)
		time.Sleep(time.Minute)
		h.publish(messages("4", "5"), nil)
		h.want("two", "1", "1", "1", "1", "2", "3", "4", "5") // and then all
		for _, line := range []string{`"host":"two","error":"connect: connection refused","message":"push host is down`, "push host is up again"} {
			if strings.Count(h.log.String(), line) != 1 {
				t.Errorf("want once %s in %s", line, &h.log)
			}
		}
	})
}

func TestWhenAllAreDownMessagesWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, "one", "two")
		h.setSilent("one", refuse)
		h.setSilent("two", refuse)
		batch := messages("1", "2")
		for range 3 {
			for _, err := range h.publish(batch, nil) {
				if !errors.Is(err, glue.ErrUnavailable) {
					t.Fatalf("got %v", err)
				}
			}
		}
		h.setSilent("two", nil)
		time.Sleep(time.Minute)
		if got := h.publish(batch, nil); got[0] != nil || got[1] != nil {
			t.Errorf("got %v", got)
		}
		h.want("two", "1", "1", "1", "1", "2")
	})
}

func TestAHostThatRefusesEverythingIsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, "one", "two")
		h.set("two", status(500))
		bodies := make([]string, 100)
		for i := range bodies {
			bodies[i] = fmt.Sprint(i)
		}
		outcomes := h.publish(messages(bodies...), nil)
		for i, err := range outcomes { // two is not up any more, so nothing waits for it
			if err != nil {
				t.Errorf("message %d: %v", i, err)
			}
		}
		h.want("one", bodies...)
		h.want("two", bodies[:10]...) // the tenth refusal in a row takes the host out
	})
}

func TestAHostThatDoesNotAnswerCostsOneDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, "one", "two")
		h.setSilent("two", func(r *http.Request, _ string) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		})
		begin := time.Now()
		for range 100 {
			for _, err := range h.publish(messages("1", "2"), nil) {
				if err != nil {
					t.Error(err)
				}
			}
			time.Sleep(time.Second)
		}
		if took := time.Since(begin) - 100*time.Second; took != time.Second {
			t.Errorf("messages waited for %s, want one deadline of 1s", took)
		}
	})
}

func TestAMessageThatBreaksTheConnectionIsAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, "one")
		h.set("one", func(_ *http.Request, body string) (*http.Response, error) {
			if body == "2" {
				return nil, io.ErrUnexpectedEOF
			}
			return httpmock.NewStringResponse(200, ""), nil
		})
		outcomes := h.publish(messages("1", "2", "3"), nil)
		if outcomes[0] != nil || outcomes[1] == nil || errors.Is(outcomes[1], glue.ErrUnavailable) || outcomes[2] != nil {
			t.Errorf("got %v", outcomes)
		}
	})
}

func TestARefusingHostGetsATrialMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, "one")
		h.set("one", status(500))
		bodies := make([]string, 10)
		for i := range bodies {
			bodies[i] = fmt.Sprint(i)
		}
		h.publish(messages(bodies...), nil)
		for range 3 {
			time.Sleep(2 * time.Second)
			for _, err := range h.publish(messages("a", "b"), nil) {
				if !errors.Is(err, glue.ErrUnavailable) {
					t.Errorf("got %v", err)
				}
			}
		}
		h.set("one", nil)
		time.Sleep(2 * time.Second)
		for _, err := range h.publish(messages("c", "d"), nil) {
			if err != nil {
				t.Error(err)
			}
		}
		h.want("one", append(bodies, "a", "a", "b", "a", "b", "c", "d")...)
	})
}

func TestAHostThatIsWellButBreaksEveryPublishIsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, "one")
		h.set("one", refuse)
		bodies := make([]string, 20)
		for i := range bodies {
			bodies[i] = fmt.Sprint(i)
		}
		outcomes := h.publish(messages(bodies...), nil)
		if errors.Is(outcomes[0], glue.ErrUnavailable) || !errors.Is(outcomes[19], glue.ErrUnavailable) {
			t.Errorf("got %v", outcomes)
		}
	})
}

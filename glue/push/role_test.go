package push_test

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jarcoal/httpmock"

	"pushglue/glue/push"
)

// TestRoles: a host that drains gets everything and is not waited for; one that is out gets nothing until it is back.
func TestRoles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, "one", "two")
		h.process("two", 1)
		h.wantPublished("1")
		h.setRole("two", push.Drain)
		h.set("two", slowly(500*time.Millisecond))
		begin := time.Now()
		h.wantPublished("2")
		if took := time.Since(begin); took != 0 {
			t.Errorf("a message waited for %s for a host that drains", took)
		}
		time.Sleep(time.Second)
		h.want("two", "1", "2")
		h.set("two", nil)
		h.setRole("http://two/", push.Out)
		h.wantPublished("3", "4")
		time.Sleep(5 * time.Second)
		h.want("two", "1", "2")
		if s := h.status("two"); s.Role != push.Out || s.State != "down" || s.Due != 2 || s.LagMS != 5000 {
			t.Errorf("%+v", s)
		}
		h.setRole("two", push.In)
		time.Sleep(2 * time.Second)
		h.want("two", "1", "2", "3", "4")
		if s := h.status("two"); s.Role != push.In || s.State != "up" || s.Reason != "" {
			t.Errorf("%+v", s)
		}
		if text := h.log.String(); strings.Contains(text, `"level":"error"`) || strings.Contains(text, `"level":"warn"`) {
			t.Errorf("the log alarms: %s", text)
		}
	})
}

// TestAHostThatIsOutForLong has missed what is too old for it, though nothing else is published that would show it.
func TestAHostThatIsOutForLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, "one", "two")
		h.setRole("two", push.Out)
		h.wantPublished("1", "2")
		time.Sleep(time.Hour)
		if s := h.status("two"); s.Due != 0 || s.LagMS != 0 || s.Missed != 2 {
			t.Errorf("%+v", s)
		}
	})
}

// TestAHostThatWasRestartedWhileItWasOut gets what was published of late, and nobody alarms about the restart of one that is out.
func TestAHostThatWasRestartedWhileItWasOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, "one", "two")
		h.process("two", 1)
		h.wantPublished("1")
		h.setRole("two", push.Out)
		h.setSilent("two", refuse)
		h.wantPublished("2")
		time.Sleep(10 * time.Second)
		h.set("two", nil)
		h.process("two", 2)
		time.Sleep(5 * time.Second)
		h.want("two", "1") // it is not asked back into service
		h.setRole("two", push.In)
		time.Sleep(2 * time.Second)
		h.want("two", "1", "1", "2")
		h.wantMissed(0)
		if strings.Contains(h.log.String(), "push host is down") {
			t.Errorf("the log says %s", h.log.String())
		}
	})
}

// TestAHostThatDrainsIsUsedWhenNoOtherIsUp: losing nothing beats waiting. One that is out is not used even then.
func TestAHostThatDrainsIsUsedWhenNoOtherIsUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, "one", "two")
		h.setRole("two", push.Drain)
		h.setSilent("one", refuse)
		h.wantPublished("0") // two has it by then
		time.Sleep(5 * time.Second)
		h.set("two", slowly(100*time.Millisecond))
		begin := time.Now()
		h.wantPublished("1")
		if took := time.Since(begin); took != 100*time.Millisecond {
			t.Errorf("it took %s", took)
		}
		h.want("two", "0", "1")
		h.setRole("two", push.Out)
		outcomes := h.publish(messages("2"), nil)
		if outcomes[0] == nil {
			t.Error("a message is published though one host is down and the other one out")
		}
		h.setRole("one", push.Out)
		if outcomes = h.publish(messages("2"), nil); outcomes[0] == nil || !strings.Contains(outcomes[0].Error(), "taken out by an operator") {
			t.Errorf("got %v", outcomes[0])
		}
	})
}

// TestRolesUnderLoad: whatever an operator does with one host, both get everything, in order.
func TestRolesUnderLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := startWith(t, push.Config{Recent: push.Recent{Messages: 100_000, Time: time.Hour}}, "one", "two")
		h.process("one", 1)
		h.process("two", 2)
		for _, host := range []string{"one", "two"} {
			h.set(host, quickly)
		}
		end := h.publishing(8)
		for _, role := range []push.Role{push.Drain, push.Out, push.Drain, push.In, push.Out, push.In} {
			time.Sleep(2 * time.Second)
			h.setRole("two", role)
		}
		time.Sleep(5 * time.Second)
		published := end()
		time.Sleep(time.Minute) // a host that fell behind is as slow as before
		h.wantAll("one", published)
		h.wantAll("two", published)
		h.wantNothingMissed()
	})
}

func TestSetRoleRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, "one", "two")
		if err := h.push.SetRole("on", push.Out); err == nil || !strings.Contains(err.Error(), `"on"; there are one, two`) {
			t.Errorf("got %v", err)
		}
		if err := h.push.SetRole("one", "off"); err == nil || !strings.Contains(err.Error(), "it is in, drain or out") {
			t.Errorf("got %v", err)
		}
	})
}

// TestAHostThatDrainsAlarmsNobody when it refuses everything.
func TestAHostThatDrainsAlarmsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, "one", "two")
		h.setRole("two", push.Drain)
		h.setSilent("two", func(*http.Request, string) (*http.Response, error) { return httpmock.NewStringResponse(500, ""), nil })
		h.wantPublished(numbers(50)...)
		time.Sleep(time.Minute)
		if s := h.status("two"); s.State != "down" {
			t.Errorf("%+v", s)
		}
		if text := h.log.String(); strings.Contains(text, `"level":"error"`) || strings.Contains(text, `"level":"warn"`) {
			t.Errorf("the log alarms: %s", text)
		}
	})
}

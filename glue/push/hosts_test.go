package push_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pushglue/glue/push"
)

func (h *hosts) setHosts(names ...string) {
	h.t.Helper()
	var targets []push.Target
	for _, name := range names {
		targets = append(targets, push.Target{URL: "http://" + name})
	}
	if err := h.push.SetHosts(targets); err != nil {
		h.t.Error(err)
	}
}

func (h *hosts) setRole(host string, role push.Role) {
	h.t.Helper()
	if err := h.push.SetRole(host, role); err != nil {
		h.t.Error(err)
	}
}

func (h *hosts) status(host string) push.HostStatus {
	h.t.Helper()
	list := h.push.Hosts()
	i := slices.IndexFunc(list, func(s push.HostStatus) bool { return s.Name == host })
	if i < 0 {
		h.t.Fatalf("no host %s in %+v", host, list)
	}
	return list[i]
}

// missed returns how many messages the ledger says that a host missed.
func (h *hosts) missed(host string) int64 {
	for _, s := range h.ledger.Sums().Hosts {
		if s.Name == host {
			return s.Missed
		}
	}
	h.t.Errorf("the ledger knows no host %s", host)
	return -1
}

// publishing publishes messages one after the other from some goroutines until the returned function is called, which
// returns what was published, by goroutine. Each must be published, at the first attempt or, while no host is
// up, at a later one.
func (h *hosts) publishing(goroutines int) (end func() [][]string) {
	published := make([][]string, goroutines)
	stop := make(chan struct{})
	var all sync.WaitGroup
	for g := range goroutines {
		all.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				body := fmt.Sprintf("%d:%05d", g, i)
				batch, outcomes := messages(body), make([]error, 1)
				for h.push.Publish(h.t.Context(), batch, outcomes); outcomes[0] != nil; h.push.Publish(h.t.Context(), batch, outcomes) {
					time.Sleep(50 * time.Millisecond)
				}
				published[g] = append(published[g], body)
				time.Sleep(time.Millisecond)
			}
		})
	}
	return func() [][]string { close(stop); all.Wait(); return published }
}

// wantAll wants that a host got everything, in order, once.
func (h *hosts) wantAll(host string, published [][]string) {
	h.t.Helper()
	got := h.received(host)
	for g, want := range published {
		prefix := fmt.Sprint(g, ":")
		mine := slices.DeleteFunc(slices.Clone(got), func(body string) bool { return !strings.HasPrefix(body, prefix) })
		if len(want) == 0 || !slices.Equal(mine, want) {
			h.t.Errorf("%s got %d messages of goroutine %d, want %d: in order, each once", host, len(mine), g, len(want))
		}
	}
}

// quickly answers after a moment, as a real host does.
func quickly(r *http.Request, body string) (*http.Response, error) {
	return slowly(3*time.Millisecond)(r, body)
}

// TestHostsComeAndGoUnderLoad: a host that stays gets everything once and in order, and one that comes does so from what was
// published of late on.
func TestHostsComeAndGoUnderLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := startWith(t, push.Config{Recent: push.Recent{Messages: 100_000, Time: time.Hour}}, "one", "two")
		for _, host := range []string{"one", "two", "three", "four"} {
			h.set(host, quickly)
		}
		end := h.publishing(8)
		time.Sleep(time.Second)
		h.setHosts("one", "two", "three")
		time.Sleep(time.Second)
		h.setHosts("three", "one") // in another order
		time.Sleep(time.Second)
		gone := len(h.received("two"))
		h.setHosts("one", "three", "four")
		time.Sleep(time.Second)
		published := end()
		time.Sleep(5 * time.Second)
		for _, host := range []string{"one", "three", "four"} {
			h.wantAll(host, published)
			if s := h.status(host); s.State != "up" || s.Due != 0 || s.Missed != 0 || h.missed(host) != 0 {
				t.Errorf("%+v", s)
			}
		}
		if n := len(h.received("two")); n != gone || n == 0 {
			t.Errorf("the host that was removed got %d messages, %d of them later", n, n-gone)
		}
		if n := h.missed("two"); n > 8 {
			t.Errorf("it missed %d messages, though it was up: more than were being published when it was removed", n)
		}
		if err := h.ledger.Sums().Balance(); err != nil {
			t.Error(err)
		}
	})
}

// TestAllHostsAreExchangedUnderLoad: nothing waits for those that are gone.
func TestAllHostsAreExchangedUnderLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := startWith(t, push.Config{Recent: push.Recent{Messages: 100_000, Time: time.Hour}}, "one")
		h.set("one", quickly)
		end := h.publishing(4)
		for i := range 10 {
			time.Sleep(100 * time.Millisecond)
			h.setHosts(fmt.Sprint("new-", i))
		}
		time.Sleep(100 * time.Millisecond)
		published := end()
		time.Sleep(time.Second)
		last := h.received("new-9")
		for _, mine := range published {
			for _, body := range mine {
				if !slices.Contains(last, body) {
					t.Errorf("the last host lacks %s", body)
				}
			}
		}
	})
}

// TestAHostThatHangsIsRemoved: what waits for it goes on, and its exchange is given up.
func TestAHostThatHangsIsRemoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := startWith(t, push.Config{Timeout: time.Hour, Deadline: time.Minute}, "one", "two")
		h.set("two", slowly(time.Hour))
		var wg sync.WaitGroup
		begin := time.Now()
		wg.Go(func() { h.wantPublished("1") })
		time.Sleep(time.Second)
		go h.setHosts("one")
		wg.Wait()
		if took := time.Since(begin); took != time.Second {
			t.Errorf("the message waited for %s", took)
		}
		time.Sleep(2 * time.Minute)
		if n := h.missed("two"); n != 1 {
			t.Errorf("the host that was removed missed %d messages, want 1", n)
		}
		h.wantPublished("2")
		h.want("two", "1")
	})
}

// TestANewHostThatIsDown holds up nobody, and has not missed what was published before it came.
func TestANewHostThatIsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, "one")
		h.wantPublished(numbers(5)...)
		h.setSilent("two", refuse)
		h.setHosts("one", "two")
		time.Sleep(5 * time.Second)
		h.wantPublished("x", "y")
		if s := h.status("two"); s.State != "down" || s.Due != 7 || !strings.Contains(s.Reason, "connection refused") {
			t.Errorf("%+v", s)
		}
		time.Sleep(time.Hour)
		h.wantPublished("z")
		h.wantMissed(2)
		h.setSilent("two", nil)
		time.Sleep(5 * time.Second)
		if got := h.received("two"); got[len(got)-1] != "z" {
			t.Errorf("got %q", got)
		}
	})
}

// TestARetryAfterHostsChanged: a host that has another one's number does not count as having what that one had.
func TestARetryAfterHostsChanged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, "one", "two")
		h.set("two", status(500))
		batch := messages("1")
		outcomes := h.publish(batch, nil)
		if outcomes[0] == nil {
			t.Fatal("it is published")
		}
		h.setHosts("two")
		h.setHosts("two", "three") // in one's place
		h.set("two", nil)
		if outcomes = h.publish(batch, outcomes); outcomes[0] != nil {
			t.Error(outcomes[0])
		}
		time.Sleep(time.Minute)
		h.want("three", "1")
		h.setHosts("two", "three", "four", "five")
		h.want("one", "1")
	})
}

func TestSetHostsRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := startWith(t, push.Config{Policy: 2}, "one", "two")
		for _, test := range []struct {
			urls []string
			want string
		}{
			{nil, "no push hosts"},
			{[]string{"http://one"}, "2 push hosts must have each message, but there are only 1"},
			{[]string{"http://one", "http://one"}, "named twice"},
			{[]string{"http://one", "ftp://two"}, "push host 2 of 2"},
		} {
			if err := h.push.SetHosts(push.Targets(test.urls...)); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%q: got %v, want %q", test.urls, err, test.want)
			}
		}
		h.wantPublished("1")
		h.want("one", "1")
		h.want("two", "1")
		h.push.Close()
		if err := h.push.SetHosts(push.Targets("http://one", "http://three")); err == nil {
			t.Error("a closed publisher takes hosts")
		}
	})
}

// TestThereIsNoHostAtFirst: messages wait.
func TestThereIsNoHostAtFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := startWith(t, push.Config{Waits: true})
		batch := messages("1")
		outcomes := h.publish(batch, nil)
		if outcomes[0] == nil || !strings.Contains(outcomes[0].Error(), "no push host is known yet") {
			t.Errorf("got %v", outcomes[0])
		}
		h.setHosts("one")
		if outcomes = h.publish(batch, outcomes); outcomes[0] != nil {
			t.Error(outcomes[0])
		}
		h.want("one", "1")
	})
}

// TestARemovedHostHasMissed what was being published then, and what was kept no longer before its lane ended.
func TestARemovedHostHasMissed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := startWith(t, push.Config{Timeout: time.Hour}, "one", "two")
		h.set("one", slowly(5*time.Second))
		h.set("two", slowly(time.Minute))
		var publishing sync.WaitGroup
		publishing.Go(func() { h.wantPublished("1") })
		time.Sleep(100 * time.Millisecond)
		h.setHosts("one")
		publishing.Wait()
		if n := h.missed("two"); n != 1 {
			t.Errorf("the host that was removed missed %d, want 1", n)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		h := startWith(t, push.Config{
			Policy: push.Any, Timeout: time.Hour, Deadline: 20 * time.Second, Recent: push.Recent{Messages: 10_000, Time: 10 * time.Second},
		}, "one", "two")
		h.set("two", slowly(time.Hour))
		h.wantPublished("0")
		time.Sleep(time.Second)
		h.wantPublished("1", "2", "3")
		time.Sleep(time.Second)
		var setting sync.WaitGroup
		setting.Go(func() { h.setHosts("one") })
		time.Sleep(15 * time.Second)
		h.wantPublished("4") // after which the others are kept no longer
		setting.Wait()
		if n := h.missed("two"); n != 4 {
			t.Errorf("the host that was removed missed %d, want 4", n)
		}
	})
}

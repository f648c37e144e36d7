package push_test

import (
	"bytes"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"pushglue/glue"
	"pushglue/glue/eventstream"
	"pushglue/glue/gluetest/service"
	"pushglue/glue/push"
)

// TestARefusedBodyIsNotTakenForARequest has a push host refuse a message whose body looks like a
// request's beginning, for which the next request would be the rest. No check of ours would let
// such a channel pass, but the host refuses others too, for lack of memory. A body is one line, so
// it is no whole request by itself.
func TestARefusedBodyIsNotTakenForARequest(t *testing.T) {
	for _, module := range []string{service.Nchan, service.PushStream} {
		t.Run(module, func(t *testing.T) {
			host := service.StartNginx(t, module)
			reader, err := eventstream.Subscribe(t.Context(), host.PublicURL()+"/subscribe/good", "")
			if err != nil {
				t.Fatal(err)
			}
			defer reader.Close()
			p, err := push.New(push.Config{Hosts: []string{host.InternalURL()}, Module: push.Module(module)})
			if err != nil {
				t.Fatal(err)
			}
			defer p.Close()
			bad := glue.NewMessage("bad", []byte("GET /healthz?"))
			bad.Channels = []string{"ALL"}
			good := glue.NewMessage("good", []byte(`{"id":"good"}`))
			good.Channels = []string{"good"}
			for range 20 {
				outcomes := make([]error, 2)
				p.Publish(t.Context(), []*glue.Message{bad, good}, outcomes)
				if outcomes[0] == nil || outcomes[1] != nil {
					t.Fatalf("outcomes are %v", outcomes)
				}
				event, err := reader.Next()
				if err != nil || event.Data != `{"id":"good"}` {
					t.Fatalf("the reader received %q, %v", event.Data, err)
				}
			}
		})
	}
}

// TestARestartedNginxGetsWhatWasPublishedOfLate restarts real push hosts, fast enough for nobody to find them down, and reloads
// them. A reload empties Nchan's memory too, not push-stream's.
func TestARestartedNginxGetsWhatWasPublishedOfLate(t *testing.T) {
	restart := func(host *service.Nginx) { host.Stop(); host.Start() }
	for _, test := range []struct {
		module string
		what   string
		do     func(*service.Nginx)
		again  bool
	}{
		{service.Nchan, "restart", restart, true},
		{service.Nchan, "reload", (*service.Nginx).Reload, true},
		{service.PushStream, "restart", restart, true},
		{service.PushStream, "reload", (*service.Nginx).Reload, false},
	} {
		t.Run(test.module+"/"+test.what, func(t *testing.T) {
			host := service.StartNginx(t, test.module)
			var log lockedBuffer
			p, err := push.New(push.Config{Hosts: []string{host.InternalURL()}, Module: push.Module(test.module), Log: zerolog.New(&log)})
			if err != nil {
				t.Fatal(err)
			}
			defer p.Close()
			p.Ping(t.Context()) // from here on the host is known
			publish := func(batch ...string) {
				outcomes := make([]error, len(batch))
				p.Publish(t.Context(), messages(batch...), outcomes)
				wantPublished(t, outcomes)
			}
			publish("1", "2")
			test.do(host)
			reader, err := eventstream.Subscribe(t.Context(), host.PublicURL()+"/subscribe/a", "")
			if err != nil {
				t.Fatal(err)
			}
			defer reader.Close()
			defer time.AfterFunc(time.Minute, func() { reader.Close() }).Stop()
			publish("3")
			want := []string{"3"}
			if test.again {
				want = []string{"1", "2", "3"}
			}
			for len(want) > 0 {
				event, err := reader.Next()
				if err != nil {
					t.Fatal(err)
				}
				if event.Data == want[0] {
					want = want[1:]
				} else if !test.again {
					t.Fatalf("the reader got %q", event.Data)
				}
			}
			if again := strings.Count(log.String(), "was restarted"); again != 1 && test.again || again != 0 && !test.again {
				t.Errorf("the log says %s", log.String())
			}
		})
	}
}

// lockedBuffer may be read while it is written.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

package push_test

import (
	"fmt"
	"net/url"
	"strings"
	"testing"

	"pushglue/glue"
	"pushglue/glue/eventstream"
	"pushglue/glue/gluetest/service"
)

// startSkippingNginx starts a push-stream host that stores nothing, and what skips on it.
func startSkippingNginx(t *testing.T, opts ...service.NginxOption) (*skipping, *service.Nginx) {
	t.Helper()
	host := service.StartNginx(t, service.PushStream, append(opts, service.NginxStore(false))...)
	return newSkipping(t, nil, host.InternalURL()), host
}

// wantNext waits for messages of a stream.
func wantNext(t *testing.T, stream *eventstream.Subscription, want ...string) {
	t.Helper()
	for _, body := range want {
		if event, err := stream.Next(); err != nil || event.Data != body {
			t.Fatalf("the reader got %q, %v; want %s", event.Data, err, body)
		}
	}
}

// wantSums checks what was sent and skipped so far.
func (s *skipping) wantSums(sent, skipped int64) {
	s.t.Helper()
	if sums := s.ledger.Sums().Hosts[0]; sums.Sent != sent || sums.Skipped != skipped {
		s.t.Errorf("%d sent and %d skipped, want %d and %d", sums.Sent, sums.Skipped, sent, skipped)
	}
}

func TestNginxReadersMissNothingThatIsSkipped(t *testing.T) {
	for _, workers := range []int{1, 3} {
		t.Run(fmt.Sprint(workers, " workers"), func(t *testing.T) {
			s, host := startSkippingNginx(t, service.NginxWorkers(workers))
			s.publish(to("1", "a"), to("2", "a", "b", "grüße & küsse"))
			s.wantSums(0, 2)
			reader := subscribe(t, host.PublicURL(), url.PathEscape("grüße & küsse"))
			awaitListening(t, s, reader, "grüße & küsse")
			before := s.ledger.Sums().Hosts[0]
			s.publish(to("3", "a", "b", "grüße & küsse"), to("4", "b"), to("5", "grüße & küsse"), to("6", `say "hi"`))
			wantNext(t, reader, "3", "5")
			s.wantSums(before.Sent+3, before.Skipped+1)
			s.wantLog(0, "warn")
		})
	}
}

// awaitListening publishes to a channel until its reader gets something: with several workers a stream is
// greeted an instant before it listens.
func awaitListening(t *testing.T, s *skipping, reader *eventstream.Subscription, channel string) {
	t.Helper()
	for sent := int64(0); sent == 0; sent = s.ledger.Sums().Hosts[0].Sent {
		s.publish(to("listening", channel))
	}
	wantNext(t, reader, "listening")
}

// Every reader gets all that is published after it has come, to the message, while many come and go.
func TestNginxReadersThatCome(t *testing.T) {
	s, host := startSkippingNginx(t)
	for i := range 100 {
		channel := fmt.Sprint("channel ", i)
		s.publish(to("before", channel))
		reader := subscribe(t, host.PublicURL(), url.PathEscape(channel))
		s.publish(to("after", channel), to("more", "other", channel))
		wantNext(t, reader, "after", "more")
		reader.Close()
	}
	s.wantSums(200, 100)
}

// A reload ends the connections, of the question as well, and may make a host one that stores. From
// then on it gets everything, at once.
func TestNginxReloadThatTurnsStoringOn(t *testing.T) {
	s, host := startSkippingNginx(t)
	s.publish(to("1", "a"))
	host.Reload()
	s.publish(to("2", "a"))
	s.wantSums(0, 2)
	host.Store(true)
	host.Reload()
	s.publish(to("3", "a"), to("4", "b"))
	s.wantSums(2, 2)
	wantNext(t, subscribe(t, host.PublicURL(), "a.b10"), "3")
	s.wantLog(1, `"level":"warn"`)
	s.wantLog(1, "push host stores messages")
}

func TestNginxThatStoresIsNeverSkipped(t *testing.T) {
	host := service.StartNginx(t, service.PushStream)
	s := newSkipping(t, nil, host.InternalURL())
	s.publish(to("1", "a"))
	s.publish(to("2", "a"))
	s.wantSums(2, 0)
	wantNext(t, subscribe(t, host.PublicURL(), "a.b10"), "1", "2")
}

// The longest names fit, however many there are.
func TestNginxTakesLongLists(t *testing.T) {
	s, host := startSkippingNginx(t)
	name := func(i int) string { return fmt.Sprintf("%03d:%s", i, strings.Repeat("ü", (glue.MaxChannelLen-4)/2)) }
	reader := subscribe(t, host.PublicURL(), url.PathEscape(name(999)))
	batch := make([]*glue.Message, 1000)
	for i := range batch {
		batch[i] = to(fmt.Sprint(i), name(i))
	}
	s.publish(batch...)
	s.wantSums(1, 999)
	s.wantLog(0, "warn")
	wantNext(t, reader, "999")
}

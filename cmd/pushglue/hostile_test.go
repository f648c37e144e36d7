package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"pushglue/glue/eventstream"
	"pushglue/glue/gluetest/service"
	"pushglue/glue/sign"
	"pushglue/glue/thoonk"
)

// hostilePipelines take the name of a channel, the type and the id from jobs as they come.
const hostilePipelines = `pipelines:
  - name: all
    feed: f
    stages: [json, route: {channels: ["c:all", "{d}", "c:{d}"], invalid: skip}, format: {drop: [event], type: "{event}"}]
    publish: push
`

// hostileParts are what hostile texts are made of: whatever means something to somebody on the way.
var hostileParts = []string{
	"victim", "victim", "private:victim", "%70rivate:victim", "c:all", "/", "%2F", "%2f", "%252F", "\r\n", "\n", "\r", "\n\n", "%0a", "%0d%0a", "\u2028", "\u2029", "\u0085", "\x00", "%00",
	".b10", ".b1", "*", "ALL", "?", "%3f", "#", "&", "&id=victim", "?id=victim", " ", "\t", "+", "%", "%zz", "%1z", "..", ".", "//", "\\", `"`, "'", "<", ">", "{d}", "${arg_id}", "$arg_id",
	" HTTP/1.1\r\nHost: x\r\n\r\nPOST /publish?id=victim", "\r\nEvent-Id: evil", "\r\nX-EventSource-Event: evil", "\nevent: evil\n", "\nid: evil\n", "\ndata: evil\n\n", ": ", "data: evil", "event: evil",
	"\x1b[2J", "\u202e", "\ufeff", "é", "日本", "👩‍👩‍👧", "\U0010ffff", "x", "1", "-1", "~text~", "null", strings.Repeat("A", 130), strings.Repeat("é", 64),
}

// hostileText returns a seeded text. It is no channel of a victim as such: that would be a route, and no attack.
func hostileText(random *rand.Rand) string {
	for {
		var text strings.Builder
		for range 1 + random.IntN(4) {
			text.WriteString(hostileParts[random.IntN(len(hostileParts))])
		}
		if text.String() != "victim" {
			return text.String()
		}
	}
}

// hostileJob returns a job's payload; surrogates without their other half are spelled in JSON alone.
func hostileJob(random *rand.Rand, n int) []byte {
	job := map[string]any{"n": n, "d": hostileText(random), "text": hostileText(random), "event": "e", "id": fmt.Sprintf("job%d", n)}
	switch random.IntN(8) {
	case 0:
		job["event"] = hostileText(random)
	case 1:
		job["id"] = hostileText(random)
	}
	payload, err := json.Marshal(job)
	if err != nil {
		panic(err) // a map of texts and numbers
	}
	return []byte(strings.ReplaceAll(string(payload), `~text~`, `\ud800`))
}

// TestNoContentLeavesItsChannels puts seeded hostile jobs through the whole path, with a reader of each kind on the channel
// that all go to, and readers on channels that none may reach.
func TestNoContentLeavesItsChannels(t *testing.T) {
	const jobs, seed = 600, 5
	for _, module := range []string{service.Nchan, service.PushStream} {
		t.Run(module, func(t *testing.T) {
			workdir(t, hostilePipelines)
			key := strings.Repeat("k", 32)
			host := service.StartNginx(t, module, service.NginxFile("common/private-key.conf", "set $private_key "+key+";\n"))
			store := service.StartRedis(t)
			signer, err := sign.New(key)
			if err != nil {
				t.Fatal(err)
			}
			private, err := signer.Path(sign.Subscribe, time.Now().Add(time.Hour), "private:victim")
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			victims := []*eventstream.Subscription{subscribe(ctx, t, host.PublicURL()+"/subscribe/victim"), subscribe(ctx, t, host.PublicURL()+private)}
			all, frames := subscribe(ctx, t, host.PublicURL()+"/subscribe/c:all"), openWebSocket(t, host, "c:all")

			random := rand.New(rand.NewPCG(seed, seed))
			payloads := map[string][]byte{}
			list := make([][]byte, jobs)
			for n := range list {
				list[n] = hostileJob(random, n)
				payloads[fmt.Sprint(n)] = list[n]
			}
			feed, err := thoonk.NewFeed(store.Client(t), "f", thoonk.ThoonkPy)
			if err != nil {
				t.Fatal(err)
			}
			list = append(list, []byte(`{"n":"last","d":"victim","event":"e","id":"last"}`))
			if _, err := feed.Put(t.Context(), list, thoonk.PutOptions{}); err != nil {
				t.Fatal(err)
			}
			daemon := startDaemon(t, "REDIS_URL="+store.URL(), "PUSH_MODULE="+module, "PUSH_HOSTS="+host.InternalURL())
			eventually(t, "all jobs are done", func() bool {
				counts, err := feed.Counts(t.Context())
				return err == nil && counts.Stalled+counts.Finished == jobs+1
			})
			sums := daemon.Stop()
			published := sums.Pipelines[0].Publish.Published
			if sums.Hosts[0].Accepted != published || sums.Hosts[0].Rejected != 0 || published < jobs/2 || published == jobs+1 {
				t.Errorf("the seed makes %d of %d messages: %+v", published, jobs, sums.Hosts[0])
			}

			// Each message came once, whole, and as nothing else.
			var bodies []string
			for range published {
				event, err := all.Next()
				if err != nil {
					t.Fatalf("after %d of %d: %v", len(bodies), published, err)
				}
				requireHonest(t, event, payloads, module)
				bodies = append(bodies, event.Data)
				if frame := nextFrame(t, frames); frame != event.Data {
					t.Fatalf("the WebSocket got %q, want %q", frame, event.Data)
				}
			}
			checkPoll(t, host, module, bodies)

			// The victims got what is theirs, first of all.
			publishTo(t, host, "private:victim", "for the private victim")
			for i, want := range []string{`"n":"last"`, "for the private victim"} {
				if event, err := victims[i].Next(); err != nil || !strings.Contains(event.Data, want) {
					t.Errorf("victim %d got %q, %v", i, event.Data, err)
				}
			}
		})
	}
}

// requireHonest requires that an event is what its job says, in each field.
func requireHonest(t *testing.T, event eventstream.Event, payloads map[string][]byte, module string) {
	t.Helper()
	var got, want map[string]any
	if err := json.Unmarshal([]byte(event.Data), &got); err != nil {
		t.Fatalf("an event's data is %q: %v", event.Data, err)
	}
	if got["n"] == "last" {
		return
	}
	if err := json.Unmarshal(payloads[fmt.Sprint(got["n"])], &want); err != nil {
		t.Fatal(err)
	}
	kind, id := fmt.Sprint(want["event"]), fmt.Sprint(want["id"])
	delete(want, "event")
	if !reflect.DeepEqual(got, want) || event.Type != kind || module == service.PushStream && event.ID != id {
		t.Errorf("got the event %q %q %q\nof the job %q", event.ID, event.Type, event.Data, payloads[fmt.Sprint(got["n"])])
	}
}

// checkPoll polls for what is stored of c:all: each line is one whole message.
func checkPoll(t *testing.T, host *service.Nginx, module string, bodies []string) {
	t.Helper()
	target := "/poll/c:all?last_event_id=x"
	if module == service.PushStream {
		target = "/poll/c:all.b20"
	}
	resp, err := http.Get(host.PublicURL() + target)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	if want := bodies[len(bodies)-len(got):]; len(got) < 10 || !reflect.DeepEqual(got, want) {
		t.Errorf("polling got %q\nwant %q", got, want)
	}
}

func subscribe(ctx context.Context, t *testing.T, address string) *eventstream.Subscription {
	t.Helper()
	s, err := eventstream.Subscribe(ctx, address, "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// publishTo publishes on the internal side.
func publishTo(t *testing.T, host *service.Nginx, channel, body string) {
	t.Helper()
	resp, err := http.Post(host.InternalURL()+"/publish?id="+url.QueryEscape(channel), "text/plain", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
}

// openWebSocket opens a WebSocket, and returns when it listens: the daemon starts later than that takes, and a message
// that it missed would show.
func openWebSocket(t *testing.T, host *service.Nginx, channel string) *bufio.Reader {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(host.PublicURL(), "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	_, err = fmt.Fprintf(conn, "GET /ws/%s HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n", channel)
	if err != nil {
		t.Fatal(err)
	}
	frames := bufio.NewReader(conn)
	resp, err := http.ReadResponse(frames, nil)
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("got %v, %v", resp, err)
	}
	eventually(t, "the WebSocket listens", func() bool {
		resp, err := http.Get(host.InternalURL() + "/channels-stats")
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		return err == nil && (strings.Contains(string(text), "\nsubscribers: 4\n") || strings.Contains(string(text), `"subscribers": 4,`))
	})
	return frames
}

// nextFrame reads one whole text frame of a server.
func nextFrame(t *testing.T, frames *bufio.Reader) string {
	t.Helper()
	var head [2]byte
	if _, err := io.ReadFull(frames, head[:]); err != nil {
		t.Fatal(err)
	}
	if head[0] != 0x81 || head[1]&0x80 != 0 {
		t.Fatalf("a frame begins with %x", head)
	}
	size := int(head[1])
	if size >= 126 {
		long := make([]byte, 2)
		if size == 127 {
			long = make([]byte, 8)
		}
		if _, err := io.ReadFull(frames, long); err != nil {
			t.Fatal(err)
		}
		size = 0
		for _, b := range long {
			size = size<<8 | int(b)
		}
	}
	text := make([]byte, size)
	if _, err := io.ReadFull(frames, text); err != nil {
		t.Fatal(err)
	}
	return string(text)
}

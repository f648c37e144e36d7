package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"pushglue/glue"
	"pushglue/glue/gluetest"
	"pushglue/glue/gluetest/conform"
	"pushglue/glue/gluetest/service"
	"pushglue/glue/thoonk"
)

// goldenKey is the key with which the golden files were made.
const goldenKey = "ANONYMIZE_KEY=golden key, known to all"

// comment is a job and what its readers must receive.
type comment struct {
	payload  string
	channels []string
	event    gluetest.Event
}

// loadComments returns n comments: those of testdata with their golden outputs, again and again,
// but with an id of its own for each.
func loadComments(t *testing.T, n int) []comment {
	t.Helper()
	payloads, goldens := lines(t, "comments.jsonl"), lines(t, "comments.golden.jsonl")
	list := make([]comment, n)
	for i := range list {
		var golden struct {
			ID       string
			Type     string
			Channels []string
			Body     string
		}
		if err := json.Unmarshal([]byte(goldens[i%len(goldens)]), &golden); err != nil {
			t.Fatal(err)
		}
		payload, body, id := payloads[i%len(payloads)], golden.Body, golden.ID
		if round := i / len(payloads); round > 0 {
			suffix := "-" + strconv.Itoa(round)
			id = golden.ID[:min(len(golden.ID), glue.MaxTokenLen-len(suffix))] + suffix
			payload = strings.Replace(payload, idIn(t, payload, golden.ID), strconv.Quote(id), 1)
			body = strings.Replace(body, idIn(t, body, golden.ID), strconv.Quote(id), 1)
		}
		list[i] = comment{payload, golden.Channels, gluetest.Event{ID: id, Type: golden.Type, Data: body}}
	}
	return list
}

// idIn returns the id as text has it: quoted, or as a number.
func idIn(t *testing.T, text, id string) string {
	t.Helper()
	for _, form := range []string{strconv.Quote(id), id} {
		if strings.Contains(text, form) {
			return form
		}
	}
	t.Fatalf("no id %s in %.100s", id, text)
	return ""
}

func lines(t *testing.T, name string) []string {
	t.Helper()
	text, err := os.ReadFile("../../testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSpace(string(text)), "\n")
}

// readers are EventSource readers, one for each channel of each push host.
type readers struct {
	t      *testing.T
	module string
	wg     sync.WaitGroup

	mu  sync.Mutex
	got map[string][]gluetest.Event // by host and channel
	n   int
}

func startReaders(t *testing.T, module string, hosts []*service.Nginx, comments []comment) *readers {
	t.Helper()
	r := &readers{t: t, module: module, got: map[string][]gluetest.Event{}}
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(func() { cancel(); r.wg.Wait() })
	for name := range r.expected(comments) {
		for h, host := range hosts {
			s, err := gluetest.Subscribe(ctx, host.PublicURL()+"/subscribe/"+url.PathEscape(name), "")
			if err != nil {
				t.Fatal(err)
			}
			r.wg.Go(func() { r.read(s, key(h, name)) })
		}
	}
	return r
}

func key(host int, channel string) string { return fmt.Sprint(host, " ", channel) }

func (r *readers) read(s *gluetest.Subscription, key string) {
	defer s.Close()
	for {
		event, err := s.Next()
		if err != nil {
			return
		}
		if r.module == service.Nchan {
			event.ID = "" // Nchan's own; pushglue's is in the data
		}
		r.mu.Lock()
		r.got[key] = append(r.got[key], event)
		r.n++
		r.mu.Unlock()
	}
}

func (r *readers) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.n
}

// expected returns what a reader of each channel must receive.
func (r *readers) expected(comments []comment) map[string][]gluetest.Event {
	want := map[string][]gluetest.Event{}
	for _, c := range comments {
		event := c.event
		if r.module == service.Nchan {
			event.ID = ""
		}
		for _, name := range c.channels {
			want[name] = append(want[name], event)
		}
	}
	return want
}

// check waits until every reader has as many events as it must receive, and compares them:
// exactly its channel's messages, in order, once, byte for byte.
func (r *readers) check(hosts int, comments []comment) {
	r.t.Helper()
	want := r.expected(comments)
	total := 0
	for _, events := range want {
		total += len(events) * hosts
	}
	for deadline := time.Now().Add(patience); r.count() < total && time.Now().Before(deadline); {
		time.Sleep(5 * time.Millisecond)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for name, events := range want {
		for h := range hosts {
			if got := r.got[key(h, name)]; !slices.Equal(got, events) {
				r.t.Errorf("host %d, channel %q: %s", h, name, difference(got, events))
			}
		}
	}
}

// difference tells where two lists of events part.
func difference(got, want []gluetest.Event) string {
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			return fmt.Sprintf("event %d of %d is\n%+.300v\nwant\n%+.300v", i, len(want), got[i], want[i])
		}
	}
	return fmt.Sprintf("%d events, want %d", len(got), len(want))
}

// putRaw puts jobs with the commands of a Thoonk producer.
func putRaw(t *testing.T, rdb redis.UniversalClient, dialect thoonk.Dialect, comments []comment) {
	t.Helper()
	payloads := make([]string, len(comments))
	for i, c := range comments {
		payloads[i] = c.payload
	}
	if _, err := conform.RawPut(t.Context(), rdb, dialect, "comments", payloads...); err != nil {
		t.Fatal(err)
	}
}

func waitFinished(t *testing.T, rdb redis.UniversalClient, dialect thoonk.Dialect, n int) {
	t.Helper()
	feed, err := thoonk.NewFeed(rdb, "comments", dialect)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, fmt.Sprintf("%d jobs finished", n), func() bool {
		counts, err := feed.Counts(t.Context())
		return err == nil && counts.Finished >= int64(n)
	})
}

// memory lets a push host hold what the end-to-end tests store.
var memory = map[string]service.NginxOption{
	service.Nchan:      service.NginxFile("nchan/memory.conf", "nchan_shared_memory_size 512m;\n"),
	service.PushStream: service.NginxFile("push-stream/memory.conf", "push_stream_shared_memory_size 512m;\n"),
}

// TestEndToEnd puts comments with raw Thoonk commands into a real Redis, runs the daemon as a
// process, and reads all channels of real push hosts with the shipped configuration.
func TestEndToEnd(t *testing.T) {
	const jobs = 10_000
	for _, test := range []struct {
		module  string
		dialect thoonk.Dialect
		hosts   int
	}{
		{service.Nchan, thoonk.ThoonkPy, 1},
		{service.Nchan, thoonk.ThoonkJS, 1},
		{service.Nchan, thoonk.ThoonkPy, 2},
		{service.PushStream, thoonk.ThoonkPy, 1},
		{service.PushStream, thoonk.ThoonkJS, 2},
	} {
		t.Run(fmt.Sprintf("%s/%s/%d", test.module, test.dialect, test.hosts), func(t *testing.T) {
			store := service.StartRedis(t)
			rdb := store.Client(t)
			var hosts []*service.Nginx
			var urls []string
			for range test.hosts {
				host := service.StartNginx(t, test.module, memory[test.module])
				hosts, urls = append(hosts, host), append(urls, host.InternalURL())
			}
			comments := loadComments(t, jobs)
			readers := startReaders(t, test.module, hosts, comments)
			daemon := startDaemon(t, goldenKey, "REDIS_URL="+store.URL(), "PIPELINES="+shippedPipelines(t),
				"DIALECT="+test.dialect.String(), "PUSH_MODULE="+test.module, "PUSH_HOSTS="+strings.Join(urls, ","))

			putRaw(t, rdb, test.dialect, comments)
			waitFinished(t, rdb, test.dialect, jobs)
			sums := daemon.stop()
			readers.check(test.hosts, comments)
			conform.OnlyCounters(t, rdb, test.dialect, "comments")
			if f := sums.Feeds[0]; f.Claimed != jobs || f.Finished != jobs || f.InFlight != 0 {
				t.Errorf("the ledger says %+v", f)
			}
			for _, h := range sums.Hosts {
				if h.Accepted != jobs || h.Sent != jobs {
					t.Errorf("the ledger says %+v", h)
				}
			}
			archive, err := os.ReadFile("comments.archive.jsonl")
			if err != nil || bytes.Count(archive, []byte("\n")) != jobs {
				t.Errorf("the archive has %d lines: %v", bytes.Count(archive, []byte("\n")), err)
			}
		})
	}
}

// shippedPipelines returns the path of the shipped pipelines file, and makes a directory for
// what its archive writes the working one.
func shippedPipelines(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../testdata/pipelines/good/comments.yml")
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	if err := os.WriteFile("pipelines.yml", text, 0o600); err != nil {
		t.Fatal(err)
	}
	return "pipelines.yml"
}

// TestStopUnderLoad stops the daemon while it works: exit code 0, nothing claimed, nothing
// lost, nothing twice, and the order kept over three runs.
func TestStopUnderLoad(t *testing.T) {
	const jobs = 6_000
	store := service.StartRedis(t)
	rdb := store.Client(t)
	host := service.StartNginx(t, service.Nchan, memory[service.Nchan])
	hosts := []*service.Nginx{host}
	comments := loadComments(t, jobs)
	readers := startReaders(t, service.Nchan, hosts, comments)
	path := shippedPipelines(t)
	putRaw(t, rdb, thoonk.ThoonkPy, comments)

	finished := 0
	for run := 1; finished < jobs; run++ {
		daemon := startDaemon(t, goldenKey, "REDIS_URL="+store.URL(), "PIPELINES="+path, "PUSH_HOSTS="+host.InternalURL(), "BATCH=64")
		if run < 3 {
			eventually(t, "some deliveries", func() bool { return readers.count() > run*4_000 })
		} else {
			waitFinished(t, rdb, thoonk.ThoonkPy, jobs)
		}
		sums := daemon.stop()
		finished += int(sums.Feeds[0].Finished)
		feed, err := thoonk.NewFeed(rdb, "comments", thoonk.ThoonkPy)
		if err != nil {
			t.Fatal(err)
		}
		counts, err := feed.Counts(t.Context())
		if run < 3 && counts.Queued == 0 {
			t.Fatal("the daemon had nothing left to do when it was stopped")
		}
		if err != nil || counts.Claimed != 0 || counts.Stalled != 0 || int(counts.Queued)+finished != jobs {
			t.Fatalf("after run %d: %+v, %d finished, %v", run, counts, finished, err)
		}
	}
	readers.check(1, comments)
	conform.OnlyCounters(t, rdb, thoonk.ThoonkPy, "comments")
}

// TestRefusedMessages has real nginx answer 413 and 403: such jobs are stalled, others go on.
func TestRefusedMessages(t *testing.T) {
	for name, option := range map[string]service.NginxOption{
		"413": service.NginxFile("common/internal-body.conf", "client_max_body_size 1k;\nclient_body_buffer_size 1k;\n"),
		"403": service.NginxFile("nchan/publish.conf", "location = /publish { return 403; }\n"),
	} {
		t.Run(name, func(t *testing.T) {
			store := service.StartRedis(t)
			rdb := store.Client(t)
			host := service.StartNginx(t, service.Nchan, option)
			path := shippedPipelines(t)
			daemon := startDaemon(t, goldenKey, "REDIS_URL="+store.URL(), "PIPELINES="+path, "PUSH_HOSTS="+host.InternalURL())
			feed, err := thoonk.NewFeed(rdb, "comments", thoonk.ThoonkPy)
			if err != nil {
				t.Fatal(err)
			}
			big := `{"id":"big","thread":1,"message":"` + strings.Repeat("secret", 1000) + `"}`
			if _, err := feed.Put(t.Context(), [][]byte{[]byte(`{"id":"s1","thread":1}`), []byte(big), []byte(`{"id":"s2","thread":1}`)}, thoonk.PutOptions{}); err != nil {
				t.Fatal(err)
			}
			want := map[string]int64{"413": 1, "403": 3}[name]
			eventually(t, "the verdicts", func() bool {
				counts, err := feed.Counts(t.Context())
				return err == nil && counts.Stalled == want && counts.Finished == 3-want
			})
			daemon.stop()
			if log := daemon.logText(); !strings.Contains(log, "answers "+name) || strings.Contains(log, "secret") {
				t.Errorf("the log does not tell why, or tells too much")
			}
		})
	}
}

// TestAPushHostThatComesLate starts the daemon before nginx: jobs wait, in order.
func TestAPushHostThatComesLate(t *testing.T) {
	store := service.StartRedis(t)
	rdb := store.Client(t)
	host := service.StartNginx(t, service.Nchan, memory[service.Nchan])
	host.Stop()
	comments := loadComments(t, 500)
	path := shippedPipelines(t)
	daemon := startDaemon(t, goldenKey, "REDIS_URL="+store.URL(), "PIPELINES="+path, "PUSH_HOSTS="+host.InternalURL())
	putRaw(t, rdb, thoonk.ThoonkPy, comments)
	eventually(t, "the daemon's complaint", func() bool { return strings.Contains(daemon.logText(), "nobody takes messages") })
	host.Start()
	waitFinished(t, rdb, thoonk.ThoonkPy, len(comments))
	sums := daemon.stop()
	if f := sums.Feeds[0]; f.Finished != int64(len(comments)) || f.Cancelled != 0 || f.Stalled != 0 {
		t.Errorf("the ledger says %+v", f)
	}
}

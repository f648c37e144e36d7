package main

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"pushglue/glue/gluetest/conform"
	"pushglue/glue/gluetest/service"
	"pushglue/glue/thoonk"
)

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
			daemon := startDaemon(t, append(goldenKeys, "REDIS_URL="+store.URL(), "PIPELINES="+shippedPipelines(t),
				"DIALECT="+test.dialect.String(), "PUSH_MODULE="+test.module, "PUSH_HOSTS="+strings.Join(urls, ","))...)

			putRaw(t, rdb, test.dialect, comments)
			waitFinished(t, rdb, test.dialect, jobs)
			sums := daemon.Stop()
			readers.check(test.hosts, comments)
			conform.OnlyCounters(t, rdb, test.dialect, "comments")
			if f := sums.Feeds[0]; f.Claimed != jobs || f.Finished != jobs || f.InFlight != 0 {
				t.Errorf("the ledger says %+v", f)
			}
			for _, h := range sums.Hosts {
				if h.Accepted != 2*jobs || h.Sent != 2*jobs {
					t.Errorf("the ledger says %+v", h)
				}
			}
			firehose, err := os.ReadFile("comments.firehose.jsonl")
			if err != nil || bytes.Count(firehose, []byte("\n")) != jobs {
				t.Errorf("the firehose has %d lines: %v", bytes.Count(firehose, []byte("\n")), err)
			}
		})
	}
}

// shippedPipelines returns the path of the shipped pipelines file, and makes a directory for
// what its file publisher writes the working one.
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
		daemon := startDaemon(t, append(goldenKeys, "REDIS_URL="+store.URL(), "PIPELINES="+path, "PUSH_HOSTS="+host.InternalURL(), "BATCH=64")...)
		if run < 3 {
			eventually(t, "some deliveries", func() bool { return readers.count() > run*4_000 })
		} else {
			waitFinished(t, rdb, thoonk.ThoonkPy, jobs)
		}
		sums := daemon.Stop()
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

// TestRefusedMessages has real nginx answer 413 and 403. The one stalls the job, and others go on; the other is about the
// daemon, so that all jobs wait until it is mended.
func TestRefusedMessages(t *testing.T) {
	for name, test := range map[string]struct {
		option          service.NginxOption
		stalled, queued int64
	}{
		"413": {service.NginxFile("common/internal-body.conf", "client_max_body_size 1k;\nclient_body_buffer_size 1k;\n"), 1, 0},
		"403": {service.NginxFile("nchan/publish.conf", "location = /publish { return 403; }\n"), 0, 12},
	} {
		t.Run(name, func(t *testing.T) {
			store := service.StartRedis(t)
			rdb := store.Client(t)
			host := service.StartNginx(t, service.Nchan, test.option)
			path := shippedPipelines(t)
			daemon := startDaemon(t, append(goldenKeys, "REDIS_URL="+store.URL(), "PIPELINES="+path, "PUSH_HOSTS="+host.InternalURL())...)
			feed, err := thoonk.NewFeed(rdb, "comments", thoonk.ThoonkPy)
			if err != nil {
				t.Fatal(err)
			}
			payloads := [][]byte{[]byte(`{"id":"big","thread":1,"message":"` + strings.Repeat("secret", 1000) + `"}`)}
			for i := range 11 { // as many refusals as take a host out
				payloads = append(payloads, fmt.Appendf(nil, `{"id":"s%d","thread":1}`, i))
			}
			if _, err := feed.Put(t.Context(), payloads, thoonk.PutOptions{}); err != nil {
				t.Fatal(err)
			}
			if test.queued > 0 {
				awaitLog(t, daemon, "push host is down")
			}
			eventually(t, "the verdicts", func() bool {
				counts, err := feed.Counts(t.Context())
				return err == nil && counts.Stalled == test.stalled && counts.Finished == 12-test.stalled-test.queued
			})
			daemon.Stop()
			if counts, err := feed.Counts(t.Context()); err != nil || counts.Stalled != test.stalled || counts.Queued != test.queued {
				t.Errorf("at the end: %+v, %v", counts, err)
			}
			if log := daemon.Log(); !strings.Contains(log, "answers "+name) || strings.Contains(log, "secret") {
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
	daemon := startDaemon(t, append(goldenKeys, "REDIS_URL="+store.URL(), "PIPELINES="+path, "PUSH_HOSTS="+host.InternalURL())...)
	putRaw(t, rdb, thoonk.ThoonkPy, comments)
	eventually(t, "the daemon's complaint", func() bool { return strings.Contains(daemon.Log(), "nobody takes messages") })
	host.Start()
	waitFinished(t, rdb, thoonk.ThoonkPy, len(comments))
	sums := daemon.Stop()
	if f := sums.Feeds[0]; f.Finished != int64(len(comments)) || f.Cancelled != 0 || f.Stalled != 0 {
		t.Errorf("the ledger says %+v", f)
	}
}

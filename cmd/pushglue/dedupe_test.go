package main

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"pushglue/glue/gluetest/service"
)

// dedupePipelines are two pipelines that are alike but for their names.
const dedupePipelines = `pipelines:
  - {name: a, feed: f, stages: [json, dedupe: {window: 10m}], publish: {file: {path: a.jsonl, fsync: never}}}
  - {name: b, feed: f, stages: [json, dedupe: {window: 10m}], publish: {file: {path: b.jsonl, fsync: never}}}
`

// occurrences returns how often each line is in a file.
func occurrences(t *testing.T, path string) map[string]int {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	counts := map[string]int{}
	for line := range strings.Lines(string(text)) {
		counts[line]++
	}
	return counts
}

// numbered returns n payloads with ids from 1, each twice.
func numbered(n int) []string {
	var payloads []string
	for i := range n {
		payload := fmt.Sprintf(`{"id":%d}`, i+1)
		payloads = append(payloads, payload, payload)
	}
	return payloads
}

// TestDedupe puts each message twice, and all of them again later: both pipelines publish each once.
func TestDedupe(t *testing.T) {
	const messages = 1000
	store := service.StartRedis(t)
	workdir(t, dedupePipelines)
	daemon := startDaemon(t, "REDIS_URL="+store.URL())
	for round := range 2 {
		feed := putOn(t, store, numbered(messages)...)
		eventually(t, "all jobs are finished", func() bool {
			counts, err := feed.Counts(t.Context())
			return err == nil && counts.Finished == int64(round+1)*2*messages
		})
	}
	sums := daemon.Stop()
	for _, path := range []string{"a.jsonl", "b.jsonl"} {
		if got := occurrences(t, path); len(got) != messages || slices.Max(slices.Collect(maps.Values(got))) > 1 {
			t.Errorf("%s has %d different messages, one of them %d times", path, len(got), slices.Max(slices.Collect(maps.Values(got))))
		}
	}
	if f := sums.Feeds[0]; f.Cancelled+f.Stalled+f.Released != 0 {
		t.Errorf("the feed: %+v", f)
	}
}

// TestDedupeLosesNothing kills the daemon and stops it, in turns, while it works: every message is published, and no more
// of them twice than were on the way when it was killed.
func TestDedupeLosesNothing(t *testing.T) {
	const messages, inFlight, kills = 5_000, 64, 5
	store := service.StartRedis(t)
	workdir(t, dedupePipelines)
	feed := putOn(t, store, numbered(messages)...)
	finished := func() int64 {
		counts, err := feed.Counts(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return counts.Finished
	}
	for range kills {
		for _, signal := range []os.Signal{syscall.SIGKILL, syscall.SIGTERM} {
			before := finished()
			daemon := startDaemon(t, "REDIS_URL="+store.URL(), "BATCH=16", "IN_FLIGHT="+fmt.Sprint(inFlight))
			eventually(t, "some are published", func() bool { return finished() > before+300 })
			daemon.Signal(signal)
			if err := daemon.Await(); (err == nil) != (signal == syscall.SIGTERM) {
				t.Errorf("signal %v ends it with %v", signal, err)
			}
			if code, stdout, stderr := invoke(t, "", environment("REDIS_URL="+store.URL()), "jobs", "f", "cancel", "--all", "--older", "1ms", "--yes"); code != 0 {
				t.Fatalf("%s%s", stdout, stderr)
			}
		}
	}
	daemon := startDaemon(t, "REDIS_URL="+store.URL())
	eventually(t, "all jobs are finished", func() bool { return finished() == 2*messages })
	daemon.Stop()
	for _, path := range []string{"a.jsonl", "b.jsonl"} {
		counts, twice := occurrences(t, path), 0
		for _, n := range counts {
			twice += n - 1
		}
		if len(counts) != messages || twice > kills*inFlight {
			t.Errorf("%s has %d of %d messages, %d of them too often", path, len(counts), messages, twice)
		}
		t.Logf("%s: %d came twice", path, twice)
	}
}

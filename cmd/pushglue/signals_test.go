package main

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"

	"pushglue/glue/gluetest/service"
	"pushglue/glue/thoonk"
)

func putOn(t *testing.T, store *service.Redis, payloads ...string) *thoonk.Feed {
	t.Helper()
	feed, err := thoonk.NewFeed(store.Client(t), "f", thoonk.ThoonkPy)
	if err != nil {
		t.Fatal(err)
	}
	list := make([][]byte, len(payloads))
	for i, payload := range payloads {
		list[i] = []byte(payload)
	}
	if _, err := feed.Put(t.Context(), list, thoonk.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	return feed
}

func awaitLog(t *testing.T, d *service.Daemon, text string) {
	t.Helper()
	eventually(t, "the log says "+text, func() bool { return strings.Contains(d.Log(), text) })
}

// TestSIGHUP rotates the file of a pipeline.
func TestSIGHUP(t *testing.T) {
	store := service.StartRedis(t)
	workdir(t, "pipelines: [{name: p, feed: f, stages: [json], publish: {file: {path: out.jsonl}}}]\n")
	daemon := startDaemon(t, "REDIS_URL="+store.URL())
	lines := func(path string) string {
		text, err := os.ReadFile(path)
		if err != nil {
			return err.Error()
		}
		return string(text)
	}
	putOn(t, store, `{"id":1}`)
	eventually(t, "the first line", func() bool { return lines("out.jsonl") == "{\"id\":1}\n" })
	if err := os.Rename("out.jsonl", "out.jsonl.1"); err != nil {
		t.Fatal(err)
	}
	daemon.Signal(syscall.SIGHUP)
	awaitLog(t, daemon, "files will be reopened")
	putOn(t, store, `{"id":2}`)
	eventually(t, "the second line", func() bool { return lines("out.jsonl") == "{\"id\":2}\n" })
	daemon.Stop()
	if got := lines("out.jsonl.1"); got != "{\"id\":1}\n" {
		t.Errorf("the rotated file has %q", got)
	}
}

// startSilentHost starts a push host that never answers. Something is in asked once it was asked.
func startSilentHost(t *testing.T) (url string, asked <-chan struct{}) {
	t.Helper()
	question := make(chan struct{}, 1)
	release := make(chan struct{})
	host := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost {
			return // it is asked how it is
		}
		select {
		case question <- struct{}{}:
		default:
		}
		select {
		case <-r.Context().Done():
		case <-release:
		}
	}))
	t.Cleanup(host.Close)
	t.Cleanup(func() { close(release) })
	return host.URL, question
}

// TestTheDrainEnds has a push host that never answers: when the time to drain is over the daemon ends well, and
// the jobs are back on the feed in their order, uncounted.
func TestTheDrainEnds(t *testing.T) {
	url, asked := startSilentHost(t)
	store := service.StartRedis(t)
	workdir(t, goodPipelines)
	feed := putOn(t, store, `{"id":"a"}`, `{"id":"b"}`, `{"id":"c"}`, `{"id":"d"}`, `{"id":"e"}`)
	before := queued(t, store)
	daemon := startDaemon(t, "REDIS_URL="+store.URL(), "PUSH_HOSTS="+url, "PUSH_TIMEOUT=1h", "DRAIN=100ms", "BATCH=2")
	<-asked
	daemon.Signal(os.Interrupt)
	if err := daemon.Await(); err != nil {
		t.Errorf("the daemon ended with %v", err)
	}
	counts, err := feed.Counts(t.Context())
	if err != nil || counts.Claimed != 0 || counts.Cancelled != 0 {
		t.Errorf("the feed holds %+v, %v", counts, err)
	}
	if after := queued(t, store); !slices.Equal(after, before) {
		t.Errorf("the feed was %q, and is %q", before, after)
	}
}

// queued returns the ids on the feed f, the next one last.
func queued(t *testing.T, store *service.Redis) []string {
	t.Helper()
	ids, err := store.Client(t).LRange(t.Context(), "feed.ids:f", 0, -1).Result()
	if err != nil {
		t.Fatal(err)
	}
	return ids
}

// TestTheSecondSignalAborts has a push host that never answers: the first signal waits for it,
// the second does not, and the job is back on the feed.
func TestTheSecondSignalAborts(t *testing.T) {
	url, asked := startSilentHost(t)
	store := service.StartRedis(t)
	workdir(t, goodPipelines)
	daemon := startDaemon(t, "REDIS_URL="+store.URL(), "PUSH_HOSTS="+url, "PUSH_TIMEOUT=1h", "DRAIN=1h")
	feed := putOn(t, store, `{"id":"a","text":"secret"}`)
	<-asked
	daemon.Signal(syscall.SIGTERM)
	awaitLog(t, daemon, "a second signal aborts")
	eventually(t, "the second signal counts", func() bool { // not if it comes at once
		daemon.Signal(syscall.SIGTERM)
		return strings.Contains(daemon.Log(), "aborting")
	})
	var exit *exec.ExitError
	if err := daemon.Await(); !errors.As(err, &exit) || exit.ExitCode() != 1 || !strings.HasSuffix(daemon.Log(), "pushglue: aborted") {
		t.Errorf("it ended with %v, want exit code 1", exit)
	}
	if strings.Contains(daemon.Log(), "secret") {
		t.Error("the log quotes a payload")
	}
	counts, err := feed.Counts(t.Context())
	if err != nil || counts.Queued != 1 || counts.Claimed != 0 || counts.Cancelled != 0 {
		t.Errorf("the feed holds %+v, %v", counts, err)
	}
}

package main

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"pushglue/glue/gluetest/service"
	"pushglue/glue/thoonk"
)

// recordingHost is a push host that remembers the ids of what it was sent.
type recordingHost struct {
	*httptest.Server
	answer func() // is called before each answer

	mu  sync.Mutex
	ids []int
}

func startRecordingHost(t *testing.T, answer func()) *recordingHost {
	t.Helper()
	h := &recordingHost{answer: answer}
	h.Server = httptest.NewServer(h)
	t.Cleanup(h.Close)
	return h
}

func (h *recordingHost) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		return
	}
	var message struct{ ID int }
	if err := json.NewDecoder(r.Body).Decode(&message); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	h.mu.Lock()
	h.ids = append(h.ids, message.ID)
	h.mu.Unlock()
	h.answer()
}

func (h *recordingHost) sent() []int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.ids)
}

// awaitFinished waits until so many jobs have finished.
func awaitFinished(t *testing.T, feed *thoonk.Feed, n int64) {
	t.Helper()
	eventually(t, "the jobs are done", func() bool {
		counts, err := feed.Counts(t.Context())
		return err == nil && counts.Finished == n
	})
}

// TestAStopLeavesNoHostBehind stops the active daemon while one of two push hosts is behind: the other daemon must not
// publish before that host has what it lacks.
func TestAStopLeavesNoHostBehind(t *testing.T) {
	const before, after = 40, 5
	fast := startRecordingHost(t, func() {})
	slow := startRecordingHost(t, func() { time.Sleep(100 * time.Millisecond) })
	store := service.StartRedis(t)
	workdir(t, goodPipelines)
	settings := []string{"REDIS_URL=" + store.URL(), "PUSH_HOSTS=" + fast.URL + "," + slow.URL, "PUSH_DEADLINE=1ms", "STANDBY=true", "DRAIN=1m"}
	active := startDaemon(t, settings...)
	awaitLog(t, active, "this daemon is the active one")
	other := startDaemon(t, settings...)
	awaitLog(t, other, "this one stands by")
	feed := putOn(t, store, numberedJobs(0, before)...)
	awaitFinished(t, feed, before)
	if n := len(slow.sent()); n == before {
		t.Fatal("the slow host is not behind")
	}
	active.Signal(syscall.SIGTERM)
	awaitLog(t, other, "this daemon is the active one")
	putOn(t, store, numberedJobs(before, after)...)
	eventually(t, "the slow host has all", func() bool { return len(slow.sent()) >= before+after })
	if got := slow.sent(); !slices.IsSorted(got) {
		t.Errorf("the slow host was sent %d", got)
	}
	other.Stop()
}

// TestTheSecondSignalAbortsTheFlush has a push host that does not answer while another one has all.
func TestTheSecondSignalAbortsTheFlush(t *testing.T) {
	release := make(chan struct{})
	fast, silent := startRecordingHost(t, func() {}), startRecordingHost(t, func() { <-release })
	t.Cleanup(func() { close(release) })
	store := service.StartRedis(t)
	workdir(t, goodPipelines)
	daemon := startDaemon(t, "REDIS_URL="+store.URL(), "PUSH_HOSTS="+fast.URL+","+silent.URL, "PUSH_DEADLINE=1ms", "PUSH_TIMEOUT=1h", "DRAIN=1h")
	awaitFinished(t, putOn(t, store, numberedJobs(0, 3)...), 3)
	daemon.Signal(syscall.SIGTERM)
	awaitLog(t, daemon, "a second signal aborts")
	rdb := store.Client(t)
	eventually(t, "the daemon waits for no job any more", func() bool {
		return strings.Contains(rdb.Info(t.Context(), "clients").Val(), "blocked_clients:0")
	})
	aborting := func() bool { return strings.Contains(daemon.Log(), "aborting") }
	eventually(t, "the second signal counts", func() bool { // not if it comes at once; and one more would kill a daemon that is about to exit
		daemon.Signal(syscall.SIGTERM)
		for deadline := time.Now().Add(2 * time.Second); !aborting() && time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		}
		return aborting()
	})
	var exit *exec.ExitError
	if err := daemon.Await(); !errors.As(err, &exit) || exit.ExitCode() != 1 || !strings.HasSuffix(daemon.Log(), "pushglue: aborted") {
		t.Errorf("it ended with %v, want exit code 1", err)
	}
	if !strings.Contains(daemon.Log(), `"missed":3`) {
		t.Error("what the host lacks is not counted")
	}
}

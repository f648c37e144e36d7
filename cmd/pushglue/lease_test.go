package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"pushglue/glue/gluetest/service"
)

const fileOnly = "pipelines: [{name: p, feed: f, stages: [json], publish: {file: {path: out.jsonl}}}]\n"

// numberedJobs returns payloads whose ids are the numbers from first on.
func numberedJobs(first, n int) []string {
	jobs := make([]string, n)
	for i := range jobs {
		jobs[i] = `{"id":` + strconv.Itoa(first+i) + `}`
	}
	return jobs
}

// published returns the ids in out.jsonl, each where it comes first.
func published(t *testing.T) []int {
	t.Helper()
	text, err := os.ReadFile("out.jsonl")
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	var ids []int
	seen := map[int]bool{}
	for line := range strings.Lines(string(text)) {
		var job struct{ ID int }
		if json.Unmarshal([]byte(line), &job) == nil && !seen[job.ID] { // the last line can be half a line
			seen[job.ID] = true
			ids = append(ids, job.ID)
		}
	}
	return ids
}

// TestStandbyDaemons kills the active one of two daemons under load: the other one goes on where it was.
func TestStandbyDaemons(t *testing.T) {
	store := service.StartRedis(t)
	workdir(t, fileOnly)
	settings := []string{"REDIS_URL=" + store.URL(), "STANDBY=true", "HTTP_ADDR="}
	active := startDaemon(t, settings...)
	awaitLog(t, active, "this daemon is the active one")
	other := startDaemon(t, settings...)
	awaitLog(t, other, "this one stands by")
	const jobs = 20_000
	feed := putOn(t, store, numberedJobs(0, jobs)...)
	eventually(t, "the first jobs are published", func() bool { return len(published(t)) > 0 })
	active.Signal(syscall.SIGKILL)
	putOn(t, store, numberedJobs(jobs, jobs)...)
	awaitLog(t, other, "this daemon is the active one")
	eventually(t, "all jobs are done", func() bool {
		counts, err := feed.Counts(t.Context())
		return err == nil && counts.Finished == 2*jobs
	})
	if ids := published(t); len(ids) != 2*jobs || !slices.IsSorted(ids) {
		t.Errorf("%d jobs were published, or not in their order", len(ids))
	}
	third := startDaemon(t, settings...)
	awaitLog(t, third, "this one stands by")
	other.Stop()
	awaitLog(t, third, "this daemon is the active one")
	third.Stop()
}

// TestAKilledDaemonsJobsComeBack kills a daemon while its push host does not answer.
func TestAKilledDaemonsJobsComeBack(t *testing.T) {
	asked, release := make(chan struct{}, 1), make(chan struct{})
	host := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost {
			return // it is asked how it is
		}
		select {
		case asked <- struct{}{}:
		default:
		}
		<-release
	}))
	defer host.Close()
	defer close(release)
	store := service.StartRedis(t)
	workdir(t, goodPipelines)
	dead := startDaemon(t, "REDIS_URL="+store.URL(), "PUSH_HOSTS="+host.URL, "LEASE=1s", "HTTP_ADDR=", "PUSH_TIMEOUT=1h")
	feed := putOn(t, store, numberedJobs(0, 100)...)
	<-asked
	dead.Signal(syscall.SIGKILL)
	if err := os.WriteFile("pipelines.yml", []byte(fileOnly), 0o600); err != nil {
		t.Fatal(err)
	}
	next := startDaemon(t, "REDIS_URL="+store.URL(), "LEASE=1s", "HTTP_ADDR=")
	putOn(t, store, numberedJobs(100, 10)...)
	awaitLog(t, next, "claims of dead daemons ended; their jobs are back on the feed, in order")
	eventually(t, "all jobs are done", func() bool {
		counts, err := feed.Counts(t.Context())
		return err == nil && counts.Finished == 110
	})
	ids := published(t)
	if old := slices.DeleteFunc(slices.Clone(ids), func(id int) bool { return id >= 100 }); len(ids) != 110 || len(old) != 100 || !slices.IsSorted(old) {
		t.Errorf("published in this order: %d", ids)
	}
	next.Stop()
}

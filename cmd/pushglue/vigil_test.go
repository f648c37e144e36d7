package main

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"pushglue/glue"
	"pushglue/glue/gluetest/service"
	"pushglue/glue/thoonk"
)

// vigilPipelines publish to push hosts and to a file, drop some and stall some.
const vigilPipelines = `pipelines:
  - name: p
    feed: f
    stages: [json, filter: {drop: .drop}, route: {channels: ["a:{a}", all], invalid: fail}]
    publish: push
  - {name: archive, feed: f, stages: [json, filter: {drop: .drop}], publish: {file: {path: out.jsonl, fsync: never}}}
`

func TestPutWaits(t *testing.T) {
	store := service.StartRedis(t)
	urls := []string{service.StartNginx(t, service.Nchan).InternalURL(), service.StartNginx(t, service.Nchan).InternalURL()}
	workdir(t, vigilPipelines)
	startDaemon(t, "REDIS_URL="+store.URL(), "PUSH_HOSTS="+strings.Join(urls, ","))
	env := environment("REDIS_URL=" + store.URL())
	code, stdout, stderr := command(t, "{\"id\":1,\"a\":\"x\"}\n{\"drop\":true}\n{\"a\":\"*\"}\n", env, "put", "f", "--wait=60s")
	want := regexp.MustCompile(`^[0-9a-f]{32}  published: 2 messages to 2 channels on 2 push hosts in [0-9.]+ ms
[0-9a-f]{32}  dropped by a stage in [0-9.]+ ms
[0-9a-f]{32}  stalled: p: stage route: "a:\{a\}": channel name contains '\*'
$`)
	if code != 1 || !want.MatchString(stdout) || stderr != "pushglue: 1 job stalled\n" {
		t.Errorf("exit code %d\n%s%s", code, stdout, stderr)
	}
	code, stdout, stderr = command(t, strings.Repeat("{}\n", 1500), env, "put", "f", "--wait")
	want = regexp.MustCompile(`^put 1,500 jobs on feed f: 1,500 published; half of them within [0-9.]+ ms, 99 % within [0-9.]+ ms\n$`)
	if code != 0 || !want.MatchString(stdout) {
		t.Errorf("exit code %d\n%s%s", code, stdout, stderr)
	}
	code, stdout, _ = command(t, "{}\n", env, "put", "f", "--wait", "--json")
	var report vigilReport
	if err := json.Unmarshal([]byte(stdout), &report); err != nil || code != 0 || report.Outcomes[glue.OutcomePublished] != 1 || len(report.Jobs) != 1 || report.Jobs[0].Hosts != 2 {
		t.Errorf("exit code %d, %v\n%s", code, err, stdout)
	}
}

// TestPutWaitsForOthers has a worker finish jobs with a result of its own, or none, and stall one.
func TestPutWaitsForOthers(t *testing.T) {
	store := service.StartRedis(t)
	env := environment("REDIS_URL=" + store.URL())
	feed, err := thoonk.NewFeed(store.Client(t), "f", thoonk.ThoonkPy)
	if err != nil {
		t.Fatal(err)
	}
	type ended struct {
		code           int
		stdout, stderr string
	}
	end := make(chan ended)
	go func() {
		code, stdout, stderr := command(t, "{\"id\":1}\n{\"id\":2}\n{\"id\":3}\n", env, "put", "f", "--wait=60s")
		end <- ended{code, stdout, stderr}
	}()
	var jobs []glue.Job
	eventually(t, "three jobs", func() bool {
		more, err := feed.Claim(t.Context(), 3-len(jobs))
		if err != nil {
			t.Error(err)
		}
		jobs = append(jobs, more...)
		return len(jobs) == 3
	})
	if err := feed.Settle(t.Context(), []glue.Settlement{
		{JobID: jobs[0].ID, Verdict: glue.Finish},
		{JobID: jobs[1].ID, Verdict: glue.Finish, Result: []byte("as you\x1b like it")},
		{JobID: jobs[2].ID, Verdict: glue.Stall},
	}); err != nil {
		t.Fatal(err)
	}
	got := <-end
	want := regexp.MustCompile(`^\w+  gone: .*\n\w+  finished by another worker: as you\\x1b like it\n\w+  stalled by another worker\n$`)
	if got.code != 1 || !want.MatchString(got.stdout) || got.stderr != "pushglue: 1 job stalled\n" {
		t.Errorf("exit code %d\n%s%s", got.code, got.stdout, got.stderr)
	}
}

// TestPutDoesNotWaitForever has no worker at all.
func TestPutDoesNotWaitForever(t *testing.T) {
	env := environment("REDIS_URL=" + service.StartRedis(t).URL())
	code, stdout, stderr := command(t, strings.Repeat("{}\n", 30), env, "put", "f", "--wait=1ms")
	if code != 1 || strings.Count(stdout, "  not done yet\n") != 20 || !strings.HasSuffix(stdout, "put 30 jobs on feed f: 30 open\n") || stderr != "pushglue: 30 jobs not done in 1ms\n" {
		t.Errorf("exit code %d\n%s%s", code, stdout, stderr)
	}
}

func TestPutWaitIsCalledWrongly(t *testing.T) {
	for _, args := range [][]string{{"put", "f", "--json"}, {"put", "f", "--wait=-1s"}, {"put", "f", "--wait=soon"}} {
		if code, _, stderr := command(t, "", environment(), args...); code != exitUsage {
			t.Errorf("%v: exit code %d\n%s", args, code, stderr)
		}
	}
}

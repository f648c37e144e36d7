package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pushglue/cmd/pushglue/bench"
	"pushglue/glue/gluetest/service"
)

// TestBenchPublish has the daemon work off a queue, and jobs that come at a rate.
func TestBenchPublish(t *testing.T) {
	site := newBenchSite(t, service.Nchan)
	profile := filepath.Join(t.TempDir(), "cpu.prof")
	for name, test := range map[string]struct {
		jobs int
		args []string
	}{
		"queue":     {12_000, []string{"--cpu-profile", profile}},
		"rate":      {300, []string{"--rate", "1000", "--channels", "3", "--fan", "4", "--size", "1000"}},
		"coalesced": {300, []string{"--coalesce", "10ms", "--channels", "3"}},
	} {
		t.Run(name, func(t *testing.T) {
			args := append([]string{"bench", "publish", "--json", "--jobs", fmt.Sprint(test.jobs)}, test.args...)
			code, out, errs := command(t, "", site.env, args...)
			var r bench.PublishReport
			if err := json.Unmarshal([]byte(out), &r); err != nil || code != 0 {
				t.Fatalf("exit code %d, %v\n%s%s", code, err, out, errs)
			}
			if got, want := fmt.Sprint(r.Jobs, r.Left, r.Stalled), fmt.Sprint(test.jobs, 0, 0); got != want {
				t.Errorf("jobs settled, left and stalled are %s, want %s", got, want)
			}
			if r.Seconds == 0 || r.Rate == 0 || r.CPU == 0 || r.Allocs == 0 || r.AllocBytes == 0 || r.Peak == 0 {
				t.Errorf("something was not measured: %s", out)
			}
			if (r.Accepted != nil) != (name == "rate") || (r.Warm != nil) != (name == "queue") {
				t.Errorf("latencies or holdings: %s", out)
			}
		})
	}
	if info, err := os.Stat(profile); err != nil || info.Size() == 0 {
		t.Errorf("no profile: %v", err)
	}
	site.isClean()
}

// TestBenchPublishStalls has a push host that refuses everything.
func TestBenchPublishStalls(t *testing.T) {
	store := service.StartRedis(t)
	host := service.StartNginx(t, service.Nchan, service.NginxFile("nchan/publish.conf", "location = /publish { return 413; }\n"))
	code, out, errs := command(t, "", environment("REDIS_URL="+store.URL(), "PUSH_HOSTS="+host.InternalURL(), "LOG_LEVEL=error"),
		"bench", "publish", "--jobs", "3")
	if code != 1 || !strings.Contains(out, "3 settled") || !strings.Contains(out, "3 stalled") || !strings.Contains(errs, "3 jobs stalled") {
		t.Errorf("exit code %d\n%s%s", code, out, errs)
	}
}

func TestBenchPublishRefuses(t *testing.T) {
	for name, test := range map[string]struct {
		settings []string
		args     string
		code     int
		want     string
	}{
		"a remote push host":  {[]string{"PUSH_HOSTS=http://127.0.0.1,http://192.0.2.1:9080"}, "", 1, "PUSHGLUE_PUSH_HOSTS: 192.0.2.1 is not this machine"},
		"a space before it":   {[]string{"PUSH_HOSTS=http://127.0.0.1:9080, http://192.0.2.1:9080"}, "", 1, "PUSHGLUE_PUSH_HOSTS: 192.0.2.1 is not this machine"},
		"Sentinel":            {[]string{"REDIS_URL=redis://127.0.0.1:26379?master_name=m"}, "", 1, "PUSHGLUE_REDIS_URL: what Sentinel or a cluster leads to, perhaps, is not this machine"},
		"a remote queue":      {[]string{"REDIS_URL=rediss://:secret@192.0.2.1"}, "", 1, "PUSHGLUE_REDIS_URL: 192.0.2.1 is not this machine"},
		"a second Redis node": {[]string{"REDIS_URL=redis://127.0.0.1?cluster=true&addr=192.0.2.1:6379"}, "", 1, "PUSHGLUE_REDIS_URL: what Sentinel or a cluster leads to"},
		"no Redis":            {[]string{"REDIS_URL=redis://" + nobody(t)}, "", 1, "PUSHGLUE_REDIS_URL: check Redis"},
		"no jobs":             {nil, "--jobs 0", 2, "--jobs and --channels must be at least 1"},
		"a rate of nothing":   {nil, "--rate NaN", 2, "--rate must be 0 to"},
		"no channel":          {nil, "--fan 0", 2, "--fan must be 1 to 255 channels"},
		"small jobs":          {nil, "--size 10", 2, "--size must be 240 to 60000 bytes"},
		"a negative time":     {nil, "--for -1s", 2, "--for must not be less than 0s"},
		"a long window":       {nil, "--coalesce 2s", 2, "--coalesce must be 1ms to 1s"},
	} {
		t.Run(name, func(t *testing.T) {
			code, out, errs := command(t, "", environment(test.settings...), append([]string{"bench", "publish"}, strings.Fields(test.args)...)...)
			if code != test.code || !strings.Contains(errs, test.want) || strings.Contains(errs, "secret") {
				t.Errorf("exit code %d\n%s%s\nwant %d, %s", code, out, errs, test.code, test.want)
			}
		})
	}
}

package main

import (
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"pushglue/glue"
	"pushglue/glue/gluetest/service"
	"pushglue/glue/thoonk"
)

// traceOf runs pushglue trace --json.
func traceOf(t *testing.T, env []string, stdin string, args ...string) traceOutput {
	t.Helper()
	code, out, errs := invoke(t, stdin, env, append([]string{"trace", "--json"}, args...)...)
	var o traceOutput
	if err := json.Unmarshal([]byte(out), &o); code != 0 || err != nil {
		t.Fatalf("trace %q: exit code %d, %v\n%s%s", args, code, err, out, errs)
	}
	return o
}

// TestTrace follows jobs of a daemon with two push hosts: one that is published, one that is poison, one that finds a host down.
func TestTrace(t *testing.T) {
	for _, module := range []string{service.Nchan, service.PushStream} {
		t.Run(module, func(t *testing.T) {
			workdir(t, goodPipelines)
			store := service.StartRedis(t)
			one, two := service.StartNginx(t, module), service.StartNginx(t, module)
			address := fmt.Sprintf("127.0.0.1:%d", service.FreePort(t))
			settings := []string{"REDIS_URL=" + store.URL(), "PUSH_MODULE=" + module, "HTTP_ADDR=" + address, "RETRY_BUDGET=100ms"}
			daemon := startDaemon(t, append(settings, "PUSH_HOSTS="+one.InternalURL()+","+two.InternalURL())...)
			env := environment(settings...)

			code, out, errs := invoke(t, `{"id":"m1"}`, env, "trace", "f", "--put", "-")
			for _, want := range []string{
				`job [0-9a-f]{32} of feed f\n`, `\+\d+\.\d ms +claimed by this daemon, cancelled 0 times before; traced: asked\n`,
				`\+\d+\.\d ms +stage json +\d+\.\d\d ms +p; 1 in, 1 out\n`, `stage route .* p; 1 in, 1 out\n`,
				`publish +\d+\.\d\d ms +p; 1 in, 1 out; to a\n`,
				` +127\.0\.0\.1:\d+ +accepted, sent \+\d+\.\d ms, answered \+\d+\.\d ms\n +127\.0\.0\.1:\d+ +accepted, sent`,
				`settle +\d+\.\d\d ms`, `\+\d+\.\d ms +finish *\n`, `\nRedis does not hold it: it is finished, was retracted, or was never put\n$`,
			} {
				if !regexp.MustCompile(want).MatchString(out) {
					t.Errorf("no %s in\n%s", want, out)
				}
			}
			if code != 0 {
				t.Errorf("exit code %d: %s", code, errs)
			}

			poison := thoonk.NewID()
			feed := putOn(t, store)
			if _, err := feed.Put(t.Context(), [][]byte{[]byte("this is no JSON")}, thoonk.PutOptions{IDs: []string{poison}}); err != nil {
				t.Fatal(err)
			}
			o := traceOf(t, env, "", "f", poison, "--wait", "30s")
			if n := len(o.Traces); n != 1 || o.Traces[0].Verdict != "stall" || o.Traces[0].Pipeline != "p" || !strings.Contains(o.Traces[0].Error, "stage json") {
				t.Errorf("the trace of a poison job: %+v", o.Traces)
			}
			if o.Redis == nil || o.Redis.State != "stalled" || o.Redis.Reason == nil {
				t.Errorf("what Redis has of a poison job: %+v", o.Redis)
			}

			two.Stop()
			o = traceOf(t, env, `{"id":"m2"}`, "f", "--put", "-")
			if len(o.Traces) != 1 || o.Traces[0].Verdict != "finish" {
				t.Fatalf("a trace with a host that is down: %+v", o.Traces)
			}
			steps := o.Traces[0].Steps
			if published := steps[len(steps)-2]; len(published.Hosts) != 2 || !published.Hosts[0].Accepted || published.Hosts[0].Answered == nil || published.Hosts[1].Accepted || !strings.Contains(published.Hosts[1].Error, "down") {
				t.Errorf("the answers where a host is down: %+v", published.Hosts)
			}

			if o := traceOf(t, env, "", "f", "none"); len(o.Traces) != 0 || o.Keeps != glue.KeepSome || o.Redis != nil {
				t.Errorf("of a job that never was: %+v", o)
			}
			if _, out, _ := invoke(t, "", env, "trace", "f", "none"); !strings.Contains(out, "this daemon has no trace of it: it keeps the last 1,000 of jobs that failed") {
				t.Errorf("of a job that never was:\n%s", out)
			}
			daemon.Stop()
			code, out, errs = invoke(t, "", env, "trace", "f", poison)
			if code != exitError || !strings.Contains(out, "Redis holds it: stalled") || !strings.Contains(errs, "no daemon answers at "+address) {
				t.Errorf("without a daemon: exit code %d\n%s%s", code, out, errs)
			}
		})
	}
}

// TestTraceRefuses: /trace is for this machine alone, and the command says what it wants.
func TestTraceRefuses(t *testing.T) {
	h := ownHost("", traceDesk{desk{log: zerolog.Nop()}, glue.NewTraces(glue.TraceConfig{Keep: glue.KeepAll})}.show)
	for what, test := range map[string]struct {
		query, from, host string
		status            int
	}{
		"somebody else": {"feed=f&job=1", "192.0.2.1:5", "127.0.0.1", 403},
		"a web page":    {"feed=f&job=1", "127.0.0.1:5", "rebound.example", 421},
		"no job":        {"feed=f", "127.0.0.1:5", "127.0.0.1", 400},
		"no duration":   {"feed=f&job=1&wait=long", "127.0.0.1:5", "127.0.0.1", 400},
		"nothing":       {"feed=f&job=1", "127.0.0.1:5", "127.0.0.1", 200},
		"waits":         {"feed=f&job=1&wait=1ms", "127.0.0.1:5", "127.0.0.1", 200},
	} {
		r := httptest.NewRequestWithContext(t.Context(), "GET", "/trace?"+test.query, nil)
		r.RemoteAddr, r.Host = test.from, test.host
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != test.status || test.status == 200 && strings.TrimSpace(w.Body.String()) != `{"keeps":"all","traces":[]}` {
			t.Errorf("%s: %d %s", what, w.Code, w.Body)
		}
	}
	for _, args := range [][]string{{"trace", "f"}, {"trace", "f", "1", "--put", "-"}} {
		if code, _, errs := invoke(t, "", environment(), args...); code != exitUsage || !strings.Contains(errs, "want the ID of a job, or --put") {
			t.Errorf("%q: exit code %d, %s", args, code, errs)
		}
	}
}

// TestTraceTexts: what is seldom seen.
func TestTraceTexts(t *testing.T) {
	at := time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)
	since := func(time.Time) string { return "+1 ms" }
	for want, got := range map[string]string{
		"publish (attempt 3)":                                                    stepText(&glue.Step{What: glue.StepPublish, Attempt: 3}),
		"p; 1 in, 0 out; times and hosts of its batch; bad":                      stepNotes(&glue.Step{Pipelines: []string{"p"}, In: 1, OfBatch: true, Error: "bad"}),
		"refused, sent +1 ms, answered +1 ms: answers 500":                       answerText(&glue.Answer{Sent: &at, Answered: &at, Error: "answers 500"}, since),
		"no answer: the host is behind":                                          answerText(&glue.Answer{Error: "the host is behind"}, since),
		"it keeps those of the last 10,000 jobs that it claimed since its start": keepsText(glue.KeepAll),
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if text := keepsText(glue.KeepNone); !strings.HasPrefix(text, "it keeps none") {
		t.Error(text)
	}
}

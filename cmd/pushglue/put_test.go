package main

import (
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"pushglue/glue/gluetest/service"
	"pushglue/glue/thoonk"
)

func TestPutAndJobs(t *testing.T) {
	store := service.StartRedis(t)
	workdir(t, goodPipelines)
	env := environment("REDIS_URL=" + store.URL())
	put := func(stdin string, args ...string) (int, string) {
		code, stdout, stderr := invoke(t, stdin, env, append([]string{"put", "f"}, args...)...)
		return code, stdout + stderr
	}
	if err := os.WriteFile("a.jsonl", []byte("{\"id\":1}\n\n  {\"id\":2}  \r\n{\"id\":3}"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("b.jsonl", []byte("{\"id\":4}\n[5]\n{\"id\":6}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		stdin string
		args  []string
		code  int
		want  string
	}{
		{"", []string{"a.jsonl"}, 0, "put 3 jobs on feed f\n"},
		{"", []string{"a.jsonl", "b.jsonl"}, 1, "pushglue: b.jsonl:2: payload is not a JSON object but of kind array; nothing was put from this line on, see --raw for payloads that are no job envelope (put 4 jobs)\n"},
		{"{\"secret\":\n", nil, 1, "pushglue: standard input:1: JSON ends early, after byte 10; nothing was put from this line on, see --raw for payloads that are no job envelope (put 0 jobs)\n"},
		{"any text\n", []string{"--raw"}, 0, "put 1 job on feed f\n"},
		{"{}\n", []string{"a.jsonl", "-"}, 0, "put 4 jobs on feed f\n"},
		{"", nil, 0, "put 0 jobs on feed f\n"},
		{strings.Repeat("{}\n", 2500), []string{"--priority"}, 0, "put 2,500 jobs on feed f\n"},
		{"", []string{"--priority", "a.jsonl", "a.jsonl"}, 0, "put 6 jobs on feed f\n"},
		{"", []string{"no/such.jsonl"}, 1, "pushglue: open no/such.jsonl: no such file or directory (put 0 jobs)\n"},
		{strings.Repeat("{}\n", 2500), nil, 0, "put 2,500 jobs on feed f\n"},
	} {
		if code, got := put(test.stdin, test.args...); code != test.code || got != test.want {
			t.Errorf("put %v: exit code %d, %s\nwant %d, %s", test.args, code, got, test.code, test.want)
		}
	}
	_, stdout, _ := invoke(t, "", env, "jobs", "f", "--json")
	var report feedReport
	if err := json.Unmarshal([]byte(stdout), &report); err != nil {
		t.Fatal(err)
	}
	if report.Feed != "f" || report.Queued != 5018 || report.Put != 5018 || report.OldestPut == nil || report.OldestClaim != nil {
		t.Errorf("got %s", stdout)
	}
	_, stdout, _ = invoke(t, "", env, "jobs", "f")
	if !regexp.MustCompile(`(?m)^queued +5018$`).MatchString(stdout) || !regexp.MustCompile(`(?m)^oldest claim +-$`).MatchString(stdout) {
		t.Errorf("got\n%s", stdout)
	}
}

// TestPutRefuses has put refuse what the stage json would stall.
func TestPutRefuses(t *testing.T) {
	env := environment("REDIS_URL=" + service.StartRedis(t).URL())
	for line, want := range map[string]string{
		`{"id":"é"}`:             "id contains something other than visible ASCII",
		`{"id":""}`:              "id is empty",
		`{"id":[1]}`:             "id is of kind array",
		`{"id":1,"event":"a b"}`: "event contains something other than visible ASCII",
		`{"a":1,"a":2}`:          "duplicate member name at byte 7",
	} {
		code, stdout, stderr := invoke(t, "{}\n"+line+"\n{}", env, "put", "f")
		if code != 1 || stdout != "" || !regexp.MustCompile(`^pushglue: standard input:2: `+want+`; nothing was put from this line on, .* \(put 1 job\)\n$`).MatchString(stderr) {
			t.Errorf("%s: exit code %d\n%s%s", line, code, stdout, stderr)
		}
	}
}

// TestPutRaw has put take lines as they are, all but their ends.
func TestPutRaw(t *testing.T) {
	o := newOperator(t, thoonk.ThoonkPy)
	code, stdout, stderr := invoke(t, " a \r\n\n\t\nlast ", o.env, "put", "f", "--raw", "-")
	if code != 0 || stdout != "put 3 jobs on feed f\n" || stderr != "" {
		t.Errorf("exit code %d\n%s%s", code, stdout, stderr)
	}
	var payloads []string
	for _, row := range o.list("queued").Jobs {
		var r jobReport
		o.decode(&r, 0, "show", row.ID)
		payloads = append(payloads, *r.Payload)
	}
	if want := []string{" a \r", "\t", "last "}; !slices.Equal(payloads, want) {
		t.Errorf("the payloads are %q, want %q", payloads, want)
	}
}

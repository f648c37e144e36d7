package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"pushglue/glue/gluetest/service"
)

const goodPipelines = `pipelines:
  - name: p
    feed: f
    stages: [json, route: {channels: [a]}]
    publish: push
`

// workdir makes a directory with pipelines.yml the working one.
func workdir(t *testing.T, pipelines string) {
	t.Helper()
	t.Chdir(t.TempDir())
	if err := os.WriteFile("pipelines.yml", []byte(pipelines), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestErrors calls commands in ways that cannot work: each says what is wrong and where, on
// standard error, and ends with the right code.
func TestErrors(t *testing.T) {
	closed := nobody(t)
	for name, test := range map[string]struct {
		args      string
		env       []string
		pipelines string
		code      int
		want      string // a regular expression for all of standard error
	}{
		"unknown command":   {"rnu", nil, "", 2, `pushglue: unknown command "rnu"\nTry: pushglue --help\n`},
		"unknown flag":      {"run --fast", nil, "", 2, `pushglue: unknown flag: --fast\nTry: pushglue --help\n`},
		"argument too many": {"run now", nil, "", 2, `pushglue: pushglue run: unknown command "now" for "pushglue run"\nTry: pushglue --help\n`},
		"no feed":           {"jobs", nil, "", 2, `(?s)Shows how many jobs .*pushglue jobs FEED \[command\].*pushglue: pushglue jobs: which feed\?\nTry: pushglue --help\n`},
		"no pipelines file": {"run", []string{"PIPELINES=no/such.yml"}, "", 1, `pushglue: read pipelines file: stat no/such.yml: no such file or directory\n`},
		"unknown stage":     {"run", nil, strings.Replace(goodPipelines, "json", "jsno", 1), 1, `pushglue: pipelines.yml:4:14: unknown stage "jsno"; did you mean "json"\?\n`},
		"missing key": {
			"check", nil, strings.Replace(goodPipelines, "route:", "anonymize: {hash: [a]}, route:", 1), 1,
			"pushglue: pipelines.yml:4:20: stage anonymize: key: environment variable PUSHGLUE_ANONYMIZE_KEY is not set; make a key with `openssl rand -hex 32`\n",
		},
		"one file twice": {
			"check", nil, "pipelines:\n  - {name: a, feed: f, publish: {file: {path: x}}}\n  - {name: b, feed: f, publish: {file: {path: ./x}}}\n", 1,
			`pushglue: pipelines.yml:3:34: publisher file: path: another pipeline writes to ./x already\n`,
		},
		"wrong Redis, checked": {"check", []string{"REDIS_URL=http://:secret@h"}, "", 1, `pushglue: PUSHGLUE_REDIS_URL: .*has the form redis://.*\n`},
		"no hash tag":          {"check", []string{"REDIS_URL=redis://h?cluster=true"}, "", 1, `pushglue: feed "f" on a Redis Cluster needs a hash tag, such as "\{f\}", .*\n`},
		"no Redis":             {"run", []string{"REDIS_URL=redis://:secret@" + closed}, "", 1, `pushglue: PUSHGLUE_REDIS_URL: .*connection refused\n`},
		"wrong Redis":          {"run", []string{"REDIS_URL=http://:secret@h"}, "", 1, `pushglue: PUSHGLUE_REDIS_URL: .*has the form redis://.*\n`},
		"wrong host":           {"check", []string{"PUSH_HOSTS=ftp://h"}, "", 1, `pushglue: pipelines.yml:5:14: publisher push: PUSHGLUE_PUSH_HOSTS: push host "ftp://h": want a base URL such as http://10.0.0.1:9080\n`},
		"wrong module":         {"check", []string{"PUSH_MODULE=apache"}, "", 1, `pushglue: PUSHGLUE_PUSH_MODULE: "apache" is no push module; there are push-stream and nchan\n`},
		"wrong dialect":        {"check", []string{"DIALECT=ruby"}, "", 1, `pushglue: PUSHGLUE_DIALECT: .*thoonk.py.*thoonk.js.*\n`},
		"wrong number":         {"check", []string{"BATCH=many"}, "", 1, `pushglue: PUSHGLUE_BATCH: "many" is no whole number\n`},
		"wrong duration":       {"check", []string{"DRAIN=10"}, "", 1, `pushglue: PUSHGLUE_DRAIN: "10" is no duration such as 500ms, 5s or 2m\n`},
		"wrong address":        {"check", []string{"HTTP_ADDR=foo"}, "", 1, `pushglue: PUSHGLUE_HTTP_ADDR: "foo" is no address such as 127.0.0.1:9070\n`},
		"demo for no time":     {"demo --for 0s", nil, "", 2, `pushglue: --for and --rate must be more than 0\nTry: pushglue --help\n`},
		"demo at no rate":      {"demo --rate NaN", nil, "", 2, `pushglue: --for and --rate must be more than 0\nTry: pushglue --help\n`},
		"demo at no address":   {"demo --addr 8642", nil, "", 2, `pushglue: --addr: "8642" is no address such as 127.0.0.1:8642\nTry: pushglue --help\n`},
		"several":              {"check", []string{"BATCH=0", "LOG_LEVEL=loud", "ATTEMPTS=0"}, "", 1, `pushglue: PUSHGLUE_LOG_LEVEL: "loud" is none of debug, info, warn, error\nPUSHGLUE_BATCH: 0 is not from 1 to 1000\nPUSHGLUE_ATTEMPTS: 0 is less than 1\n`},
		"no push host":         {"check --connect", []string{"REDIS_URL=redis://" + closed, "PUSH_HOSTS=http://" + closed}, "", 1, `(?s)pushglue: PUSHGLUE_REDIS_URL: .*connection refused\npush host .*connection refused\n`},
		"put: no file":         {"put f no/such.jsonl", []string{"REDIS_URL=redis://" + closed}, "", 1, `pushglue: PUSHGLUE_REDIS_URL: .*connection refused\n`},
	} {
		t.Run(name, func(t *testing.T) {
			if test.pipelines == "" {
				test.pipelines = goodPipelines
			}
			workdir(t, test.pipelines)
			code, _, stderr := command(t, "", environment(test.env...), strings.Fields(test.args)...)
			if code != test.code || !regexp.MustCompile("^"+test.want+"$").MatchString(stderr) {
				t.Errorf("exit code %d, standard error:\n%s\nwant %d, %s", code, stderr, test.code, test.want)
			}
			if strings.Contains(stderr, "secret") {
				t.Errorf("the password is shown: %s", stderr)
			}
		})
	}
}

// TestUnprefixedVariables has what a container's environment has for its application.
func TestUnprefixedVariables(t *testing.T) {
	workdir(t, goodPipelines)
	env := append(environment(), "REDIS_URL=http://x", "BATCH=x", "LOG_LEVEL=x", "PIPELINES=x", "PUSH_HOSTS=x")
	if code, _, stderr := command(t, "", env, "check"); code != 0 {
		t.Errorf("exit code %d: %s", code, stderr)
	}
}

func TestABusyPort(t *testing.T) {
	store := service.StartRedis(t)
	workdir(t, goodPipelines)
	env := environment("REDIS_URL=" + store.URL())
	code, _, stderr := command(t, "", append(env, "PUSHGLUE_HTTP_ADDR="+store.Addr), "run")
	if code != 1 || !strings.Contains(stderr, "PUSHGLUE_HTTP_ADDR: listen tcp "+store.Addr+": bind: address already in use; choose another address, or an empty one for none") {
		t.Errorf("exit code %d: %s", code, stderr)
	}
}

func TestCheckShowsThePipelines(t *testing.T) {
	workdir(t, goodPipelines+"  - {name: dark, feed: f, shadow: true, stages: [json], publish: {file: {path: x}}}\n")
	code, stdout, stderr := command(t, "", environment("TYPO=1"), "check")
	const want = `warning: PUSHGLUE_TYPO is no setting; see pushglue run --help
pipelines.yml is good:
feed f
  json ┬─ route ─► push   p
       └─► file           dark (shadow)
`
	if code != 0 || stdout != want || stderr != "" {
		t.Errorf("exit code %d\n%s%s\nwant\n%s", code, stdout, stderr, want)
	}
}

func TestCheckConnects(t *testing.T) {
	store := service.StartRedis(t, "--maxmemory-policy", "allkeys-lru")
	host := service.StartNginx(t, service.Nchan)
	workdir(t, goodPipelines)
	code, stdout, stderr := command(t, "", environment("REDIS_URL="+store.URL(), "PUSH_HOSTS="+host.InternalURL()), "check", "--connect")
	if code != 0 || !strings.Contains(stdout, "redis answers") || !strings.Contains(stdout, "noeviction") || !strings.Contains(stdout, "answers\n") {
		t.Errorf("exit code %d\n%s%s", code, stdout, stderr)
	}
}

func TestPutAndJobs(t *testing.T) {
	store := service.StartRedis(t)
	workdir(t, goodPipelines)
	env := environment("REDIS_URL=" + store.URL())
	put := func(stdin string, args ...string) (int, string) {
		code, stdout, stderr := command(t, stdin, env, append([]string{"put", "f"}, args...)...)
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
		{"", []string{"a.jsonl", "b.jsonl"}, 1, "pushglue: b.jsonl:2: this is no JSON object but of kind array; nothing was put from this line on, see --raw for payloads that are no JSON object (4 jobs were put)\n"},
		{"{\"secret\":\n", nil, 1, "pushglue: standard input:1: JSON ends early, after byte 10; nothing was put from this line on, see --raw for payloads that are no JSON object (0 jobs were put)\n"},
		{"any text\n", []string{"--raw"}, 0, "put 1 jobs on feed f\n"},
		{"", nil, 0, "put 0 jobs on feed f\n"},
		{strings.Repeat("{}\n", 2500), []string{"--priority"}, 0, "put 2500 jobs on feed f\n"},
		{"", []string{"--priority", "a.jsonl", "a.jsonl"}, 0, "put 6 jobs on feed f\n"},
		{"", []string{"no/such.jsonl"}, 1, "pushglue: open no/such.jsonl: no such file or directory (0 jobs were put)\n"},
		{strings.Repeat("{}\n", 2500), nil, 0, "put 2500 jobs on feed f\n"},
	} {
		if code, got := put(test.stdin, test.args...); code != test.code || got != test.want {
			t.Errorf("put %v: exit code %d, %s\nwant %d, %s", test.args, code, got, test.code, test.want)
		}
	}
	_, stdout, _ := command(t, "", env, "jobs", "f", "--json")
	var report feedReport
	if err := json.Unmarshal([]byte(stdout), &report); err != nil {
		t.Fatal(err)
	}
	if report.Feed != "f" || report.Queued != 5014 || report.Put != 5014 || report.OldestPut == nil || report.OldestClaim != nil {
		t.Errorf("got %s", stdout)
	}
	_, stdout, _ = command(t, "", env, "jobs", "f")
	if !regexp.MustCompile(`(?m)^queued +5014$`).MatchString(stdout) || !regexp.MustCompile(`(?m)^oldest claim +-$`).MatchString(stdout) {
		t.Errorf("got\n%s", stdout)
	}
}

// TestTheConfigurationReferenceIsCurrent holds docs/configuration.md against the settings.
func TestTheConfigurationReferenceIsCurrent(t *testing.T) {
	path := filepath.Join("..", "..", "docs", "configuration.md")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), settingsTable()) {
		t.Errorf("%s is out of date; its table must be\n%s", path, settingsTable())
	}
}

// settingsTable returns the settings as a table in Markdown.
func settingsTable() string {
	var b strings.Builder
	b.WriteString("| variable | default | meaning |\n| --- | --- | --- |\n")
	for _, s := range settings() {
		b.WriteString("| `" + s.name + "` | `" + s.value + "` | " + s.text + " |\n")
	}
	return b.String()
}

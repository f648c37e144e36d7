package main

import (
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"pushglue/glue/gluetest"
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
		"no pipelines file":        {"run", []string{"PIPELINES=no/such.yml"}, "", 1, `pushglue: PUSHGLUE_PIPELINES: read pipelines file: stat no/such.yml: no such file or directory\n`},
		"pipelines in a directory": {"check", []string{"PIPELINES=."}, "", 1, `pushglue: PUSHGLUE_PIPELINES: read pipelines file: read .: is a directory\n`},
		"no schema": {
			"check", nil, strings.Replace(goodPipelines, "route:", "assert: {file: none.json}, route:", 1), 1,
			`pushglue: pipelines.yml:4:20: stage assert: .*none.json: no such file or directory\n`,
		},
		"unknown stage": {"run", nil, strings.Replace(goodPipelines, "json", "jsno", 1), 1, `pushglue: pipelines.yml:4:14: unknown stage "jsno"; did you mean "json"\?\n`},
		"missing key": {
			"check", nil, strings.Replace(goodPipelines, "route:", "anonymize: {hash: [a]}, route:", 1), 1,
			"pushglue: pipelines.yml:4:20: stage anonymize: key: environment variable PUSHGLUE_ANONYMIZE_KEY is not set, nor is PUSHGLUE_ANONYMIZE_KEY_FILE; make a key with `openssl rand -hex 32`\n",
		},
		"one file twice": {
			"check", nil, "pipelines:\n  - {name: a, feed: f, publish: {file: {path: x}}}\n  - {name: b, feed: f, publish: {file: {path: ./x}}}\n", 1,
			`pushglue: pipelines.yml:3:34: publisher file: path: another pipeline writes to ./x already\n`,
		},
		"no directory": {
			"run", nil, "pipelines:\n  - {name: a, feed: f, publish: {file: {path: no/such/file}}}\n", 1,
			`pushglue: file no/such/file: its directory is not there: stat no/such: no such file or directory\n`,
		},
		"no hash tag":          {"check", []string{"REDIS_URL=redis://h?cluster=true"}, "", 1, `pushglue: feed "f" on a Redis Cluster needs a hash tag, such as "\{f\}", .*\n`},
		"no Redis":             {"run", []string{"REDIS_URL=redis://:secret@" + closed}, "", 1, `pushglue: PUSHGLUE_REDIS_URL: .*connection refused\n`},
		"wrong Redis":          {"run", []string{"REDIS_URL=http://:secret@h"}, "", 1, `pushglue: PUSHGLUE_REDIS_URL: .*has the form redis://.*\n`},
		"wrong Redis, checked": {"check", []string{"REDIS_URL=http://:secret@h"}, "", 1, `pushglue: PUSHGLUE_REDIS_URL: read Redis URL: its scheme is none of redis, rediss and unix; .*\n`},
		"wrong host": {
			"check",
			[]string{"PUSH_HOSTS=http://h,u:secret@h:80"},
			goodPipelines + strings.Replace(goodPipelines, "pipelines:\n  - name: p", "  - name: q", 1), 1,
			`pushglue: PUSHGLUE_PUSH_HOSTS: push host 2 of 2: it is no URL; want a base URL such as http://10.0.0.1:9080\n`,
		},
		"no host":        {"check", []string{"PUSH_HOSTS="}, "", 1, `pushglue: pipelines.yml:5:14: publisher push: PUSHGLUE_PUSH_HOSTS: no push hosts; .*\n`},
		"wrong module":   {"check", []string{"PUSH_MODULE=apache"}, "", 1, `pushglue: PUSHGLUE_PUSH_MODULE: "apache" is no push module; there are push-stream and nchan\n`},
		"no skipping":    {"check", []string{"SKIP_EMPTY=true"}, "", 1, `pushglue: PUSHGLUE_SKIP_EMPTY: nchan does not tell who listens to a channel, .* push-stream .*\n`},
		"wrong truth":    {"check", []string{"SKIP_EMPTY=maybe"}, "", 1, `pushglue: PUSHGLUE_SKIP_EMPTY: "maybe" is no truth value, true or false\n`},
		"wrong dialect":  {"check", []string{"DIALECT=ruby"}, "", 1, `pushglue: PUSHGLUE_DIALECT: .*thoonk.py.*thoonk.js.*\n`},
		"wrong number":   {"check", []string{"BATCH=many"}, "", 1, `pushglue: PUSHGLUE_BATCH: "many" is no whole number\n`},
		"wrong duration": {"check", []string{"DRAIN=10"}, "", 1, `pushglue: PUSHGLUE_DRAIN: "10" is no duration such as 500ms, 5s or 2m\n`},
		"wrong address":  {"check", []string{"HTTP_ADDR=foo"}, "", 1, `pushglue: PUSHGLUE_HTTP_ADDR: "foo" is no address such as 127.0.0.1:9070\n`},
		"wrong ports":    {"check", []string{"HTTP_ADDR=127.0.0.1:99999", "STATSD_ADDR=h:statsd"}, "", 1, `pushglue: PUSHGLUE_HTTP_ADDR: "127.0.0.1:99999" is no address .*\nPUSHGLUE_STATSD_ADDR: "h:statsd" is no address .*\n`},
		"wrong port":     {"check", []string{"PUSH_HOSTS=http://h:99999"}, "", 1, `pushglue: PUSHGLUE_PUSH_HOSTS: push host 1 of 1: h:99999: a port is a number from 1 to 65535\n`},
		"a short token":  {"check", []string{"HTTP_TOKEN=secret"}, "", 1, "pushglue: PUSHGLUE_HTTP_TOKEN: want 16 or more letters, digits and -._~\\+/=; make one with `openssl rand -hex 32`\n"},
		"no map": {
			"check",
			[]string{"TRAFFIC=forum:,", "TRAFFIC_URL=push.example.com"},
			"", 1,
			`pushglue: PUSHGLUE_TRAFFIC: a beginning is empty: .*\nPUSHGLUE_TRAFFIC_URL: want a URL such as https://push.example.com/subscribe/\nPUSHGLUE_TRAFFIC_URL: there is nothing to read there without PUSHGLUE_TRAFFIC_CHANNEL\n`,
		},
		"a wrong channel for the map": {"check", []string{"TRAFFIC_CHANNEL=a/b"}, "", 1, `pushglue: PUSHGLUE_TRAFFIC_CHANNEL: channel name contains '/'\n`},
		"no lease":                    {"check", []string{"LEASE=500ms", "LEASE_OTHERS=1ms"}, "", 1, `pushglue: PUSHGLUE_LEASE: 500ms is less than 1s\nPUSHGLUE_LEASE_OTHERS: 1ms is less than 1s; 0s leaves the claims of others alone\n`},
		"no time":                     {"check", []string{"DRAIN=0s"}, "", 1, `pushglue: PUSHGLUE_DRAIN: 0s is not more than 0s; want a duration such as 5s\n`},
		"wrong tags":                  {"check", []string{"STATSD_TAGS=dots"}, "", 1, `pushglue: PUSHGLUE_STATSD_TAGS: "dots" is none of plain, influx, datadog\n`},
		"malformed and wrong": {
			"check",
			[]string{"BATCH=many", "DRAIN=10", "ATTEMPTS=x", "LOG_LEVEL=loud"},
			"", 1,
			`pushglue: PUSHGLUE_BATCH: "many" is no whole number\nPUSHGLUE_ATTEMPTS: "x" is no whole number\nPUSHGLUE_DRAIN: "10" is no duration such as 500ms, 5s or 2m\nPUSHGLUE_LOG_LEVEL: .*\n`,
		},
		"several":      {"check", []string{"BATCH=0", "LOG_LEVEL=loud", "ATTEMPTS=0"}, "", 1, `pushglue: PUSHGLUE_LOG_LEVEL: "loud" is none of debug, info, warn, error\nPUSHGLUE_BATCH: 0 is not from 1 to 1000\nPUSHGLUE_ATTEMPTS: 0 is less than 1\n`},
		"no push host": {"check --connect", []string{"REDIS_URL=redis://" + closed, "PUSH_HOSTS=http://" + closed}, "", 1, `(?s)pushglue: PUSHGLUE_REDIS_URL: .*connection refused\npush host .*connection refused\n`},
		"put: no file": {"put f no/such.jsonl", []string{"REDIS_URL=redis://" + closed}, "", 1, `pushglue: PUSHGLUE_REDIS_URL: .*connection refused\n`},
	} {
		t.Run(name, func(t *testing.T) {
			if test.pipelines == "" {
				test.pipelines = goodPipelines
			}
			workdir(t, test.pipelines)
			code, _, stderr := invoke(t, "", environment(test.env...), strings.Fields(test.args)...)
			if code != test.code || !regexp.MustCompile("^"+test.want+"$").MatchString(stderr) {
				t.Errorf("exit code %d, standard error:\n%s\nwant %d, %s", code, stderr, test.code, test.want)
			}
			if strings.Contains(stderr, "secret") {
				t.Errorf("the password is shown: %s", stderr)
			}
		})
	}
}

// TestUsageErrors calls commands in wrong ways: each names the command at hand, and what it wants.
func TestUsageErrors(t *testing.T) {
	workdir(t, goodPipelines)
	for args, want := range map[string]struct{ command, text string }{
		"rnu":                 {"pushglue", `unknown command "rnu"; did you mean run?`},
		"Job":                 {"pushglue", `unknown command "Job"; did you mean jobs or top?`},
		"start":               {"pushglue", `unknown command "start"; there are bench, capacity, check, completion, demo, hosts, init, jobs, put, run, sign, tail, top, trace, try, version`},
		"--fast":              {"pushglue", `unknown flag: --fast`},
		"help rnu":            {"pushglue help", `unknown command "rnu"; did you mean run?`},
		"run --fast":          {"pushglue run", `unknown flag: --fast`},
		"run now":             {"pushglue run", `takes no arguments, and got "now"`},
		"check now":           {"pushglue check", `takes no arguments, and got "now"`},
		"check --connect=now": {"pushglue check", `--connect: "now" is no truth value, true or false`},
		"demo xx yy":          {"pushglue demo", `takes no arguments, and got "xx"`},
		"demo --rate x":       {"pushglue demo", `--rate: "x" is no number`},
		"demo --rate NaN":     {"pushglue demo", `--for and --rate must be more than 0`},
		"demo --for 10":       {"pushglue demo", `--for: "10" is no duration such as 500ms, 5s or 2m`},
		"demo --for 0s":       {"pushglue demo", `--for and --rate must be more than 0`},
		"demo --addr 8642":    {"pushglue demo", `--addr: "8642" is no address such as 127.0.0.1:8642`},
		"init a b":            {"pushglue init", `takes [DIR] alone, and got "b" too`},
		"version x":           {"pushglue version", `takes no arguments, and got "x"`},
		"try":                 {"pushglue try", `PIPELINE is missing`},
		"put":                 {"pushglue put", `FEED is missing`},
		"put --rwa f":         {"pushglue put", `unknown flag: --rwa`},
		"jobs":                {"pushglue jobs", `FEED is missing`},
		"jobs --json f":       {"pushglue jobs", `the feed comes first, as in: pushglue jobs FEED --json; there is "--json" in its place`},
	} {
		code, stdout, stderr := invoke(t, "", environment(), strings.Fields(args)...)
		if wantErr := want.command + ": " + want.text + "\nTry: " + want.command + " --help\n"; code != 2 || stdout != "" || stderr != wantErr {
			t.Errorf("%s: exit code %d\n%s%swant\n%s", args, code, stdout, stderr, wantErr)
		}
	}
}

func TestHelp(t *testing.T) {
	for args, want := range map[string]string{
		"":             "Usage:\n  pushglue [flags]\n  pushglue [command]\n",
		"help":         "Usage:\n  pushglue [flags]\n  pushglue [command]\n",
		"help run":     "  PUSHGLUE_REDIS_URL ",
		"run --help":   "  PUSHGLUE_REDIS_URL ",
		"help put":     "Usage:\n  pushglue put FEED [FILE…] [flags]\n",
		"help help":    "Usage:\n  pushglue help [COMMAND…] [flags]\n",
		"help --help":  "Usage:\n  pushglue help [COMMAND…] [flags]\n",
		"help version": "Usage:\n  pushglue version [flags]\n",
	} {
		code, stdout, stderr := invoke(t, "", environment(), strings.Fields(args)...)
		if code != 0 || !strings.Contains(stdout, want) || stderr != "" {
			t.Errorf("%s: exit code %d\n%s%swant\n%s", args, code, stdout, stderr, want)
		}
	}
}

func TestVersion(t *testing.T) {
	want := "pushglue dev (" + runtime.Version() + ")\n"
	for _, args := range []string{"version", "--version"} {
		if code, stdout, stderr := invoke(t, "", environment(), args); code != 0 || stdout != want || stderr != "" {
			t.Errorf("%s: exit code %d\n%s%swant %s", args, code, stdout, stderr, want)
		}
	}
}

// TestUnprefixedVariables has what a container's environment has for its application.
func TestUnprefixedVariables(t *testing.T) {
	workdir(t, goodPipelines)
	env := append(environment(), "REDIS_URL=http://x", "BATCH=x", "LOG_LEVEL=x", "PIPELINES=x", "PUSH_HOSTS=x")
	if code, _, stderr := invoke(t, "", env, "check"); code != 0 {
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
	code, stdout, stderr := invoke(t, "", environment("TYPO=1"), "check")
	const want = `warning: PUSHGLUE_TYPO is no setting; see pushglue run --help
pipelines.yml is good:
feed f
  ┬─ json ─ route ─► push   p
  └─ json ─► file           dark (shadow)
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

// TestCheckTellsWhereMessagesAreSkipped asks push hosts that keep messages and one that does not. That is a
// fake, so that the test runs everywhere; glue/push has the same with the real module.
func TestCheckTellsWhereMessagesAreSkipped(t *testing.T) {
	store := service.StartRedis(t)
	stores, skips := gluetest.NewPushServer(), gluetest.NewPushServer()
	skips.Store(0)
	var urls []string
	for _, host := range []*gluetest.PushServer{stores, skips} {
		server := httptest.NewServer(host)
		t.Cleanup(server.Close)
		urls = append(urls, server.URL)
	}
	workdir(t, goodPipelines)
	env := environment("REDIS_URL="+store.URL(), "PUSH_HOSTS="+strings.Join(urls, ","), "PUSH_MODULE=push-stream", "SKIP_EMPTY=true")
	code, stdout, stderr := command(t, "", env, "check", "--connect")
	host := func(i int) string { return "push host " + strings.TrimPrefix(urls[i], "http://") + " answers\n" }
	for _, want := range []string{
		host(0) + "warning: nothing is skipped on it: it stores messages for readers that come back, ",
		host(1) + "messages that nobody listens to are skipped on it\n",
	} {
		if code != 0 || !strings.Contains(stdout, want) {
			t.Errorf("exit code %d\n%s%s\nwant %s", code, stdout, stderr, want)
		}
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
		value := "`" + s.value + "`"
		if s.value == "" {
			value = ""
		}
		b.WriteString(strings.ReplaceAll("| `"+s.name+"` | "+value+" | "+s.text+" |\n", "|  |", "| |"))
	}
	return b.String()
}

package main

import (
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"pushglue/glue/gluetest"
	"pushglue/glue/gluetest/service"
)

// TestCompletion asks for completions as the scripts for shells do. The pipelines need a key that nobody has here.
func TestCompletion(t *testing.T) {
	workdir(t, goodPipelines+`  - {name: q, feed: g, stages: [json, anonymize: {hash: [a]}, route: {channels: [a]}], publish: push}
  - {name: r, feed: f, publish: {file: {path: x}}}
`)
	const files, nothing = cobra.ShellCompDirectiveDefault, cobra.ShellCompDirectiveNoFileComp
	for args, want := range map[string]struct {
		names     []string
		directive cobra.ShellCompDirective
	}{
		"put ":                           {[]string{"f", "g"}, nothing},
		"put f ":                         {nil, files},
		"put --wait f ":                  {nil, files},
		"try ":                           {[]string{"p", "q", "r"}, nothing},
		"try -v p ":                      {nil, files},
		"trace ":                         {[]string{"f", "g"}, nothing},
		"trace f ":                       {nil, nothing},
		"trace f --put ":                 {nil, files},
		"jobs ":                          {[]string{"f", "g"}, nothing},
		"jobs f ":                        {[]string{"cancel", "help", "list", "retract", "retry", "show"}, nothing},
		"jobs f list ":                   {[]string{"queued", "claimed", "stalled"}, nothing},
		"jobs f list c":                  {[]string{"claimed"}, nothing},
		"jobs f list queued --ol":        {[]string{"--older"}, nothing},
		"jobs f retract x --state ":      {[]string{"queued", "claimed", "stalled"}, nothing},
		"jobs f --ov":                    {[]string{"--over"}, nothing},
		"jobs f help ":                   {[]string{"cancel", "list", "retract", "retry", "show"}, nothing},
		"run ":                           {nil, nothing},
		"check --c":                      {[]string{"--connect"}, nothing},
		"hosts ":                         {[]string{"drain", "in", "out"}, nothing},
		"hosts drain ":                   {nil, nothing},
		"sign private:a --endpoint ":     {[]string{"subscribe", "poll", "ws"}, nothing},
		"capacity --module ":             {[]string{"nchan", "push-stream"}, nothing},
		"bench publish --cpu-profile ":   {nil, files},
		"bench publish --cpu-profile=x ": {nil, nothing},
		"init ":                          {nil, cobra.ShellCompDirectiveFilterDirs},
		"completion b":                   {[]string{"bash"}, nothing},
	} {
		names, directive := completions(t, environment(), args)
		if !slices.Equal(names, want.names) || directive != want.directive {
			t.Errorf("%s: %q, directive %d; want %q, %d", args, names, directive, want.names, want.directive)
		}
	}
	if names, _ := completions(t, environment("PIPELINES=none.yml"), "put "); names != nil {
		t.Errorf("without a pipelines file: %q", names)
	}
}

// completions returns what completes the last of some words.
func completions(t *testing.T, env []string, words string) (names []string, directive cobra.ShellCompDirective) {
	t.Helper()
	code, stdout, stderr := invoke(t, "", env, append([]string{"__completeNoDesc"}, strings.Split(words, " ")...)...)
	lines := strings.Split(strings.TrimSpace(stdout), "\n")
	last := len(lines) - 1
	if code != 0 || len(lines[last]) < 2 {
		t.Fatalf("%s: exit code %d\n%s%s", words, code, stdout, stderr)
	}
	for _, line := range lines[:last] {
		name, _, _ := strings.Cut(line, "\t")
		names = append(names, name)
	}
	for _, digit := range lines[last][1:] {
		directive = directive*10 + cobra.ShellCompDirective(digit-'0')
	}
	return names, directive
}

func TestCompletionOfHosts(t *testing.T) {
	server := httptest.NewServer(gluetest.NewPushServer())
	t.Cleanup(server.Close)
	workdir(t, goodPipelines)
	addr := nobody(t)
	env := append(environment("REDIS_URL="+service.StartRedis(t).URL(), "PUSH_HOSTS="+server.URL, "PUSH_MODULE=push-stream"), "PUSHGLUE_HTTP_ADDR="+addr)
	startDaemonIn(t, env)
	if names, _ := completions(t, env, "hosts out "); !slices.Equal(names, []string{strings.TrimPrefix(server.URL, "http://")}) {
		t.Errorf("%q", names)
	}
}

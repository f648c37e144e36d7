package main

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files anew")

// jwe is an encrypted message, which is another at every run.
var jwe = regexp.MustCompile(`eyJ[\w-]+\.\.[\w-]+\.[\w-]+\.[\w-]+`)

// TestGolden holds what try and check print, on good files and on bad ones, against golden files.
func TestGolden(t *testing.T) {
	comments := lines(t, "comments.jsonl")
	t.Chdir("../../testdata")
	for name, test := range map[string]struct{ pipelines, args, stdin string }{
		"try":                {"good/comments", "try JSONAnonHTTP", strings.Join(comments[:3], "\n")},
		"try-verbose":        {"good/comments", "try -v JSONAnonHTTP", comments[12]},
		"try-secure":         {"good/comments", "try --verbose JSONSecureHTTP", comments[0]},
		"try-file":           {"good/comments", "try JSONAnonFile", comments[0]},
		"try-orders":         {"good/every-stage", "try items orders.jsonl", ""},
		"try-orders-verbose": {"good/every-stage", "try -v items orders.jsonl", ""},
		"try-dark":           {"good/every-stage", "try -v next orders.jsonl", ""},
		"try-late":           {"good/every-stage", "try --waited 2h items orders.jsonl", ""},
		"try-nothing":        {"good/comments", "try JSONAnonHTTP", ""},
		"try-no-pipeline":    {"good/comments", "try comments", ""},
		"try-no-file":        {"good/comments", "try JSONAnonHTTP orders.jsonl no/such.jsonl", ""},
		"try-bad-file":       {"bad/several", "try JSONAnonHTTP", ""},
		"try-no-argument":    {"good/comments", "try", ""},
		"check":              {"good/comments", "check", ""},
		"check-every-stage":  {"good/every-stage", "check", ""},
		"check-coalesce":     {"good/coalesce", "check", ""},
		"check-several":      {"bad/several", "check", ""},
		"check-behind":       {"bad/behind-encrypt", "check", ""},
		"check-syntax":       {"bad/syntax", "check", ""},
		"check-no-file":      {"good/none", "check", ""},
	} {
		t.Run(name, func(t *testing.T) {
			env := environment(append(goldenKeys, "PIPELINES=pipelines/"+test.pipelines+".yml")...)
			code, stdout, stderr := invoke(t, test.stdin, env, strings.Fields(test.args)...)
			got := fmt.Sprintf("$ pushglue %s   (%s.yml)\n%s-- standard error --\n%s-- exit code %d --\n", test.args, test.pipelines, stdout, stderr, code)
			golden(t, "cli/"+name+".golden", jwe.ReplaceAllString(got, "JWE"))
		})
	}
}

// golden holds got against the content of a file, or writes it with -update.
func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs:\n got %.3000s\nwant %.3000s", path, got, want)
	}
}

// TestThePipelinesDocument holds all pipelines of docs/pipelines.md against the pictures below them.
func TestThePipelinesDocument(t *testing.T) {
	text, err := os.ReadFile("../../docs/pipelines.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```yaml\n(.*?)```.*?```\n(feed .*?)```").FindAllSubmatch(text, -1)
	if len(blocks) != 2 {
		t.Fatalf("it has %d times pipelines with a picture below", len(blocks))
	}
	for _, b := range blocks {
		workdir(t, string(b[1]))
		code, stdout, stderr := invoke(t, "", environment(goldenKeys...), "check")
		if want := "pipelines.yml is good:\n" + string(b[2]); code != 0 || stdout != want {
			t.Errorf("exit code %d\n%s%s\nwant\n%s", code, stdout, stderr, want)
		}
	}
}

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestGenerate writes what a release has, and looks whether each command has a page, whose references lead to pages.
func TestGenerate(t *testing.T) {
	dir := t.TempDir()
	if code, stdout, stderr := invoke(t, "", environment(), "generate", dir); code != 0 || stdout+stderr != "" {
		t.Fatalf("exit code %d\n%s%s", code, stdout, stderr)
	}
	for _, shell := range []string{"bash/pushglue", "zsh/_pushglue", "fish/pushglue.fish"} {
		if text := read(t, filepath.Join(dir, "completions", shell)); !strings.Contains(text, "__complete") {
			t.Errorf("%s does not complete", shell)
		}
	}
	if out, err := exec.CommandContext(t.Context(), "bash", "-n", filepath.Join(dir, "completions", "bash", "pushglue")).CombinedOutput(); err != nil {
		t.Errorf("bash: %v\n%s", err, out)
	}
	pages, err := filepath.Glob(filepath.Join(dir, "man", "*.1"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range append(commandNames(newRoot()), "jobs-list", "hosts-drain", "bench-publish") {
		if name != "completion" && !slices.Contains(pages, filepath.Join(dir, "man", "pushglue-"+name+".1")) {
			t.Errorf("pushglue-%s has no page", name)
		}
	}
	for _, path := range pages {
		text := read(t, path)
		if !regexp.MustCompile(`(?s)^\.TH \S+ 1 .*\n\.SH NAME\n\S+ \\- \S.*\n\.SH SYNOPSIS\n.*\n\.SH DESCRIPTION\n\S`).MatchString(text) {
			t.Errorf("%s is no page:\n%s", path, text)
		}
		for _, match := range regexp.MustCompile(`(pushglue[\w\\-]*)\(1\)`).FindAllStringSubmatch(text, -1) {
			if name := strings.ReplaceAll(match[1], `\-`, "-"); !slices.Contains(pages, filepath.Join(dir, "man", name+".1")) {
				t.Errorf("%s names %s, which is no page", path, name)
			}
		}
	}
}

func TestManualPage(t *testing.T) {
	page := string(manualPage(newRunCommand()))
	for _, want := range []string{
		".TH RUN 1 \"\" \"pushglue dev\"\n",
		".nf\nSIGTERM or SIGINT  stops claiming, ",
		"\n.SH ENVIRONMENT\n.TP\n.B PUSHGLUE_REDIS_URL\nwhere the feeds are: ",
		". Default: redis://127.0.0.1:6379/0.\n",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("it does not have %q:\n%s", want, page)
		}
	}
	if strings.Contains(page, "Settings from the environment") {
		t.Error("it has the settings twice")
	}
}

func TestRoff(t *testing.T) {
	for line, want := range map[string]string{
		`plain`:    `plain`,
		`.start`:   `\&.start`,
		`'quote'`:  `\(aqquote\(aq`,
		`--a \n ~`: `\-\-a \(rsn \(ti`,
	} {
		if got := roff(line); got != want {
			t.Errorf("roff(%q) = %q, want %q", line, got, want)
		}
	}
}

// TestGenerateFails on a directory that it cannot make.
func TestGenerateFails(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if code, _, stderr := invoke(t, "", environment(), "generate", path); code != 1 || !strings.Contains(stderr, "not a directory") {
		t.Errorf("exit code %d: %s", code, stderr)
	}
}

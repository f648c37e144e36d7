package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"pushglue/glue/gluetest/service"
)

// TestTheEnvelopeDocument builds the program of docs/envelope.md in a module of its own, with no
// network, and has it put its job.
func TestTheEnvelopeDocument(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(root, "docs", "envelope.md"))
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile("(?s)```go\n(.*?)```.*?```sh\n(go mod edit .*?)\n").FindSubmatch(text)
	if found == nil {
		t.Fatal("it has no program with its go mod edit below")
	}
	sums, err := os.ReadFile(filepath.Join(root, "go.sum"))
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	for name, content := range map[string][]byte{"main.go": found[1], "go.sum": sums} {
		if err := os.WriteFile(name, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	store := service.StartRedis(t)
	for _, args := range [][]string{
		{"go", "mod", "init", "putter"},
		strings.Fields(strings.Replace(string(found[2]), "PATH", root, 1)),
		{"go", "build", "-o", "putter", "."},
		{"./putter"},
	} {
		cmd := exec.CommandContext(t.Context(), args[0], args[1:]...)
		cmd.Env = append(os.Environ(), "GOFLAGS=-mod=mod -trimpath", "CGO_ENABLED=0", "GOPROXY=off", "GOWORK=off", "PUSHGLUE_REDIS_URL="+store.URL())
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%q: %v\n%s", args, err, out)
		}
	}
	_, stdout, _ := command(t, "", environment("REDIS_URL="+store.URL()), "jobs", "comments", "list", "queued", "--json")
	if strings.Count(stdout, `"state":"queued"`) != 2 { // of the list, and of one job
		t.Errorf("got %s", stdout)
	}
}

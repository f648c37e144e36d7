package examples

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"pushglue/glue/gluetest/conform"
	"pushglue/glue/gluetest/service"
	"pushglue/glue/thoonk"
)

// TestAStageOfYourOwn builds the stage of docs/stages.md into a binary as the document says, and runs it beside the old pipeline.
func TestAStageOfYourOwn(t *testing.T) {
	t.Parallel()
	const file = "STAGES=examples/stage/own.go"
	if out := makeIt(t, "stages", file); !bytes.HasPrefix(out, []byte("ok")) || bytes.Contains(out, []byte("no tests")) {
		t.Errorf("its tests say %s", out)
	}
	binary := filepath.Join(t.TempDir(), "pushglue")
	makeIt(t, "build", file, "BIN="+binary)

	store := service.StartRedis(t)
	host := service.StartNginx(t, service.Nchan)
	startDaemon(t, binary, "stage/pipelines.yml", store, host)
	readers := map[string]*reader{"thread:17": read(t, host, "thread:17"), "next": read(t, host, "next")}
	if _, err := conform.RawPut(t.Context(), store.Client(t), thoonk.ThoonkPy, "comments",
		`{"id":"c1.1","thread":17,"message":"A text of more than twenty characters"}`); err != nil {
		t.Fatal(err)
	}
	for channel, want := range map[string]string{"thread:17": "A text of more than twenty characters", "next": "A text of more than …"} {
		if got := readers[channel].next(); got.Message != want || got.ID != "c1.1" {
			t.Errorf("in %s comes %+v, want %q", channel, got, want)
		}
	}
}

// makeIt makes a target of the Makefile, and returns what is written.
func makeIt(t *testing.T, args ...string) []byte {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "make", append([]string{"--silent", "--no-print-directory", "-C", ".."}, args...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("make %q: %v\n%s", args, err, out)
	}
	return out
}

// TestTheStagesDocument holds what docs/stages.md shows against the files.
func TestTheStagesDocument(t *testing.T) {
	document, err := os.ReadFile("../docs/stages.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"stage/own.go", "stage/own_test.go", "stage/pipelines.yml"} {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(document), "\n"+string(text)+"```\n") {
			t.Errorf("it does not show %s as it is", path)
		}
	}
}

package pipelines_test

import (
	"bytes"
	"encoding/json"
	"go/format"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestAStageOfYourOwn builds the stage that docs/stages.md shows into the package, and runs its
// test. Go lays the files over the work tree, into which nothing is written.
func TestAStageOfYourOwn(t *testing.T) {
	var blocks []string
	_, all := fences(t)
	for _, b := range all {
		if b.section == "A stage of your own" && b.info == "go" {
			blocks = append(blocks, b.text+"\n")
		}
	}
	if len(blocks) != 3 {
		t.Fatalf("%d blocks of Go, want the stage, its line in Constructors, and its test", len(blocks))
	}
	stage, line, test := blocks[0], blocks[1], blocks[2]

	source, err := os.ReadFile("../stages.go")
	if err != nil {
		t.Fatal(err)
	}
	const first = "var Constructors = map[string]func(Options) (glue.Stage, error){\n"
	before, after, found := strings.Cut(string(source), first)
	if !found {
		t.Fatalf("stages.go has no line %s", first)
	}
	dir := t.TempDir()
	replace := map[string]string{}
	for name, text := range map[string]string{"truncate.go": stage, "truncate_test.go": test, "stages.go": before + first + line + after} {
		if formatted, err := format.Source([]byte(text)); err != nil || name != "stages.go" && !bytes.Equal(formatted, []byte(text)) {
			t.Errorf("%s is not formatted by gofmt: %v", name, err)
		}
		place, err := filepath.Abs("../" + name)
		if err != nil {
			t.Fatal(err)
		}
		replace[place] = filepath.Join(dir, name)
		if err := os.WriteFile(replace[place], []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(path, overlay, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), "go", "test", "-overlay", path, "-run", "^TestTruncate", "-v", "..").CombinedOutput()
	if err != nil || !bytes.Contains(out, []byte("--- PASS: TestTruncate ")) || !bytes.Contains(out, []byte("--- PASS: TestTruncateRefuses ")) {
		t.Errorf("%v\n%s", err, out)
	}
}

package pipelines_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"pushglue/glue"
	"pushglue/stages"
	"pushglue/stages/pipelines"
)

const stagesDocument = "../../docs/stages.md"

// fence is a fenced block of a document.
type fence struct {
	section     string // the heading of the second level that it is under
	info        string // what follows the opening fence
	first, last int    // the places of its lines; last is that of the closing fence
	text        string
}

// fences returns the lines of docs/stages.md and the fenced blocks in them.
func fences(t *testing.T) (lines []string, all []fence) {
	t.Helper()
	text, err := os.ReadFile(stagesDocument)
	if err != nil {
		t.Fatal(err)
	}
	lines = strings.Split(string(text), "\n")
	var section string
	open := -1
	for i, line := range lines {
		switch {
		case open >= 0 && line == "```":
			all = append(all, fence{section, lines[open][3:], open + 1, i, strings.Join(lines[open+1:i], "\n")})
			open = -1
		case open >= 0:
		case strings.HasPrefix(line, "```"):
			open = i
		case strings.HasPrefix(line, "## "):
			section = line[3:]
		}
	}
	return lines, all
}

// TestStagesDocument runs the examples of docs/stages.md, each of which is three blocks: stages,
// jobs, and what becomes of them.
func TestStagesDocument(t *testing.T) {
	goldenKeys(t)
	lines, blocks := fences(t)
	shown := map[string]bool{}
	for i := len(blocks) - 1; i >= 0; i-- { // from the end, where new lines move no other example
		b := blocks[i]
		if b.info != "yaml" {
			continue
		}
		t.Run(fmt.Sprintf("%s, line %d", b.section, b.first), func(t *testing.T) {
			if i+2 >= len(blocks) || !strings.HasPrefix(blocks[i+1].info, jobsIn) || blocks[i+2].info != "text out" || blocks[i+2].section != b.section {
				t.Fatal("no jobs and outcomes follow the stages")
			}
			p := pipelineOf(t, b.text)
			for _, stage := range p.Stages {
				shown[b.section] = shown[b.section] || stage.Name == b.section
			}
			got := outcomes(t, p, waited(t, blocks[i+1].info), strings.Split(blocks[i+1].text, "\n"))
			if want := blocks[i+2]; *update {
				lines = slices.Replace(lines, want.first, want.last, got...)
			} else if strings.Join(got, "\n") != want.text {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), want.text)
			}
		})
	}
	overview, err := os.ReadFile("../../docs/pipelines.md")
	if err != nil {
		t.Fatal(err)
	}
	for name := range stages.Constructors {
		if !shown[name] {
			t.Errorf("the stage %s has no section with an example of it", name)
		}
		if !strings.Contains(string(overview), "(stages.md#"+name+")") {
			t.Errorf("docs/pipelines.md does not list the stage %s", name)
		}
	}
	golden(t, stagesDocument, strings.Join(lines, "\n"))
}

// pipelineOf returns a pipeline with the stages of an example.
func pipelineOf(t *testing.T, list string) *glue.Pipeline {
	t.Helper()
	text := "pipelines:\n  - name: example\n    feed: jobs\n    publish: {file: {path: out}}\n    stages:\n      " + strings.ReplaceAll(list, "\n", "\n      ")
	parsed, err := pipelines.Parse("example", []byte(text), publishers(nil))
	if err != nil {
		t.Fatal(err)
	}
	return &parsed[0]
}

// jobsIn begins the info of a block of jobs. What follows, if anything, is how long they waited on their feed.
const jobsIn = "json in"

func waited(t *testing.T, info string) time.Duration {
	t.Helper()
	text := strings.TrimPrefix(strings.TrimPrefix(info, jobsIn), " after ")
	if text == "" {
		return 0
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// outcomes returns the lines that a document has for what becomes of jobs.
func outcomes(t *testing.T, p *glue.Pipeline, waited time.Duration, payloads []string) []string {
	t.Helper()
	var lines []string
	for i, payload := range payloads {
		messages, err := p.Transform(t.Context(), glue.Job{ID: fmt.Sprintf("job%d", i+1), Payload: []byte(payload), Waited: waited})
		switch {
		case err != nil && !glue.IsPermanent(err):
			t.Errorf("%s fails for now: %v", payload, err)
		case err != nil:
			lines = append(lines, "fails: "+err.Error())
		case len(messages) == 0:
			lines = append(lines, "dropped")
		}
		for _, m := range messages {
			lines = append(lines, strings.Join([]string{m.ID, orDash(m.Type), orDash(strings.Join(m.Channels, ",")), readable(m.Body())}, " "))
		}
	}
	return lines
}

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

// readable returns a body, or what a reader makes of an encrypted one, with the key's id.
func readable(body []byte) string {
	jwe, err := jose.ParseEncryptedCompact(string(body), []jose.KeyAlgorithm{jose.DIRECT}, []jose.ContentEncryption{jose.A256GCM})
	if err != nil {
		return string(body)
	}
	return fmt.Sprintf("JWE(%s) %s", jwe.Header.KeyID, decrypted(body))
}

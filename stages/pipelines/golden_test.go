package pipelines_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/rs/zerolog"

	"pushglue/glue"
	"pushglue/glue/gluetest"
	"pushglue/stages/pipelines"
)

// goldenMessage is one line of a golden file: what a job becomes.
type goldenMessage struct {
	ID       string   `json:"id"`
	Type     string   `json:"type,omitempty"`
	Channels []string `json:"channels,omitempty"`
	Body     string   `json:"body"`
}

// TestComments runs the shipped pipelines over the comments, as an application puts them.
func TestComments(t *testing.T) {
	published, stalled := runComments(t, readLines(t, "../../testdata/comments.jsonl"))
	golden(t, "../../testdata/comments.golden.jsonl", published["JSONAnonHTTP"])
	golden(t, "../../testdata/comments.secure.golden.jsonl", published["JSONSecureHTTP"])
	golden(t, "../../testdata/comments.firehose.golden.jsonl", published["JSONAnonFile"])
	for id, reason := range stalled {
		t.Errorf("job %s is stalled: %s", id, reason)
	}
}

// TestBadJobs runs the shipped pipelines over what no application should put.
func TestBadJobs(t *testing.T) {
	var payloads [][]byte
	var names, whys []string
	for _, line := range readLines(t, "../../testdata/bad-jobs.jsonl") {
		var job struct {
			Name    string `json:"name"`
			Payload string `json:"payload"`
			Binary  []byte `json:"payload_base64"`
			Why     string `json:"why"`
		}
		if err := json.Unmarshal(line, &job); err != nil {
			t.Fatal(err)
		}
		payload := []byte(job.Payload)
		if job.Binary != nil {
			payload = job.Binary
		}
		payloads, names, whys = append(payloads, payload), append(names, job.Name), append(whys, job.Why)
	}
	published, stalled := runComments(t, payloads)
	if push := published["JSONAnonHTTP"]; push != "" {
		t.Errorf("bad jobs were published:\n%.3000s", push)
	}
	var reasons strings.Builder
	for i, name := range names {
		if !strings.Contains(stalled[jobID(i)], whys[i]) {
			t.Errorf("%s: stalled because %q, want %q", name, stalled[jobID(i)], whys[i])
		}
		reasons.WriteString(name + ": " + stalled[jobID(i)] + "\n")
	}
	golden(t, "../../testdata/bad-jobs.golden.txt", reasons.String())
}

func readLines(tb testing.TB, path string) [][]byte {
	tb.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	return bytes.Split(bytes.TrimSuffix(text, []byte("\n")), []byte("\n"))
}

func jobID(i int) string { return fmt.Sprintf("job%04d", i) }

// runComments puts payloads on the feed comments, runs the shipped pipelines over them, and
// returns what each one published, and the reasons of the jobs that were stalled.
func runComments(t *testing.T, payloads [][]byte) (published, stalled map[string]string) {
	t.Helper()
	goldenKeys(t)
	published, stalled = map[string]string{}, map[string]string{}
	synctest.Test(t, func(t *testing.T) {
		list, err := pipelines.Load(testdata+"good/comments.yml", publishers(new(recorder)))
		if err != nil {
			t.Fatal(err)
		}
		recorders := make([]recorder, len(list))
		for i := range list {
			list[i].Publisher = &recorders[i]
		}
		feed := gluetest.NewFeed("comments")
		for i, payload := range payloads {
			feed.Put(jobID(i), payload)
		}
		engine, err := glue.New(glue.Config{Feeds: []glue.Feed{feed}, Pipelines: list, Log: zerolog.Nop()})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := engine.Run(ctx); err != nil {
			t.Error(err)
		}
		for i := range recorders {
			published[list[i].Name] = recorders[i].String()
		}
		for id, s := range feed.State().Done {
			if s.Verdict == glue.Stall {
				stalled[id] = s.Reason.String()
			}
		}
	})
	return published, stalled
}

// recorder is a publisher that writes golden lines.
type recorder struct{ bytes.Buffer }

func (*recorder) NeedsChannels() {}

func (r *recorder) Publish(_ context.Context, batch []*glue.Message, outcomes []error) {
	lines := json.NewEncoder(&r.Buffer)
	lines.SetEscapeHTML(false)
	for i, m := range batch {
		outcomes[i] = lines.Encode(goldenMessage{m.ID, m.Type, m.Channels, string(decrypted(m.Body()))})
	}
}

// goldenEncryptKey is the key with which the golden files were made.
const goldenEncryptKey = "0707070707070707070707070707070707070707070707070707070707070707"

// goldenKeys sets the keys with which the golden files were made.
func goldenKeys(tb interface{ Setenv(name, value string) }) {
	tb.Setenv("PUSHGLUE_ANONYMIZE_KEY", "golden key, known to all")
	tb.Setenv("PUSHGLUE_ENCRYPT_KEY", goldenEncryptKey)
}

// decrypted returns what a reader with the golden key makes of a body: an encrypted one is another at every
// run, so golden files have what is in it.
func decrypted(body []byte) []byte {
	object, err := jose.ParseEncryptedCompact(string(body), []jose.KeyAlgorithm{jose.DIRECT}, []jose.ContentEncryption{jose.A256GCM})
	if err != nil {
		return body
	}
	key, err := hex.DecodeString(goldenEncryptKey)
	if err != nil {
		return body
	}
	text, err := object.Decrypt(key)
	if err != nil {
		return body
	}
	return text
}

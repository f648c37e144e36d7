package examples

import (
	"encoding/base64"
	"encoding/json"
	"iter"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"pushglue/glue/gluetest/service"
)

// envelopeSchema returns the JSON Schema of envelopes.
func envelopeSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	schema, err := jsonschema.NewCompiler().Compile("../docs/envelope.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// validate holds a payload against the schema.
func validate(schema *jsonschema.Schema, payload string) error {
	value, err := jsonschema.UnmarshalJSON(strings.NewReader(payload))
	if err != nil {
		return err
	}
	return schema.Validate(value)
}

// checkFeed holds all jobs on the feed comments against the schema of envelopes. There must be so many.
func checkFeed(t *testing.T, store *service.Redis, jobs int) {
	t.Helper()
	payloads, err := store.Client(t).HVals(t.Context(), "feed.items:comments").Result()
	if err != nil || len(payloads) != jobs {
		t.Fatalf("there are %d jobs, want %d: %v", len(payloads), jobs, err)
	}
	schema := envelopeSchema(t)
	for _, payload := range payloads {
		if err := validate(schema, payload); err != nil {
			t.Errorf("%v: %s", err, payload)
		}
	}
}

// TestTheEnvelopeSchema has the schema say of jobs what the stage json says.
func TestTheEnvelopeSchema(t *testing.T) {
	schema := envelopeSchema(t)
	for payload := range lines(t, "comments.jsonl") {
		if err := validate(schema, payload); err != nil {
			t.Errorf("%v: %s", err, payload)
		}
	}

	verdicts := map[string]string{} // of the stages, by name
	for line := range lines(t, "bad-jobs.golden.txt") {
		name, verdict, _ := strings.Cut(line, ": JSONAnonHTTP: ")
		verdicts[name] = verdict
	}
	aboutTheForm := regexp.MustCompile("^stage json: (payload is not a JSON object|id |event )")
	refused := 0
	for line := range lines(t, "bad-jobs.jsonl") {
		var job struct {
			Name, Payload string
			Base64        string `json:"payload_base64"`
		}
		if err := json.Unmarshal([]byte(line), &job); err != nil {
			t.Fatal(err)
		}
		if binary, err := base64.StdEncoding.DecodeString(job.Base64); err == nil && len(binary) > 0 {
			job.Payload = string(binary)
		}
		if !aboutTheForm.MatchString(verdicts[job.Name]) {
			continue // not even JSON, or refused by another stage
		}
		refused++
		if validate(schema, job.Payload) == nil {
			t.Errorf("it takes the job %q", job.Name)
		}
	}
	if refused < 10 {
		t.Errorf("only %d bad jobs are about the form of the envelope", refused)
	}
	if validate(schema, `{"event":"coalesced"}`) == nil {
		t.Error("it takes the event coalesced")
	}
}

// lines yields the lines of a file of testdata.
func lines(t *testing.T, name string) iter.Seq[string] {
	t.Helper()
	text, err := os.ReadFile("../testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Lines(string(text))
}

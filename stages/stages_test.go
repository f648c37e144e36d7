package stages_test

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"pushglue/glue"
	"pushglue/stages"
)

// key is the key of the tests' pseudonyms.
const key = "a key for tests, known to all"

// build makes a stage of what a pipelines file would say.
func build(name, options string) (glue.Stage, error) {
	return stages.Constructors[name](func(into any) error {
		if options == "" {
			return nil
		}
		return yaml.UnmarshalWithOptions([]byte(options), into, yaml.Strict())
	})
}

func mustBuild(tb testing.TB, name, options string) glue.Stage {
	tb.Helper()
	stage, err := build(name, options)
	if err != nil {
		tb.Fatalf("%s %s: %v", name, options, err)
	}
	return stage
}

// message is a message as it leaves the stages.
type message struct {
	ID, Type, Body string
	Channels       []string
}

// process runs a payload through stages.
func process(payload string, list ...glue.Stage) (message, error) {
	m := glue.NewMessage("job1", []byte(payload))
	var err error
	for _, stage := range list {
		if err = stage.Process(context.Background(), m); err != nil && !errors.Is(err, glue.ErrFlag) {
			return message{}, err
		}
	}
	return message{m.ID, m.Type, string(m.Body()), m.Channels}, err
}

// example is a payload that goes through a stage behind json, and what comes of it. An error that
// begins with dropped or flagged is such a verdict, and any other is a permanent error.
type example struct {
	options, payload string
	want             message
	err              string
}

func check(t *testing.T, stage string, examples map[string]example) {
	t.Helper()
	for name, test := range examples {
		t.Run(name, func(t *testing.T) {
			list := []glue.Stage{mustBuild(t, stage, test.options)}
			if stage != "json" {
				list = append([]glue.Stage{mustBuild(t, "json", "")}, list...)
			}
			got, err := process(test.payload, list...)
			text := ""
			if err != nil {
				text = err.Error()
			}
			word, _, _ := strings.Cut(text, ":")
			if is := map[string]bool{
				"": true, "dropped": errors.Is(err, glue.ErrDrop), "flagged": errors.Is(err, glue.ErrFlag),
			}; text != test.err || !is[word] && !glue.IsPermanent(err) {
				t.Fatalf("got the error %v, want %s", err, test.err)
			}
			if !reflect.DeepEqual(got, test.want) {
				t.Errorf("\n got %+v\nwant %+v", got, test.want)
			}
		})
	}
}

// refuse holds a constructor's errors against those wanted, by options.
func refuse(t *testing.T, stage string, want map[string]string) {
	t.Helper()
	for options, text := range want {
		if _, err := build(stage, options); err == nil || err.Error() != text {
			t.Errorf("%s %s\n got %v\nwant %s", stage, options, err, text)
		}
	}
}

// fuzz feeds payloads to a stage behind json: it may refuse them, and does so for good; what
// passes must be one line that names the message's id.
func fuzz(f *testing.F, stage, options string, check func(t *testing.T, m message)) {
	f.Setenv("PUSHGLUE_ANONYMIZE_KEY", key)
	f.Add(`{"id":"c1","event":"post_save","forum":"news","author":{"id":7,"email":"secret@example.com"},"list":[{"author":{"email":"secret@example.com"}}]}`)
	f.Add(`{"author":[{"email":"secret@example.com"}],"forum":"a/b"}`)
	list := []glue.Stage{mustBuild(f, "json", ""), mustBuild(f, stage, options)}
	f.Fuzz(func(t *testing.T, payload string) {
		m, err := process(payload, list...)
		switch {
		case errors.Is(err, glue.ErrDrop):
		case err != nil && !glue.IsPermanent(err):
			t.Errorf("payload %q fails for now: %v", payload, err)
		case err == nil:
			if strings.ContainsAny(m.Body, "\r\n") || glue.CheckToken(m.ID) != nil || !strings.Contains(m.Body, `"id":`) {
				t.Errorf("payload %q became %+v", payload, m)
			}
			check(t, m)
		}
	})
}

// typicalOptions has options for every stage that are as one would have them.
var typicalOptions = map[string]string{
	"anonymize":   `{drop: [author.email, author.ip], hash: [author.id]}`,
	"assert":      `{schema: {type: object, required: [id, post, message], properties: {post: {type: integer}, message: {type: string, maxLength: 20000}}}}`,
	"darkesttime": `channel: test`,
	"darktime":    `{percent: 100, by: author.id}`,
	"dedupe":      `window: 10m`,
	"encrypt":     `key: {id: k1}`,
	"expire":      `{after: 10m, divert: ["late:{forum}"]}`,
	"filter":      `keep: '.forum == "gazette"'`,
	"format":      `{keep: [id, post, thread, parent, author, message, createdAt], type: "{event}"}`,
	"json":        ``,
	"route":       `channels: ["forum:{forum}", "thread:{thread}", "user:{author.username}", "post:{post}"]`,
	"sanitize":    `{html: [message], text: [author.name]}`,
	"split":       `jq: '., {event, post}'`,
}

// BenchmarkStages takes one comment through each stage, without what it costs to copy the comment: clone
// has that.
func BenchmarkStages(b *testing.B) {
	b.Setenv("PUSHGLUE_ANONYMIZE_KEY", key)
	b.Setenv("PUSHGLUE_ENCRYPT_KEY", encryptKey)
	text, err := os.ReadFile("../testdata/comments.jsonl")
	if err != nil {
		b.Fatal(err)
	}
	comment, _, _ := bytes.Cut(text, []byte("\n"))
	raw := glue.NewMessage("job1", comment)
	parsed := raw.Clone()
	if err := mustBuild(b, "json", "").Process(b.Context(), parsed); err != nil {
		b.Fatal(err)
	}
	b.Run("clone", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			parsed.Clone()
		}
	})
	for _, name := range slices.Sorted(maps.Keys(stages.Constructors)) {
		b.Run(name, func(b *testing.B) {
			stage := mustBuild(b, name, typicalOptions[name])
			from := parsed
			if name == "json" {
				from = raw
			}
			benchmarkStage(b, stage, from)
		})
	}
}

func benchmarkStage(b *testing.B, stage glue.Stage, from *glue.Message) {
	const atOnce = 256 // as many as a batch has
	messages := make([]*glue.Message, 0, atOnce)
	b.ReportAllocs()
	for b.Loop() {
		if len(messages) == 0 {
			b.StopTimer()
			for range atOnce {
				messages = append(messages, from.Clone())
			}
			b.StartTimer()
		}
		last := len(messages) - 1
		if err := stage.Process(b.Context(), messages[last]); err != nil {
			b.Fatal(err)
		}
		messages = messages[:last]
	}
}

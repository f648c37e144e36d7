package pipelines_test

import (
	"testing"
	"time"

	"pushglue/glue"
	"pushglue/stages/pipelines"
)

// coalesceOf returns what a pipeline's coalesce makes of its text, behind these stages; nil without one.
func coalesceOf(t *testing.T, list, text string) *glue.Coalesce {
	t.Helper()
	text = "pipelines:\n  - name: p\n    feed: f\n    publish: push\n    stages: [" + list + "]\n" + text
	parsed, err := pipelines.Parse("test.yml", []byte(text), publishers(new(channelPublisher)))
	if err != nil {
		t.Fatal(err)
	}
	return parsed[0].Coalesce
}

const toThread = `json, route: {channels: ["thread:{thread}"]}`

func TestCoalesce(t *testing.T) {
	for text, want := range map[string]glue.Coalesce{
		"    coalesce: {}":                              glue.DefaultCoalesce(),
		"    coalesce: {window: 1s}":                    {Window: time.Second, Count: 100, Bytes: 32768},
		"    coalesce: {count: 1000}":                   {Window: 25 * time.Millisecond, Count: 1000, Bytes: 32768},
		"    coalesce: {bytes: 65536, window: \"1ms\"}": {Window: time.Millisecond, Count: 100, Bytes: 65536},
	} {
		c := coalesceOf(t, toThread, text)
		if c == nil || c.Window != want.Window || c.Count != want.Count || c.Bytes != want.Bytes || c.Key != nil {
			t.Errorf("%s: got %+v, want %+v", text, c, want)
		}
	}
	if c := coalesceOf(t, toThread, ""); c != nil {
		t.Errorf("without coalesce: got %+v", c)
	}
}

// TestLatest looks at the keys of messages at the end of the stages.
func TestLatest(t *testing.T) {
	const keep = toThread + ", format: {keep: [id, post, author]}"
	for _, test := range []struct {
		stages, latest, payload string
		key                     string
		ok                      bool
	}{
		{toThread, "{thread}:{post}", `{"thread":1,"post":"x"}`, "1:x", true},
		{keep, "{post}", `{"thread":1,"post":7}`, "7", true},
		{keep, "{thread}", `{"thread":1,"post":7}`, "", false},
		{keep, "{post}", `{"thread":1,"post":null}`, "", false},
		{keep, "{author}", `{"thread":1,"author":{"id":7}}`, "", false},
		{keep, "{author.id}", `{"thread":1,"author":{"id":7}}`, "7", true},
		{toThread + ", encrypt: {key: {id: k1}}", "all", `{"thread":1}`, "all", true},
	} {
		goldenKeys(t)
		text := "pipelines:\n  - name: p\n    feed: f\n    publish: push\n    stages: [" + test.stages + "]\n    coalesce: {latest: \"" + test.latest + "\"}\n"
		parsed, err := pipelines.Parse("test.yml", []byte(text), publishers(new(channelPublisher)))
		if err != nil {
			t.Fatal(err)
		}
		messages, err := parsed[0].Transform(t.Context(), glue.Job{ID: "j", Payload: []byte(test.payload)})
		if err != nil || len(messages) != 1 {
			t.Fatalf("%s: %v, %v", test.payload, messages, err)
		}
		if key, ok := parsed[0].Coalesce.Key(messages[0]); ok != test.ok || ok && key != test.key {
			t.Errorf("%s of %s: %q, %t", test.latest, messages[0].Body(), key, ok)
		}
	}
}

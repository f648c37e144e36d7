package stages_test

import (
	"fmt"
	"strings"
	"testing"

	"pushglue/glue"
)

// splitUp runs a payload through json, before, split, and after, and returns a line for each message.
func splitUp(tb testing.TB, payload, options string, after ...glue.NamedStage) (string, error) {
	tb.Helper()
	p := glue.Pipeline{Stages: append([]glue.NamedStage{
		{Name: "json", Stage: mustBuild(tb, "json", "")},
		{Name: "route", Stage: mustBuild(tb, "route", `channels: [all]`)},
		{Name: "split", Stage: mustBuild(tb, "split", options)},
	}, after...)}
	messages, err := p.Transform(tb.Context(), glue.Job{ID: "job1", Payload: []byte(payload)})
	var lines strings.Builder
	for _, m := range messages {
		fmt.Fprintf(&lines, "%s %s %s %s\n", m.ID, m.Type, strings.Join(m.Channels, ","), m.Body())
	}
	return lines.String(), err
}

func TestSplit(t *testing.T) {
	for name, test := range map[string]struct{ options, payload, want, err string }{
		"parts": {
			`jq: '.posts[] + {forum}'`, `{"id":7,"event":"e","forum":"news","posts":[{"n":1},{"n":2,"id":"x"}]}`,
			"7#1 e all {\"id\":\"7#1\",\"forum\":\"news\",\"n\":1}\n7#2 e all {\"forum\":\"news\",\"id\":\"7#2\",\"n\":2}\n", "",
		},
		"one":     {`jq: '.'`, `{"a":1.50}`, "job1#1  all {\"a\":1.50,\"id\":\"job1#1\"}\n", ""},
		"nothing": {`jq: '.posts[]?'`, `{}`, "", ""},
		"text":    {`jq: '., "secret"'`, `{}`, "", "stage split: jq gives no object"},
		"error":   {`jq: '., error'`, `{}`, "", "stage split: jq fails"},
		"long id": {`jq: '.'`, `{"id":"` + strings.Repeat("x", 127) + `"}`, "", "stage split: the id of part 1 has 129 bytes, more than 128"},
		"too many": {
			`jq: 'range(1001) | {n: .}'`, `{}`, "", "stage split: jq gives more than 1000 results",
		},
	} {
		got, err := splitUp(t, test.payload, test.options)
		if got != test.want || (err != nil || test.err != "") && (err == nil || err.Error() != test.err || !glue.IsPermanent(err)) {
			t.Errorf("%s\n got %v, %s\nwant %s, %s", name, err, got, test.err, test.want)
		}
	}
	if got, err := splitUp(t, `{}`, `jq: 'range(1000) | {n: .}'`); err != nil || strings.Count(got, "\n") != 1000 {
		t.Errorf("%v, %d parts", err, strings.Count(got, "\n"))
	}
}

func TestPartsGoTheirOwnWay(t *testing.T) {
	got, err := splitUp(t, `{"id":"p","posts":[{"n":1},{"n":2},{"n":3}]}`, `jq: '.posts[]'`,
		glue.NamedStage{Name: "route", Stage: mustBuild(t, "route", `channels: ["n:{n}"]`)},
		glue.NamedStage{Name: "filter", Stage: mustBuild(t, "filter", `drop: '.n == 2'`)})
	if want := "p#1  all,n:1 {\"id\":\"p#1\",\"n\":1}\np#3  all,n:3 {\"id\":\"p#3\",\"n\":3}\n"; err != nil || got != want {
		t.Errorf("%v, %s", err, got)
	}
}

func TestSplitRefuses(t *testing.T) {
	refuse(t, "split", map[string]string{
		``:            "jq: give an expression",
		`jq: '.a['`:   "jq: unexpected EOF",
		`jq: '$gone'`: "jq: variable not defined: $gone",
	})
}

func FuzzSplit(f *testing.F) {
	f.Add(`{"id":"c1","event":"post_save","list":[{"id":1},{"author":{"id":7}}]}`)
	f.Add(`{"list":{"a":{},"b":[]}}`)
	f.Fuzz(func(t *testing.T, payload string) {
		got, err := splitUp(t, payload, `jq: '.list[]'`)
		if err != nil && (!glue.IsPermanent(err) || got != "") {
			t.Errorf("payload %q: %v, %s", payload, err, got)
		}
		for i, line := range strings.Split(strings.TrimSuffix(got, "\n"), "\n") {
			if got != "" && !strings.Contains(line, fmt.Sprintf("#%d ", i+1)) {
				t.Errorf("payload %q: part %d is %s", payload, i+1, line)
			}
		}
	})
}

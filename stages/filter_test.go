package stages_test

import (
	"context"
	"errors"
	"testing"

	"pushglue/glue"
)

func TestFilter(t *testing.T) {
	comment := `{"id":"1","forum":"news","n":3}`
	kept := message{ID: "1", Body: comment}
	check(t, "filter", map[string]example{
		"keep, true":              {`keep: '.forum == "news"'`, comment, kept, ""},
		"keep, false":             {`keep: '.forum == "cars"'`, comment, message{}, "dropped"},
		"keep, null":              {`keep: '.gone'`, comment, message{}, "dropped"},
		"keep, nothing":           {`keep: 'empty'`, comment, message{}, "dropped"},
		"keep, zero is true":      {`keep: '0'`, comment, kept, ""},
		"keep, the first counts":  {`keep: 'true, false'`, comment, kept, ""},
		"keep, the rest does not": {`keep: 'true, error("x")'`, comment, kept, ""},
		"drop, true":              {`drop: '.n > 2'`, comment, message{}, "dropped"},
		"drop, false":             {`drop: '.n > 3'`, comment, kept, ""},
		"drop, null":              {`drop: '.gone'`, comment, kept, ""},
		"an error":                {`drop: '.forum | tonumber'`, comment, message{}, "jq fails"},
		"no end":                  {`drop: '[limit(1; repeat(empty))]'`, comment, message{}, "jq takes longer than 1s"},
		"no environment":          {`keep: 'env.PATH // $ENV.PATH'`, comment, message{}, "dropped"},
	})
}

func TestFilterRefuses(t *testing.T) {
	const which = "give one condition, under keep or under drop"
	refuse(t, "filter", map[string]string{
		``:                      which,
		`keep: ''`:              which,
		`{keep: ., drop: .}`:    which,
		`keep: '.a =='`:         "keep: unexpected EOF",
		`drop: 'nosuch(.a)'`:    "drop: function not defined: nosuch/1",
		`keep: 'input'`:         "keep: input(s)/0 is not allowed",
		`drop: 'include "x";.'`: "drop: cannot load module: \"x\"",
	})
}

func TestAnAbortIsNoVerdictOfJQ(t *testing.T) {
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	late, cancel := context.WithTimeout(t.Context(), 0)
	defer cancel()
	m := glue.NewMessage("1", []byte(`{}`))
	if err := mustBuild(t, "json", "").Process(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	for stage, options := range map[string]string{"filter": `keep: 'def f: f; f'`, "split": `jq: 'def f: f; f'`, "format": `jq: 'def f: f; f'`} {
		for _, ctx := range []context.Context{cancelled, late} {
			if err := mustBuild(t, stage, options).Process(ctx, m); !errors.Is(err, ctx.Err()) || glue.IsPermanent(err) {
				t.Errorf("%s: got %v", stage, err)
			}
		}
	}
}

func FuzzFilter(f *testing.F) {
	fuzz(f, "filter", `keep: '.author.id != null and (.list | length) < 3'`, func(*testing.T, message) {})
}

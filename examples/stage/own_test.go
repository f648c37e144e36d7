package stages_test

import "testing"

func TestTruncate(t *testing.T) {
	check(t, "truncate", map[string]example{
		"long":    {`{paths: [a], max: 3}`, `{"id":"1","a":"Grüße"}`, message{ID: "1", Body: `{"id":"1","a":"Grü…"}`}, ""},
		"short":   {`{paths: [a], max: 5}`, `{"id":"1","a":"Grüße"}`, message{ID: "1", Body: `{"id":"1","a":"Grüße"}`}, ""},
		"array":   {`{paths: [a], max: 1}`, `{"id":"1","a":["ab","c",10]}`, message{ID: "1", Body: `{"id":"1","a":["a…","c",10]}`}, ""},
		"missing": {`paths: [a.b]`, `{"id":"1"}`, message{ID: "1", Body: `{"id":"1"}`}, ""},
	})
}

func TestTruncateRefuses(t *testing.T) {
	refuse(t, "truncate", map[string]string{
		``:                     "paths: name at least one",
		`{paths: [a], max: 0}`: "max: leave at least one character",
		`paths: [id]`:          `paths: "id" is the message's id, which readers need as it is`,
	})
}

package stages_test

import (
	"strings"
	"testing"
)

func TestFormat(t *testing.T) {
	check(t, "format", map[string]example{
		"keep": {
			`{keep: [author.name, n], type: "x-{event}"}`, `{"id":5,"event":"e","n":1e3,"author":{"name":"a","ip":"b"}}`,
			message{ID: "5", Type: "x-e", Body: `{"id":5,"n":1e3,"author":{"name":"a"}}`},
			"",
		},
		"drop and rename": {
			`{drop: [event, author.ip], rename: {author.name: nick, n: number}}`, `{"id":5,"event":"e","n":1,"author":{"name":"a","ip":"b"}}`,
			message{ID: "5", Type: "e", Body: `{"id":5,"number":1,"author":{"nick":"a"}}`},
			"",
		},
		"no type": {`type: "{kind}"`, `{"id":5,"event":"e"}`, message{ID: "5", Body: `{"id":5,"event":"e"}`}, ""},
		"jq": {
			`jq: '{text: .message, by: .author.name, id: "other", big: .big}'`, `{"id":5,"message":"<b>","author":{"name":"a"},"big":9007199254740993}`,
			message{ID: "5", Body: `{"big":9007199254740993,"by":"a","id":5,"text":"<b>"}`},
			"",
		},
		"jq fails":         {`jq: '.message | error'`, `{"message":"secret"}`, message{}, "jq fails"},
		"jq gives nothing": {`jq: 'empty'`, `{}`, message{}, "jq gives nothing"},
		"jq gives two":     {`jq: '., .'`, `{}`, message{}, "jq gives more than one result"},
		"jq gives a list":  {`jq: '[.]'`, `{}`, message{}, "jq gives no object"},
		"jq, long body":    {`jq: .`, `{"a":"` + strings.Repeat("x", 64<<10) + `"}`, message{}, "a body of more than 65536 bytes is too long for jq"},
		"jq, long number":  {`jq: '.a * .a'`, `{"a":` + strings.Repeat("1", 1001) + `}`, message{}, "a number has more than 1000 digits"},
		"type for no line": {`type: "{t}"`, `{"t":"a\nb"}`, message{}, "type contains something other than visible ASCII"},
		"jq never ends":    {`jq: 'def f: f; f'`, `{}`, message{}, "jq takes longer than 1s"},
	})
}

func TestFormatRefuses(t *testing.T) {
	refuse(t, "format", map[string]string{
		`{jq: ., keep: [a]}`:  "jq stands alone: the expression can keep, drop and rename itself",
		`jq: '{'`:             "jq: unexpected EOF",
		`drop: [id]`:          `drop: "id" is the message's id, which readers need as it is`,
		`rename: {post: id}`:  `rename: "post" to "id" would change the message's id`,
		`rename: {id: post}`:  `rename: "id" to "post" would change the message's id`,
		`rename: {a: }`:       `rename: "a" has no text as its new name`,
		`rename: {a: [1, 2]}`: `rename: "a" has no text as its new name`,
		`type: "post save"`:   `type: "post save" contains something other than visible ASCII`,
		`keep: []`:            "keep: name at least one path, or leave it out to keep everything",
		`type: "{"`:           `type: "{": braces do not pair`,
	})
}

func FuzzFormat(f *testing.F) {
	fuzz(f, "format", `{keep: [author.id, list], rename: {author.id: event}, type: "{event}"}`, func(*testing.T, message) {})
}

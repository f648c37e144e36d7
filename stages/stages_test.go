package stages_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"reflect"
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
	for _, stage := range list {
		if err := stage.Process(context.Background(), m); err != nil {
			return message{}, err
		}
	}
	return message{m.ID, m.Type, string(m.Body()), m.Channels}, nil
}

func TestStages(t *testing.T) {
	t.Setenv("PUSHGLUE_ANONYMIZE_KEY", key)
	const pseudonymOf7 = "5279087f1ad3a945d04901f5e6673cd5"
	for name, test := range map[string]struct {
		stage, options, payload string
		want                    message
		err                     string // permanent, if set
	}{
		"json": {
			"json", ``, ` {"id": "c1", "event": "post_save", "n": 1.50} `,
			message{ID: "c1", Type: "post_save", Body: `{"id":"c1","event":"post_save","n":1.50}`},
			"",
		},
		"json: number as id":    {"json", ``, `{"id":900001}`, message{ID: "900001", Body: `{"id":900001}`}, ""},
		"json: no id":           {"json", ``, `{"a":1}`, message{ID: "job1", Body: `{"id":"job1","a":1}`}, ""},
		"json: null id":         {"json", ``, `{"a":1,"id":null,"event":null}`, message{ID: "job1", Body: `{"a":1,"id":"job1","event":null}`}, ""},
		"json: array":           {"json", ``, `[1]`, message{}, "payload is not a JSON object but of kind array"},
		"json: not JSON":        {"json", ``, `{"a"}`, message{}, "invalid JSON at byte 4"},
		"json: object as id":    {"json", ``, `{"id":{}}`, message{}, "id is of kind object"},
		"json: empty id":        {"json", ``, `{"id":""}`, message{}, "id is empty"},
		"json: id for a header": {"json", ``, `{"id":"a\r\nX: y"}`, message{}, "id contains something other than visible ASCII"},
		"json: number as event": {"json", ``, `{"event":1}`, message{}, "event is of kind number"},

		"anonymize: drop": {
			"anonymize", `drop: [author.email, media.ip, nothing.here]`,
			`{"id":"1","author":{"email":"x","name":"n"},"media":[{"ip":"1","u":2},{"ip":"2"}]}`,
			message{ID: "1", Body: `{"id":"1","author":{"name":"n"},"media":[{"u":2},{}]}`},
			"",
		},
		"anonymize: hash": {
			"anonymize", `hash: [author.id, likers, gone, none, empty]`,
			`{"id":"1","author":{"id":7},"likers":["7",7,null],"none":null,"empty":""}`,
			message{ID: "1", Body: `{"id":"1","author":{"id":"` + pseudonymOf7 + `"},"likers":["` + pseudonymOf7 + `","` + pseudonymOf7 + `",null],"none":null,"empty":""}`},
			"",
		},
		"anonymize: key id": {
			"anonymize", `{hash: [a], key: {id: k2, env: PUSHGLUE_ANONYMIZE_KEY}}`, `{"id":"1","a":7}`,
			message{ID: "1", Body: `{"id":"1","a":"k2-` + pseudonymOf7 + `"}`},
			"",
		},
		"anonymize: text for an object to hash": {"anonymize", `hash: [a.b]`, `{"a":"secret"}`, message{}, "hash: what should hold a.b is no object"},
		"anonymize: text for an object to drop": {"anonymize", `drop: [a.b]`, `{"a":["secret"]}`, message{}, "drop: what should hold a.b is no object"},
		"anonymize: null for an object":         {"anonymize", `drop: [a.b]`, `{"id":"1","a":null}`, message{ID: "1", Body: `{"id":"1","a":null}`}, ""},
		"anonymize: object":                     {"anonymize", `hash: [a]`, `{"a":{"b":"secret"}}`, message{}, "hash: a is an object"},

		"route": {
			"route", `channels: [all, "forum:{forum}", "thread:{t.id}", "thread:{t.id}", "x:{gone}", "x:{none}", "x:{empty}"]`,
			`{"id":"1","forum":"Zoë & co","t":{"id":17},"none":null,"empty":""}`,
			message{ID: "1", Body: `{"id":"1","forum":"Zoë & co","t":{"id":17},"none":null,"empty":""}`, Channels: []string{"all", "forum:Zoë & co", "thread:17"}},
			"",
		},
		"route: fail": {"route", `{channels: [a, "x:{gone}"], missing: fail}`, `{}`, message{}, `"x:{gone}": a value is missing`},
		"route: skip invalid": {
			"route", `{channels: [a, "user:{u}"], invalid: skip}`, `{"id":"1","u":"who?"}`,
			message{ID: "1", Body: `{"id":"1","u":"who?"}`, Channels: []string{"a"}},
			"",
		},
		"route: slash":     {"route", `channels: ["user:{u}"]`, `{"u":"a/b"}`, message{}, `"user:{u}": channel name contains '/'`},
		"route: star":      {"route", `channels: ["user:{u}"]`, `{"u":"a*"}`, message{}, `"user:{u}": channel name contains '*'`},
		"route: backtrack": {"route", `channels: ["user:{u}"]`, `{"u":"x.b3"}`, message{}, `"user:{u}": channel name ends like a backtrack suffix (".b" and digits)`},
		"route: ALL":       {"route", `channels: ["{u}"]`, `{"u":"ALL"}`, message{}, `"{u}": channel name is the wildcard "ALL"`},
		"route: control":   {"route", `channels: ["{u}"]`, `{"u":"a\r\nb"}`, message{}, `"{u}": channel name contains the control character U+000D`},
		"route: object":    {"route", `channels: ["{u}"]`, `{"u":{}}`, message{}, `"{u}": u is an object, not text`},
		"route: long":      {"route", `channels: ["{u}"]`, `{"u":"` + strings.Repeat("x", 200) + `"}`, message{}, `"{u}": channel name has 200 bytes, more than 128`},

		"format: keep": {
			"format", `{keep: [author.name, n], type: "x-{event}"}`, `{"id":5,"event":"e","n":1e3,"author":{"name":"a","ip":"b"}}`,
			message{ID: "5", Type: "x-e", Body: `{"id":5,"n":1e3,"author":{"name":"a"}}`},
			"",
		},
		"format: drop and rename": {
			"format", `{drop: [event, author.ip], rename: {author.name: nick, n: number}}`, `{"id":5,"event":"e","n":1,"author":{"name":"a","ip":"b"}}`,
			message{ID: "5", Type: "e", Body: `{"id":5,"number":1,"author":{"nick":"a"}}`},
			"",
		},
		"format: no type": {"format", `type: "{kind}"`, `{"id":5,"event":"e"}`, message{ID: "5", Body: `{"id":5,"event":"e"}`}, ""},
		"format: jq": {
			"format", `jq: '{text: .message, by: .author.name, id: "other", big: .big}'`, `{"id":5,"message":"<b>","author":{"name":"a"},"big":9007199254740993}`,
			message{ID: "5", Body: `{"big":9007199254740993,"by":"a","id":5,"text":"<b>"}`},
			"",
		},
		"format: jq fails":         {"format", `jq: '.message | error'`, `{"message":"secret"}`, message{}, "jq fails"},
		"format: jq gives nothing": {"format", `jq: 'empty'`, `{}`, message{}, "jq gives nothing"},
		"format: jq gives two":     {"format", `jq: '., .'`, `{}`, message{}, "jq gives more than one result"},
		"format: jq gives a list":  {"format", `jq: '[.]'`, `{}`, message{}, "jq gives no object"},
		"format: jq never ends":    {"format", `jq: 'def f: f; f'`, `{}`, message{}, "jq takes longer than 1s"},
	} {
		t.Run(name, func(t *testing.T) {
			list := []glue.Stage{mustBuild(t, test.stage, test.options)}
			if test.stage != "json" {
				list = append([]glue.Stage{mustBuild(t, "json", "")}, list...)
			}
			got, err := process(test.payload, list...)
			if test.err != "" {
				if !glue.IsPermanent(err) || err.Error() != test.err {
					t.Fatalf("got %v, want the permanent error %s", err, test.err)
				}
				return
			}
			if err != nil || !reflect.DeepEqual(got, test.want) {
				t.Errorf("%v\n got %+v\nwant %+v", err, got, test.want)
			}
		})
	}
}

func TestAMessageWithoutChannelIsDropped(t *testing.T) {
	_, err := process(`{}`, mustBuild(t, "json", ""), mustBuild(t, "route", `channels: ["{gone}"]`))
	if !errors.Is(err, glue.ErrDrop) {
		t.Errorf("got %v", err)
	}
}

func TestRoutesAddUp(t *testing.T) {
	got, err := process(`not JSON`, mustBuild(t, "route", `channels: [a, b]`), mustBuild(t, "route", `channels: [b, c]`))
	if want := (message{ID: "job1", Body: "not JSON", Channels: []string{"a", "b", "c"}}); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestConstructorsRefuse(t *testing.T) {
	t.Setenv("SHORT_KEY", "short secret")
	file := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(file, []byte("  short  \n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ stage, options, want string }{
		{"anonymize", ``, "name at least one path under drop or hash"},
		{"anonymize", `drop: [a..b]`, `drop: "a..b": path has an empty name in it`},
		{"anonymize", `drop: [id]`, `drop: "id" is the message's id, which readers need as it is`},
		{"anonymize", `{hash: [a], key: {env: NO_SUCH_KEY}}`, "key: environment variable NO_SUCH_KEY is not set; make a key with `openssl rand -hex 32`"},
		{"anonymize", `{hash: [a], key: {env: SHORT_KEY}}`, "key: environment variable SHORT_KEY holds 12 bytes; a key has at least 16"},
		{"anonymize", `{hash: [a], key: {file: ` + file + `}}`, "key: file " + file + " holds 5 bytes; a key has at least 16"},
		{"anonymize", `{hash: [a], key: {file: /no/such/key}}`, "key: open /no/such/key: no such file or directory"},
		{"anonymize", `{hash: [a], key: {file: x, env: Y}}`, "key: give a file or an environment variable, not both"},
		{"route", ``, "channels: name at least one"},
		{"route", `{channels: [a], missing: ignore}`, `missing: "ignore" is neither skip nor fail`},
		{"route", `{channels: [a], invalid: ignore}`, `invalid: "ignore" is neither skip nor fail`},
		{"route", `channels: ["a/b"]`, `channels: "a/b": channel name contains '/'`},
		{"route", `channels: ["a{b"]`, `channels: "a{b": braces do not pair`},
		{"route", `channels: ["a}b"]`, `channels: "a}b": braces do not pair`},
		{"route", `channels: ["a{b{c}}"]`, `channels: "a{b{c}}": braces do not pair`},
		{"route", `channels: ["a{}"]`, `channels: "a{}": path has an empty name in it`},
		{"format", `{jq: ., keep: [a]}`, "jq stands alone: the expression can keep, drop and rename itself"},
		{"format", `jq: '{'`, "jq: unexpected EOF"},
		{"format", `drop: [id]`, `drop: "id" is the message's id, which readers need as it is`},
		{"format", `rename: {post: id}`, `rename: "post" to "id" would change the message's id`},
		{"format", `rename: {id: post}`, `rename: "id" to "post" would change the message's id`},
		{"format", `rename: {a: }`, `rename: "a" has no text as its new name`},
		{"format", `rename: {a: [1, 2]}`, `rename: "a" has no text as its new name`},
		{"format", `type: "post save"`, `type: "post save" contains something other than visible ASCII`},
		{"format", `keep: []`, "keep: name at least one path, or leave it out to keep everything"},
		{"route", `channels: ["forum/{x}"]`, `channels: "forum/{x}": channel name contains '/'`},
		{"route", `channels: ["a*{x}"]`, `channels: "a*{x}": channel name contains '*'`},
		{"anonymize", `hash: [event]`, "hash: the event is the message's type too, which would stay as it is"},
		{"format", `type: "{"`, `type: "{": braces do not pair`},
	} {
		if _, err := build(test.stage, test.options); err == nil || err.Error() != test.want {
			t.Errorf("%s %s\n got %v\nwant %s", test.stage, test.options, err, test.want)
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

func FuzzJSON(f *testing.F) { fuzz(f, "json", "", func(*testing.T, message) {}) }

func FuzzAnonymize(f *testing.F) {
	fuzz(f, "anonymize", `{drop: [author], hash: [list.author.email]}`, func(t *testing.T, m message) {
		again, err := process(m.Body, mustBuild(t, "json", ""), mustBuild(t, "anonymize", `drop: [author]`))
		if err != nil || again.Body != m.Body {
			t.Errorf("%s still has something to drop: %s, %v", m.Body, again.Body, err)
		}
	})
}

func FuzzRoute(f *testing.F) {
	fuzz(f, "route", `channels: ["{forum}", "user:{author.id}"]`, func(t *testing.T, m message) {
		for _, name := range m.Channels {
			if err := glue.CheckChannel(name); err != nil {
				t.Errorf("channel %q: %v", name, err)
			}
		}
	})
}

func FuzzFormat(f *testing.F) {
	fuzz(f, "format", `{keep: [author.id, list], rename: {author.id: event}, type: "{event}"}`, func(*testing.T, message) {})
}

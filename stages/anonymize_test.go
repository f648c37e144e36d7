package stages_test

import (
	"os"
	"path/filepath"
	"testing"
)

func TestAnonymize(t *testing.T) {
	t.Setenv("PUSHGLUE_ANONYMIZE_KEY", key)
	const pseudonymOf7 = "5279087f1ad3a945d04901f5e6673cd5"
	check(t, "anonymize", map[string]example{
		"drop": {
			`drop: [author.email, media.ip, nothing.here]`,
			`{"id":"1","author":{"email":"x","name":"n"},"media":[{"ip":"1","u":2},{"ip":"2"}]}`,
			message{ID: "1", Body: `{"id":"1","author":{"name":"n"},"media":[{"u":2},{}]}`},
			"",
		},
		"hash": {
			`hash: [author.id, likers, gone, none, empty]`,
			`{"id":"1","author":{"id":7},"likers":["7",7,null],"none":null,"empty":""}`,
			message{ID: "1", Body: `{"id":"1","author":{"id":"` + pseudonymOf7 + `"},"likers":["` + pseudonymOf7 + `","` + pseudonymOf7 + `",null],"none":null,"empty":""}`},
			"",
		},
		"key id": {
			`{hash: [a], key: {id: k2, env: PUSHGLUE_ANONYMIZE_KEY}}`, `{"id":"1","a":7}`,
			message{ID: "1", Body: `{"id":"1","a":"k2-` + pseudonymOf7 + `"}`},
			"",
		},
		"text for an object to hash": {`hash: [a.b]`, `{"a":"secret"}`, message{}, "hash: what should hold a.b is no object"},
		"text for an object to drop": {`drop: [a.b]`, `{"a":["secret"]}`, message{}, "drop: what should hold a.b is no object"},
		"null for an object":         {`drop: [a.b]`, `{"id":"1","a":null}`, message{ID: "1", Body: `{"id":"1","a":null}`}, ""},
		"object":                     {`hash: [a]`, `{"a":{"b":"secret"}}`, message{}, "hash: a is an object"},
	})
}

func TestAnonymizeWithAKeyFromAFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(file, []byte(" "+key+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := process(`{"id":"1","a":7}`, mustBuild(t, "json", ""), mustBuild(t, "anonymize", `{hash: [a], key: {file: `+file+`}}`))
	if want := `{"id":"1","a":"5279087f1ad3a945d04901f5e6673cd5"}`; err != nil || got.Body != want {
		t.Errorf("got %s, %v", got.Body, err)
	}
}

func TestAnonymizeRefuses(t *testing.T) {
	t.Setenv("SHORT_KEY", "short secret")
	file := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(file, []byte("  short  \n"), 0o600); err != nil {
		t.Fatal(err)
	}
	refuse(t, "anonymize", map[string]string{
		``:                                       "name at least one path under drop or hash",
		`drop: [a..b]`:                           `drop: "a..b": path has an empty name in it`,
		`drop: [id]`:                             `drop: "id" is the message's id, which readers need as it is`,
		`{hash: [a], key: {env: NO_SUCH_KEY}}`:   "key: environment variable NO_SUCH_KEY is not set, nor is NO_SUCH_KEY_FILE; make a key with `openssl rand -hex 32`",
		`{hash: [a], key: {env: SHORT_KEY}}`:     "key: environment variable SHORT_KEY holds 12 bytes; a key has at least 16",
		`{hash: [a], key: {file: ` + file + `}}`: "key: file " + file + " holds 5 bytes; a key has at least 16",
		`{hash: [a], key: {file: /no/such/key}}`: "key: open /no/such/key: no such file or directory",
		`{hash: [a], key: {file: x, env: Y}}`:    "key: give a file or an environment variable, not both",
		`hash: [event]`:                          "hash: the event is the message's type too, which would stay as it is",
	})
}

func FuzzAnonymize(f *testing.F) {
	fuzz(f, "anonymize", `{drop: [author], hash: [list.author.email]}`, func(t *testing.T, m message) {
		again, err := process(m.Body, mustBuild(t, "json", ""), mustBuild(t, "anonymize", `drop: [author]`))
		if err != nil || again.Body != m.Body {
			t.Errorf("%s still has something to drop: %s, %v", m.Body, again.Body, err)
		}
	})
}

package stages_test

import (
	"reflect"
	"strings"
	"testing"

	"pushglue/glue"
)

func TestRoute(t *testing.T) {
	check(t, "route", map[string]example{
		"plain": {
			`channels: [all, "forum:{forum}", "thread:{t.id}", "thread:{t.id}", "x:{gone}", "x:{none}", "x:{empty}"]`,
			`{"id":"1","forum":"Zoë & co","t":{"id":17},"none":null,"empty":""}`,
			message{ID: "1", Body: `{"id":"1","forum":"Zoë & co","t":{"id":17},"none":null,"empty":""}`, Channels: []string{"all", "forum:Zoë & co", "thread:17"}},
			"",
		},
		"no channel": {`channels: ["{gone}"]`, `{}`, message{}, "dropped: it has no channel"},
		"fail":       {`{channels: [a, "x:{gone}"], missing: fail}`, `{}`, message{}, `"x:{gone}": a value is missing`},
		"skip invalid": {
			`{channels: [a, "user:{u}"], invalid: skip}`, `{"id":"1","u":"who?"}`,
			message{ID: "1", Body: `{"id":"1","u":"who?"}`, Channels: []string{"a"}},
			"",
		},
		"private": {
			`channels: ["private:{u}", "Private:{u}", "private:all"]`, `{"u":"ann"}`,
			message{ID: "job1", Body: `{"id":"job1","u":"ann"}`, Channels: []string{"private:ann", "Private:ann", "private:all"}},
			"",
		},
		"private by a value":     {`channels: ["{u}"]`, `{"u":"private:ann"}`, message{}, `"{u}": channel name is private, and the template does not begin so`},
		"private by a part":      {`channels: ["private{u}"]`, `{"u":":ann"}`, message{}, `"private{u}": channel name is private, and the template does not begin so`},
		"private in capitals":    {`channels: ["{u}:{u}"]`, `{"u":"PRIVATE"}`, message{}, `"{u}:{u}": channel name is private, and the template does not begin so`},
		"private value, skipped": {`{channels: [a, "{u}"], invalid: skip}`, `{"id":"1","u":"private:x"}`, message{ID: "1", Body: `{"id":"1","u":"private:x"}`, Channels: []string{"a"}}, ""},
		"slash":                  {`channels: ["user:{u}"]`, `{"u":"a/b"}`, message{}, `"user:{u}": channel name contains '/'`},
		"star":                   {`channels: ["user:{u}"]`, `{"u":"a*"}`, message{}, `"user:{u}": channel name contains '*'`},
		"backtrack":              {`channels: ["user:{u}"]`, `{"u":"x.b3"}`, message{}, `"user:{u}": channel name ends like a backtrack suffix (".b" and digits)`},
		"ALL":                    {`channels: ["{u}"]`, `{"u":"ALL"}`, message{}, `"{u}": channel name is the wildcard "ALL"`},
		"control":                {`channels: ["{u}"]`, `{"u":"a\r\nb"}`, message{}, `"{u}": channel name contains the control character U+000D`},
		"object":                 {`channels: ["{u}"]`, `{"u":{}}`, message{}, `"{u}": u is an object, not text`},
		"long":                   {`channels: ["{u}"]`, `{"u":"` + strings.Repeat("x", 200) + `"}`, message{}, `"{u}": channel name has 200 bytes, more than 128`},
	})
}

func TestRouteRefuses(t *testing.T) {
	refuse(t, "route", map[string]string{
		``:                                 "channels: name at least one",
		`{channels: [a], missing: ignore}`: `missing: "ignore" is neither skip nor fail`,
		`{channels: [a], invalid: ignore}`: `invalid: "ignore" is neither skip nor fail`,
		`channels: ["a/b"]`:                `channels: "a/b": channel name contains '/'`,
		`channels: ["a{b"]`:                `channels: "a{b": braces do not pair`,
		`channels: ["a}b"]`:                `channels: "a}b": braces do not pair`,
		`channels: ["a{b{c}}"]`:            `channels: "a{b{c}}": braces do not pair`,
		`channels: ["a{}"]`:                `channels: "a{}": path has an empty name in it`,
		`channels: ["forum/{x}"]`:          `channels: "forum/{x}": channel name contains '/'`,
		`channels: ["a*{x}"]`:              `channels: "a*{x}": channel name contains '*'`,
	})
}

func TestRoutesAddUp(t *testing.T) {
	got, err := process(`not JSON`, mustBuild(t, "route", `channels: [a, b]`), mustBuild(t, "route", `channels: [b, c]`))
	if want := (message{ID: "job1", Body: "not JSON", Channels: []string{"a", "b", "c"}}); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v", got, err)
	}
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

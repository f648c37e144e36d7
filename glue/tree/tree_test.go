package tree

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
)

func parse(t *testing.T, s string) *Node {
	t.Helper()
	n, err := Parse([]byte(s))
	if err != nil {
		t.Fatalf("Parse(%s): %v", s, err)
	}
	return n
}

func path(t *testing.T, s string) Path {
	t.Helper()
	p, err := ParsePath(s)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestWhatIsNotEditedComesOutAsItCameIn(t *testing.T) {
	for in, want := range map[string]string{
		`{}`: `{}`,
		` [ 1 , 2.50 , 1e3, -0, 9007199254740993 ] `:    `[1,2.50,1e3,-0,9007199254740993]`,
		"{\"b\":\"\\u00e9\\/\",\r\n\"a\":{\"x\":null}}": `{"b":"\u00e9\/","a":{"x":null}}`,
		`{"s":"line\n\"é\" 😀 \ud83d"}`:                  `{"s":"line\n\"é\" 😀 \ud83d"}`,
		`"x"`:                                           `"x"`,
		`{"a":[{"b":[]},[[]],true,false]}`:              `{"a":[{"b":[]},[[]],true,false]}`,
	} {
		if got := string(parse(t, in).Append(nil)); got != want {
			t.Errorf("%s\n got %s\nwant %s", in, got, want)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for in, want := range map[string]string{
		``:                             "JSON ends early, after byte 0",
		`{"a":`:                        "JSON ends early, after byte 5",
		`{"a":1,}`:                     "invalid JSON at byte 6",
		`{"a":01}`:                     "invalid JSON at byte 6",
		`{"a":1} x`:                    "more than one JSON value: something follows byte 7",
		`{"a":1}{"a":2}`:               "more than one JSON value: something follows byte 7",
		`{"secret":1,"secret":2}`:      "duplicate member name at byte 12",
		`{"secret":1,"secr\u0065t":2}`: "duplicate member name at byte 12",
		`{"x":{"e":1,"e":2}}`:          "duplicate member name at byte 12",
		"{\"a\":\"\xff\"}":             "text is not valid UTF-8",
		"{\"a\":\"x\ny\"}":             "invalid JSON at byte 7",
		`secret`:                       "invalid JSON at byte 0",
		strings.Repeat("[", 200):       "JSON is nested deeper than 128 levels",
		strings.Repeat(`{"a":`, 1e6):   "JSON is nested deeper than 128 levels",
	} {
		_, err := Parse([]byte(in))
		if err == nil || err.Error() != want {
			t.Errorf("Parse(%.40s): got %v, want %s", in, err, want)
		}
	}
	if _, err := Parse([]byte(strings.Repeat("[", MaxDepth) + strings.Repeat("]", MaxDepth))); err != nil {
		t.Errorf("the deepest legal value: %v", err)
	}
}

func TestEdits(t *testing.T) {
	const in = `{"id":1,"a.b":2,"author":{"name":"Ann","email":"x"},"media":[{"url":"u","ip":"1"},{"url":"v","ip":"2"},3],"tags":["p",["q"]]}`
	for name, test := range map[string]struct {
		edit func(*Node)
		want string
	}{
		"delete": {
			func(n *Node) { n.Delete(path(t, "author.email")) },
			`{"id":1,"a.b":2,"author":{"name":"Ann"},"media":[{"url":"u","ip":"1"},{"url":"v","ip":"2"},3],"tags":["p",["q"]]}`,
		},
		"delete in arrays": {
			func(n *Node) { n.Delete(path(t, "media.ip")) },
			`{"id":1,"a.b":2,"author":{"name":"Ann","email":"x"},"media":[{"url":"u"},{"url":"v"},3],"tags":["p",["q"]]}`,
		},
		"delete a dotted name": {
			func(n *Node) { n.Delete(path(t, `a\.b`)); n.Delete(path(t, "author")); n.Delete(path(t, "media")) },
			`{"id":1,"tags":["p",["q"]]}`,
		},
		"delete what is not there": {
			func(n *Node) { n.Delete(path(t, "author.x.y")); n.Delete(path(t, "id.x")); n.Keep([]Path{{"id"}}) },
			`{"id":1}`,
		},
		"keep": {
			func(n *Node) { n.Keep([]Path{{"author", "name"}, {"media", "url"}, {"id"}, {"nothing"}}) },
			`{"id":1,"author":{"name":"Ann"},"media":[{"url":"u"},{"url":"v"}]}`,
		},
		"keep below a scalar": {
			func(n *Node) { n.Keep([]Path{{"id", "x"}, {"tags", "x"}, {"a.b"}}) },
			`{"a.b":2,"tags":[[]]}`,
		},
		"keep the whole and a part": {
			func(n *Node) { n.Keep([]Path{{"author", "name"}, {"author"}}) },
			`{"author":{"name":"Ann","email":"x"}}`,
		},
		"each": {
			func(n *Node) {
				n.Keep([]Path{{"tags"}})
				n.Each(path(t, "tags"), func(v *Node) { *v = NewString("<\"\u2028") })
			},
			"{\"tags\":[\"<\\\"\u2028\",[\"<\\\"\u2028\"]]}",
		},
		"rename": {
			func(n *Node) {
				n.Keep([]Path{{"id"}, {"author"}})
				n.Rename(path(t, "author.name"), "email")
				n.Rename(path(t, "id"), "id")
				n.Rename(path(t, "nothing"), "id")
			},
			`{"id":1,"author":{"email":"Ann"}}`,
		},
		"set": {
			func(n *Node) {
				n.Keep([]Path{{"id"}})
				n.Set("id", NewString("x"))
				n.Set("new", NewString("y"))
			},
			`{"new":"y","id":"x"}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			n := parse(t, in)
			test.edit(n)
			if got := string(n.Append(nil)); got != test.want {
				t.Errorf("\n got %s\nwant %s", got, test.want)
			}
		})
	}
}

func TestGetAndText(t *testing.T) {
	n := parse(t, `{"s":"é\u00e9\n","n":1.50,"b":true,"z":null,"o":{"p":{"q":"deep"}},"l":[{"q":1}]}`)
	for p, want := range map[string]string{"s": "éé\n", "n": "1.50", "b": "true", "o.p.q": "deep"} {
		if got, ok := n.Get(path(t, p)).Text(); !ok || got != want {
			t.Errorf("%s: got %q, %v", p, got, ok)
		}
	}
	for _, p := range []string{"z", "o", "l"} {
		if got, ok := n.Get(path(t, p)).Text(); ok {
			t.Errorf("%s has text %q", p, got)
		}
	}
	for _, p := range []string{"x", "s.x", "l.q", "o.p.q.r"} {
		if n.Get(path(t, p)) != nil {
			t.Errorf("%s is there", p)
		}
	}
}

func TestObstructs(t *testing.T) {
	n := parse(t, `{"s":"x","z":null,"o":{"p":1},"l":[{"q":1},"r"],"e":[]}`)
	for p, want := range map[string]bool{
		"s": false, "s.x": true, "z.x": false, "o.p": false, "o.p.q": true, "o.x.y": false, "l.q": true, "e.x": false, "none.x": false,
	} {
		if got := n.Obstructs(path(t, p)); got != want {
			t.Errorf("%s: got %v", p, got)
		}
	}
}

func TestParsePath(t *testing.T) {
	for in, want := range map[string]Path{"a": {"a"}, "a.b": {"a", "b"}, `a\.b.c\\d`: {"a.b", `c\d`}, `a\x`: {`a\x`}} {
		got, err := ParsePath(in)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %q, %v", in, got, err)
		}
		again, err := ParsePath(got.String())
		if err != nil || !reflect.DeepEqual(again, want) {
			t.Errorf("%s does not survive String: %q, %v", in, again, err)
		}
	}
	for _, in := range []string{"", ".", "a.", ".a", "a..b"} {
		if _, err := ParsePath(in); err == nil {
			t.Errorf("%q was accepted", in)
		}
	}
}

// FuzzParse holds Parse against encoding/json: what it accepts means the same, before and after.
func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"a":[1,"\u00e9",{"b":null}],"c":1e-5}`))
	f.Add([]byte(`{"a":1,"a":2}`))
	f.Add([]byte("[\"\xff\"]"))
	f.Fuzz(func(t *testing.T, b []byte) {
		n, err := Parse(b)
		if err != nil {
			return
		}
		out := n.Append(nil)
		if bytes.ContainsAny(out, "\n\r") {
			t.Fatalf("%q is not one line", out)
		}
		var before, after any
		if err := json.Unmarshal(b, &before); err != nil {
			return // numbers out of range
		}
		if err := json.Unmarshal(out, &after); err != nil || !reflect.DeepEqual(before, after) {
			t.Fatalf("%q became %q (%v)", b, out, err)
		}
		again, err := Parse(out)
		if err != nil || !bytes.Equal(again.Append(nil), out) {
			t.Fatalf("%q is not stable (%v)", out, err)
		}
	})
}

// comment is as long as comments are.
const comment = `{"id":"c1042.1","event":"post_save","post":1042,"forum":"news","thread":17,"parent":null,"author":{"id":7,"username":"ann","name":"Ann","email":"ann@example.com","ip":"192.0.2.7"},"message":"<p>I could not agree more with what was said above.</p>","createdAt":"2026-11-22T10:00:00Z"}`

func BenchmarkParse(b *testing.B) {
	in := []byte(comment)
	b.SetBytes(int64(len(in)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse(in); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppend(b *testing.B) {
	n, err := Parse([]byte(comment))
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(comment)))
	b.ReportAllocs()
	for b.Loop() {
		n.Append(nil)
	}
}

// BenchmarkParseHuge has an object of so many members that looking for a second one with the same name must not
// take the square of their number.
func BenchmarkParseHuge(b *testing.B) {
	var in []byte
	for i := range 100_000 {
		in = fmt.Appendf(in, `,"member%d":%d`, i, i)
	}
	in[0] = '{'
	in = append(in, '}')
	b.SetBytes(int64(len(in)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse(in); err != nil {
			b.Fatal(err)
		}
	}
}

func TestClonesShareNoRoom(t *testing.T) {
	n := parse(t, `{"a":{"x":1,"y":2},"list":[{"z":1}]}`)
	n.Delete(path(t, "a.x"))
	n.Delete(path(t, "a.y"))
	c := n.Clone()
	c.Get(path(t, "a")).Set("left", NewString("L"))
	n.Get(path(t, "a")).Set("right", NewString("R"))
	c.Delete(path(t, "list.z"))
	if got := string(c.Append(nil)); got != `{"a":{"left":"L"},"list":[{}]}` {
		t.Errorf("the clone is %s", got)
	}
	if got := string(n.Append(nil)); got != `{"a":{"right":"R"},"list":[{"z":1}]}` {
		t.Errorf("the original is %s", got)
	}
	if n.Size() > len(n.Append(nil))+8 || n.Size() < 20 {
		t.Errorf("its size is %d", n.Size())
	}
}

func TestAValueKeepsNothingOfWhatIsReadElsewhere(t *testing.T) {
	text := []byte(`{"a":[1,{"b":"c"}],"d":{}}`)
	n, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	want := string(text)
	clear(text)
	for _, other := range []string{`{"x":[2,{"y":"z"}],"w":[3`, `[[[[{"v":1,"v":2}]]]]`, manyNames(2*maxRoom) + `"x":[]}`, `{"x":[4,{"y":"z"}],"w":{}}`} {
		parsed, err := Parse([]byte(other))
		if err == nil {
			parsed.Set("x", NewString("edited"))
		}
		if got := string(n.Append(nil)); got != want {
			t.Fatalf("after %.30s it is %s", other, got)
		}
	}
}

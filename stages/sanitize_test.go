package stages_test

import (
	"encoding/json"
	"fmt"
	"html"
	"slices"
	"strings"
	"testing"

	nethtml "golang.org/x/net/html"
	"golang.org/x/net/html/atom"

	"pushglue/glue"
)

func TestSanitize(t *testing.T) {
	body := func(a any) message {
		var text strings.Builder
		encoder := json.NewEncoder(&text)
		encoder.SetEscapeHTML(false)
		if err := encoder.Encode(map[string]any{"a": a, "id": "1"}); err != nil {
			t.Fatal(err)
		}
		return message{ID: "1", Body: strings.TrimSuffix(text.String(), "\n")}
	}
	examples := map[string]example{}
	for options, pairs := range map[string][][2]string{
		`html: [a]`: {
			{`<b>bold</b> & <i>`, `<b>bold</b> &amp; <i>`},
			{`x<script>alert(1)</script>y<SCRIPT SRC=//e.org>`, `xy`},
			{`<img src=x onerror=alert(1)>`, `<img src="x">`},
			{`<p style="color:red" class=x onclick=y>z</p>`, `<p>z</p>`},
			{`<a href="JaVaScRiPt:alert(1)">x</a>`, `x`},
			{`<a href="java&#10;script:alert(1)">x</a>`, `x`},
			{`<a href="https://e.org/?a=1&b=2" target=_blank rel="follow opener">x</a>`, `<a href="https://e.org/?a=1&amp;b=2" rel="nofollow ugc noopener">x</a>`},
			{`<b id=nav class=x>x</b><a id=top href=/y>y</a>`, `<b>x</b><a href="/y" rel="nofollow ugc noopener">y</a>`},
			{`<a href=/local>x</a><area href=/y rel=opener>`, `<a href="/local" rel="nofollow ugc noopener">x</a><area href="/y" rel="nofollow ugc noopener">`},
			{`<a title=' rel="nofollow"' href=/x>rel="nofollow"</a>`, `<a href="/x" rel="nofollow ugc noopener">rel=&#34;nofollow&#34;</a>`},
			{`<svg><style><!--</style><img src=x onerror=a>`, `<img src="x">`},
			{`a < b`, `a &lt; b`},
			{`<a href="/%2Fe.org|">x</a>`, `x`},
		},
		`text: [a]`: {
			{`O'Brien & sons`, `O'Brien & sons`},
			{`a < b && b > c "quoted"`, `a < b && b > c "quoted"`},
			{`<b>bold</b>`, `bold`},
			{`x<script>alert(1)</script>y`, `xy`},
			{`&lt;script&gt;alert(1)&lt;/script&gt;`, ``},
			{`&amp;amp;lt;img src=x onerror=y&amp;amp;gt;z`, `z`},
			{`<<b>script>alert(1)</script>`, ``},
			{"a <\x00b>", `a `},
			{`5 &euro; &#x41;`, `5 € A`},
		},
	} {
		for _, pair := range pairs {
			examples[options+" "+pair[0]] = example{options, body(pair[0]).Body, body(pair[1]), ""}
		}
	}
	for name, test := range map[string]example{
		"array":            {`text: [a]`, body([]any{"<i>x", "y", []string{"<i>z"}}).Body, body([]any{"x", "y", []string{"z"}}), ""},
		"in an array":      {`text: [a.b]`, body([]any{map[string]any{"b": "<i>x"}, map[string]any{}}).Body, body([]any{map[string]any{"b": "x"}, map[string]any{}}), ""},
		"numbers, null":    {`{html: [a], text: [gone, a.b]}`, body(nil).Body, body(nil), ""},
		"number":           {`html: [a]`, body([]any{1, true, nil}).Body, body([]any{1, true, nil}), ""},
		"object":           {`html: [a]`, body(map[string]string{"b": "<script>"}).Body, message{}, "html: a is an object"},
		"object in array":  {`text: [a]`, body([]any{"x", map[string]string{"b": "<script>"}}).Body, message{}, "text: a is an object"},
		"text for object":  {`text: [a.b]`, body("<script>").Body, message{}, "text: what should hold a.b is no object"},
		"seven levels":     {`text: [a]`, body("&" + strings.Repeat("amp;", 6) + "lt;").Body, body("<"), ""},
		"eight levels":     {`text: [a]`, body("&" + strings.Repeat("amp;", 7) + "lt;").Body, message{}, "text: a is still not clean after 8 rounds"},
		"unchanged escape": {`{html: [b], text: [a]}`, `{"id":"1","a":"\u0041\ud83d","b":"\u0041"}`, message{ID: "1", Body: `{"id":"1","a":"\u0041\ud83d","b":"\u0041"}`}, ""},
	} {
		examples[name] = test
	}
	check(t, "sanitize", examples)
}

func TestSanitizeRefuses(t *testing.T) {
	refuse(t, "sanitize", map[string]string{
		``:                          "name at least one path under html or text",
		`{html: [], text: []}`:      "name at least one path under html or text",
		`html: [a..b]`:              `html: "a..b": path has an empty name in it`,
		`{html: [b, a], text: [a]}`: `text: "a" is named twice`,
		`html: [a, a]`:              `html: "a" is named twice`,
		`html: [id]`:                `html: "id" is the message's id, which readers need as it is`,
		`text: [event]`:             "text: the event is the message's type too, which would stay as it is",
	})
}

// FuzzSanitize holds what comes out against what a browser would make of it.
func FuzzSanitize(f *testing.F) {
	for _, text := range []string{
		`<a href="javascript:alert(1)" onclick=x>x</a><area href=//e.org rel="x y"><a id=x>`,
		`<svg><p><style><!--</style><img title="--&gt;<img src=x onerror=y>">`, `<math><mtext><table><mglyph><style><img src=x onerror=y>`,
		`<noscript><p title="</noscript><img src=x onerror=y>">`, `<textarea></textarea><script>`, `<title><a href=x>`, `<plaintext><b>`, `<xmp>&lt;script&gt;`,
		`&amp;amp;lt;script&amp;gt;`, `<<b>script>x`, `O'Brien < Smith & co. "x"`, "a\r\nb\x00<b>", `<a href="  http://e.org/ä?q=%zz&lt;#ü">`, `</ p><!x><?y><!--`, `<img src="data:text/html,x" alt=x>`,
	} {
		f.Add(text)
	}
	list := []glue.Stage{mustBuild(f, "json", ""), mustBuild(f, "sanitize", `{html: [html], text: [text]}`)}
	f.Fuzz(func(t *testing.T, text string) {
		clean, err := sanitized(list, text, text)
		if err != nil {
			if !strings.Contains(err.Error(), "text: text is still not clean") {
				t.Errorf("%q: %v", text, err)
			}
			if clean, err = sanitized(list, text, ""); err != nil {
				t.Fatalf("%q: %v", text, err)
			}
		}
		again, err := sanitized(list, clean.HTML, clean.Text)
		if err != nil || again != clean {
			t.Errorf("%q is\n%q and again\n%q, %v", text, clean, again, err)
		}
		if why := unsafe(clean.HTML); why != "" {
			t.Errorf("%q is %q, which has %s", text, clean.HTML, why)
		}
		// Text is text, whether or not somebody decodes it or takes it for HTML, where a carriage
		// return is a new line.
		clean.Text = strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(clean.Text)
		if nodes := fragment(clean.Text); html.UnescapeString(clean.Text) != clean.Text || len(nodes) > 1 ||
			len(nodes) == 1 && (nodes[0].Type != nethtml.TextNode || nodes[0].Data != clean.Text) {
			t.Errorf("%q is %q, which is no plain text", text, clean.Text)
		}
	})
}

type cleaned struct {
	HTML string `json:"html"`
	Text string `json:"text"`
}

func sanitized(list []glue.Stage, markup, text string) (cleaned, error) {
	payload, err := json.Marshal(cleaned{markup, text})
	if err != nil {
		return cleaned{}, err
	}
	m, err := process(string(payload), list...)
	if err != nil {
		return cleaned{}, err
	}
	var clean cleaned
	err = json.Unmarshal([]byte(m.Body), &clean)
	return clean, err
}

// fragment parses text as a browser does for innerHTML.
func fragment(text string) []*nethtml.Node {
	nodes, err := nethtml.ParseFragment(strings.NewReader(text), &nethtml.Node{Type: nethtml.ElementNode, Data: "body", DataAtom: atom.Body})
	if err != nil {
		return []*nethtml.Node{{Type: nethtml.ErrorNode}, {}}
	}
	return nodes
}

// unsafe says what in HTML could do harm; empty if nothing could.
func unsafe(text string) string {
	for _, root := range fragment(text) {
		for _, n := range append([]*nethtml.Node{root}, slices.Collect(root.Descendants())...) {
			if n.Type != nethtml.ElementNode && n.Type != nethtml.TextNode {
				return fmt.Sprintf("a node of type %d", n.Type)
			}
			if slices.Contains([]string{"script", "style", "iframe", "object", "embed", "form", "input", "button", "base", "link", "meta", "svg", "math", "template"}, n.Data) && n.Type == nethtml.ElementNode {
				return n.Data
			}
			rels := 0
			for _, a := range n.Attr {
				// Browsers skip control characters and spaces in a URL's scheme.
				value := strings.ToLower(strings.Map(func(r rune) rune {
					if r <= ' ' {
						return -1
					}
					return r
				}, a.Val))
				scheme, _, hasScheme := strings.Cut(value, ":")
				switch {
				case strings.HasPrefix(a.Key, "on"), a.Key == "style", a.Key == "id", a.Key == "target", a.Key == "srcdoc", a.Key == "formaction":
					return "the attribute " + a.Key
				case hasScheme && slices.Contains([]string{"javascript", "vbscript", "data"}, scheme) && slices.Contains([]string{"href", "src", "cite", "action"}, a.Key):
					return "the URL " + a.Val
				case a.Key == "rel" && a.Val == "nofollow ugc noopener":
					rels++
				}
			}
			if isLink := n.Data == "a" || n.Data == "area"; isLink && n.Type == nethtml.ElementNode && rels != 1 {
				return "a link without rel"
			}
		}
	}
	return ""
}

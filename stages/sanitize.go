package stages

import (
	"context"
	"errors"
	"fmt"
	"html"
	"slices"
	"strings"

	"github.com/microcosm-cc/bluemonday"
	nethtml "golang.org/x/net/html"

	"pushglue/glue"
	"pushglue/glue/tree"
)

// Sanitize makes what users wrote safe to show: HTML keeps its harmless markup, text has none.
type Sanitize struct {
	fields []unclean
}

// unclean is a place whose strings are to be cleaned.
type unclean struct {
	option string
	path   tree.Path
	clean  func(string) string
}

var (
	_ glue.Stage = (*Sanitize)(nil)
	_ ObjectUser = (*Sanitize)(nil)
)

// linkRel is the rel of every link: search engines do not follow it, users made it, and the page
// that it opens gets no hold of the one it is on.
const linkRel = "nofollow ugc noopener"

// meaningful are the characters without which a string is the same as HTML and as text, and clean.
const meaningful = "&<>'\"\r\x00"

// maxRounds bounds how often a string is cleaned until nothing changes any more. Each round undoes
// one level of escapes, so that a string of nothing else would cost the square of its length.
const maxRounds = 8

type sanitizeOptions struct {
	HTML []string `yaml:"html"`
	Text []string `yaml:"text"`
}

func newSanitize(options Options) (glue.Stage, error) {
	var o sanitizeOptions
	if err := options(&o); err != nil {
		return nil, err
	}
	if len(o.HTML)+len(o.Text) == 0 {
		return nil, errors.New("name at least one path under html or text")
	}
	markup := bluemonday.UGCPolicy().RequireNoFollowOnLinks(false)
	plain := bluemonday.StrictPolicy()
	var s Sanitize
	if err := s.add("html", o.HTML, func(text string) string { return tame(markup.Sanitize(text)) }); err != nil {
		return nil, err
	}
	if err := s.add("text", o.Text, func(text string) string {
		// A NUL hides a tag that comes back with the first program that drops it.
		return html.UnescapeString(plain.Sanitize(strings.ReplaceAll(text, "\x00", "")))
	}); err != nil {
		return nil, err
	}
	return &s, nil
}

// add adds the fields that an option names.
func (s *Sanitize) add(option string, names []string, clean func(string) string) error {
	paths, err := parsePaths(option, names)
	if err != nil {
		return err
	}
	if err := errors.Join(refuseID(option, paths), refuseEvent(option, paths)); err != nil {
		return err
	}
	for _, p := range paths {
		if slices.ContainsFunc(s.fields, func(f unclean) bool { return slices.Equal(f.path, p) }) {
			return fmt.Errorf("%s: %q is named twice", option, p)
		}
		s.fields = append(s.fields, unclean{option, p, clean})
	}
	return nil
}

// NeedsObject implements ObjectUser.
func (s *Sanitize) NeedsObject() bool { return true }

// Process implements glue.Stage. Data of another form than the paths expect is a permanent
// error, because it would go out unclean: an object under a path, or text where a path leads
// further.
func (s *Sanitize) Process(_ context.Context, m *glue.Message) error {
	object := m.Edit()
	for _, f := range s.fields {
		if object.Obstructs(f.path) {
			return glue.Permanentf("%s: what should hold %s is no object", f.option, f.path)
		}
		var err error
		object.Each(f.path, func(value *tree.Node) {
			if err == nil {
				err = f.apply(value)
			}
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// apply cleans a string and leaves numbers, bools and null alone.
func (f unclean) apply(value *tree.Node) error {
	switch value.Kind() {
	case tree.Object:
		return glue.Permanentf("%s: %s is an object", f.option, f.path)
	case tree.String:
		text, ok := value.Text()
		if !ok {
			return glue.Permanentf("%s: %s is no text", f.option, f.path)
		}
		if !strings.ContainsAny(text, meaningful) {
			return nil
		}
		clean, ok := fixedPoint(text, f.clean)
		if !ok {
			return glue.Permanentf("%s: %s is still not clean after %d rounds", f.option, f.path, maxRounds)
		}
		if clean != text {
			*value = tree.NewString(clean)
		}
	}
	return nil
}

// fixedPoint cleans text until nothing changes any more: who cleans or decodes it again gets the same.
// It reports false when that takes too long.
func fixedPoint(text string, clean func(string) string) (string, bool) {
	for range maxRounds {
		again := clean(text)
		if again == text {
			return text, true
		}
		text = again
	}
	return "", false
}

// tame gives the links of sanitized HTML their rel and takes all ids away, which the policy cannot:
// it lets users add to the rel of an area, and ids, by which they would put elements in the place of
// the page's own, or of its scripts' globals.
func tame(clean string) string {
	if !strings.Contains(clean, "<") {
		return clean
	}
	var out strings.Builder
	tokens := nethtml.NewTokenizer(strings.NewReader(clean))
	for {
		switch tokens.Next() {
		case nethtml.ErrorToken:
			return out.String()
		case nethtml.StartTagToken, nethtml.SelfClosingTagToken:
			out.WriteString(tameTag(tokens.Token()))
		default:
			out.Write(tokens.Raw())
		}
	}
}

func tameTag(tag nethtml.Token) string {
	tag.Attr = slices.DeleteFunc(tag.Attr, func(a nethtml.Attribute) bool { return a.Key == "id" || a.Key == "rel" })
	if tag.Data == "a" || tag.Data == "area" {
		tag.Attr = append(tag.Attr, nethtml.Attribute{Key: "rel", Val: linkRel})
	}
	return tag.String()
}

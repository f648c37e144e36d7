// Package stages holds the stages that a pipelines file can name, one file for each.
package stages

import (
	"fmt"
	"maps"
	"strings"
	"time"

	"pushglue/glue"
	"pushglue/glue/tree"
)

// Options decodes what the pipelines file says of a stage into a struct with yaml tags. It
// refuses unknown options and wrong types. Options that the file leaves out stay as they are.
type Options func(into any) error

// Constructors has every stage's constructor under the name that pipelines files use.
// A constructor checks its options and does no work besides reading keys and schemas.
var Constructors = with(own, map[string]func(Options) (glue.Stage, error){
	"anonymize":   newAnonymize,
	"assert":      newAssert,
	"darkesttime": newDarkesttime,
	"darktime":    newDarktime,
	"dedupe":      newDedupe,
	"encrypt":     newEncrypt,
	"expire":      newExpire,
	"filter":      newFilter,
	"format":      newFormat,
	"json":        newJSON,
	"route":       newRoute,
	"sanitize":    newSanitize,
	"split":       newSplit,
})

// with adds constructors to others, in whose place they come if they have their names.
func with(added, constructors map[string]func(Options) (glue.Stage, error)) map[string]func(Options) (glue.Stage, error) {
	maps.Copy(constructors, added)
	return constructors
}

// ObjectUser is a stage that may need the parsed body, so that a stage which gives one must
// come before it.
type ObjectUser interface {
	NeedsObject() bool
}

// ObjectGiver is a stage after which a message has a parsed body.
type ObjectGiver interface {
	GivesObject()
}

// ObjectTaker is a stage after which a message has no parsed body any more.
type ObjectTaker interface {
	TakesObject()
}

// ChannelGiver is a stage after which a message has channels.
type ChannelGiver interface {
	GivesChannels()
}

// ChannelChanger is a stage that sends some messages elsewhere than to their channels, so that a stage which
// gives them some must come before it.
type ChannelChanger interface {
	ChangesChannels()
}

// ChannelKeeper is a stage behind which no other may add channels, lest messages reach those that it
// keeps them from.
type ChannelKeeper interface {
	KeepsChannels()
}

// Unshared is a stage that depends on more than its message, so that each pipeline has one of its own.
type Unshared interface {
	Unshared()
}

// LastStage is a stage behind which no other may stand.
type LastStage interface {
	StandsLast()
}

// parseDuration parses an option that is a duration of more than nothing. It is a text for the YAML library, which
// would take a number for nanoseconds.
func parseDuration(option, text string) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	switch {
	case err != nil:
		return 0, fmt.Errorf("%s: %q is no duration such as 90s or 10m", option, text)
	case d <= 0:
		return 0, fmt.Errorf("%s: %s is not more than 0s", option, d)
	}
	return d, nil
}

// parsePaths parses the paths of an option.
func parsePaths(option string, paths []string) ([]tree.Path, error) {
	parsed := make([]tree.Path, len(paths))
	for i, s := range paths {
		p, err := tree.ParsePath(s)
		if err != nil {
			return nil, fmt.Errorf("%s: %q: %w", option, s, err)
		}
		parsed[i] = p
	}
	return parsed, nil
}

// refuseID returns an error if a path names the message's id, which must stay what it is.
func refuseID(option string, paths []tree.Path) error {
	for _, p := range paths {
		if isID(p) {
			return fmt.Errorf("%s: %q is the message's id, which readers need as it is", option, p)
		}
	}
	return nil
}

// refuseEvent returns an error if a path names the event, whose text is the message's type as well.
func refuseEvent(option string, paths []tree.Path) error {
	for _, p := range paths {
		if len(p) == 1 && p[0] == "event" {
			return fmt.Errorf("%s: the event is the message's type too, which would stay as it is", option)
		}
	}
	return nil
}

func isID(p tree.Path) bool { return len(p) == 1 && p[0] == "id" }

// template is text with paths in braces, such as "thread:{thread.id}".
type template struct {
	source string
	parts  []part
}

// part is literal text or, if path is set, the value at a path.
type part struct {
	text string
	path tree.Path
}

func parseTemplate(source string) (template, error) {
	t := template{source: source}
	rest := source
	for rest != "" {
		open := strings.IndexAny(rest, "{}")
		if open < 0 {
			t.parts = append(t.parts, part{text: rest})
			break
		}
		if open > 0 {
			t.parts = append(t.parts, part{text: rest[:open]})
		}
		inside, after, found := strings.Cut(rest[open+1:], "}")
		if rest[open] == '}' || !found || strings.Contains(inside, "{") {
			return t, fmt.Errorf("%q: braces do not pair", source)
		}
		p, err := tree.ParsePath(inside)
		if err != nil {
			return t, fmt.Errorf("%q: %w", source, err)
		}
		t.parts = append(t.parts, part{path: p})
		rest = after
	}
	return t, nil
}

// isConstant reports whether the template needs no object.
func (t *template) isConstant() bool {
	for _, p := range t.parts {
		if p.path != nil {
			return false
		}
	}
	return true
}

// sample returns the template with x for every value, to check what is around them.
func (t *template) sample() string {
	var text strings.Builder
	for _, p := range t.parts {
		if p.path == nil {
			text.WriteString(p.text)
		} else {
			text.WriteByte('x')
		}
	}
	return text.String()
}

// size returns how many bytes render is likely to write.
func (t *template) size() int {
	const value = 12
	if len(t.parts) < 2 {
		return 0
	}
	size := 0
	for i := range t.parts {
		size += len(t.parts[i].text)
		if t.parts[i].path != nil {
			size += value
		}
	}
	return size
}

// render fills in the values of object. It reports false when one is missing, null or empty,
// and a permanent error when one is an object or an array. What it writes goes behind what is in texts,
// so that all that a stage renders for a message is one piece of memory.
func (t *template) render(texts *strings.Builder, object *tree.Node) (string, bool, error) {
	if len(t.parts) == 1 {
		return t.fill(&t.parts[0], object)
	}
	start := texts.Len()
	for i := range t.parts {
		text, ok, err := t.fill(&t.parts[i], object)
		if !ok || err != nil {
			return "", false, err
		}
		texts.WriteString(text)
	}
	return texts.String()[start:], true, nil
}

// fill returns what p stands for, as render does for the whole.
func (t *template) fill(p *part, object *tree.Node) (string, bool, error) {
	if p.path == nil {
		return p.text, true, nil
	}
	value := object.Get(p.path)
	if value == nil || value.Kind() == tree.Null {
		return "", false, nil
	}
	text, ok := value.Text()
	if !ok {
		return "", false, glue.Permanentf("%q: %s is an %s, not text", t.source, p.path, value.Kind())
	}
	return text, text != "", nil
}

package stages

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"

	"pushglue/glue"
)

// Assert holds messages against a JSON Schema.
type Assert struct {
	schema    *jsonschema.Schema
	violation string // fail, drop or pass
}

var (
	_ glue.Stage = (*Assert)(nil)
	_ ObjectUser = (*Assert)(nil)
)

// schemaURL is where the schema has its place among those that it may refer to; there is nothing.
const schemaURL = "schema:///"

// maxLocations bounds the places that a violation names.
const maxLocations = 3

type assertOptions struct {
	Schema    any    `yaml:"schema"`
	File      string `yaml:"file"`
	Violation string `yaml:"violation"`
}

func newAssert(options Options) (glue.Stage, error) {
	o := assertOptions{Violation: "fail"}
	if err := options(&o); err != nil {
		return nil, err
	}
	if !slices.Contains([]string{"fail", "drop", "pass"}, o.Violation) {
		return nil, fmt.Errorf("violation: %q is none of fail, drop, pass", o.Violation)
	}
	if (o.Schema == nil) == (o.File == "") {
		return nil, errors.New("give the schema, under schema or in a file")
	}
	option := "schema"
	text, err := json.Marshal(o.Schema)
	if o.File != "" {
		option = "file"
		text, err = os.ReadFile(o.File)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", option, err)
	}
	schema, err := compileSchema(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", option, err)
	}
	if err := schema.Validate(map[string]any{}); isCycle(err) {
		return nil, fmt.Errorf("%s: it refers to itself without end", option)
	}
	return &Assert{schema, o.Violation}, nil
}

// isCycle reports whether a schema refers to itself without looking at anything in between.
func isCycle(err error) bool {
	invalid := new(jsonschema.ValidationError)
	if !errors.As(err, &invalid) {
		return false
	}
	if _, is := invalid.ErrorKind.(*kind.RefCycle); is {
		return true
	}
	return slices.ContainsFunc(invalid.Causes, func(cause *jsonschema.ValidationError) bool { return isCycle(cause) })
}

func compileSchema(text []byte) (*jsonschema.Schema, error) {
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	compiler := jsonschema.NewCompiler()
	compiler.DefaultDraft(jsonschema.Draft2020)
	compiler.UseLoader(jsonschema.SchemeURLLoader{}) // reads nothing
	if err := compiler.AddResource(schemaURL, document); err != nil {
		return nil, err
	}
	schema, err := compiler.Compile(schemaURL)
	if err != nil {
		return nil, onOneLine(err)
	}
	return schema, nil
}

// onOneLine returns what is wrong with a schema without the tree of keywords that the compiler draws.
func onOneLine(err error) error {
	text := err.Error()
	if load := new(jsonschema.LoadURLError); errors.As(err, &load) {
		text = fmt.Sprintf("%q is another document, and none is read: put what you refer to under $defs", load.URL)
	}
	if bad := new(jsonschema.SchemaValidationError); errors.As(err, &bad) {
		err = bad.Err
	}
	if invalid := new(jsonschema.ValidationError); errors.As(err, &invalid) {
		for len(invalid.Causes) > 0 {
			invalid = invalid.Causes[0]
		}
		text = invalid.Error()
	}
	return errors.New(strings.ReplaceAll(text, schemaURL, ""))
}

// NeedsObject implements ObjectUser.
func (a *Assert) NeedsObject() bool { return true }

// Process implements glue.Stage. What becomes of a message that violates the schema is an option:
// a permanent error, a drop, or a flag.
func (a *Assert) Process(_ context.Context, m *glue.Message) error {
	object := m.Object().Any()
	reason := fmt.Sprintf("a number has more than %d digits", maxDigits) // jsonschema computes exactly
	if computable(object) {
		err := a.schema.Validate(object)
		if err == nil {
			return nil
		}
		reason = violated(err)
	}
	switch a.violation {
	case "drop":
		return glue.Drop(reason)
	case "pass":
		return fmt.Errorf("%w: %s", glue.ErrFlag, reason)
	default:
		return glue.Permanent(errors.New(reason))
	}
}

// violated says which keywords of the schema are violated, by their JSON Pointers. It
// names nothing of the message, whose members may be called anything.
func violated(err error) string {
	locations := map[string]bool{}
	if invalid := new(jsonschema.ValidationError); errors.As(err, &invalid) {
		addLocations(locations, invalid)
	}
	list := slices.Sorted(maps.Keys(locations))
	more := ""
	if len(list) > maxLocations {
		more = fmt.Sprintf(" and %d more", len(list)-maxLocations)
		list = list[:maxLocations]
	}
	return "violates " + strings.Join(list, ", ") + more
}

// addLocations adds the places of the keywords that err is about.
func addLocations(locations map[string]bool, err *jsonschema.ValidationError) {
	for _, cause := range err.Causes {
		addLocations(locations, cause)
	}
	if len(err.Causes) > 0 {
		return
	}
	location := strings.TrimPrefix(err.SchemaURL, schemaURL)
	path := err.ErrorKind.KeywordPath()
	if _, is := err.ErrorKind.(*kind.Not); is {
		path = []string{"not"}
	}
	for _, name := range path {
		location += "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
	}
	locations[location] = true
}

package stages

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"

	"pushglue/glue"
	"pushglue/glue/tree"
)

// Format gives the body its final form: some of the envelope's fields, or whatever a jq
// expression makes of it. The body always carries the message's id.
type Format struct {
	keep, drop []tree.Path
	rename     []renaming
	jq         *expression // nil without one
	eventType  *template   // nil keeps the message's type
}

// renaming gives what is at a path another name.
type renaming struct {
	path tree.Path
	name string
}

var (
	_ glue.Stage = (*Format)(nil)
	_ ObjectUser = (*Format)(nil)
)

type formatOptions struct {
	Keep   []string      `yaml:"keep"`
	Drop   []string      `yaml:"drop"`
	Rename yaml.MapSlice `yaml:"rename"`
	JQ     string        `yaml:"jq"`
	Type   string        `yaml:"type"`
}

func newFormat(options Options) (glue.Stage, error) {
	var o formatOptions
	if err := options(&o); err != nil {
		return nil, err
	}
	if o.Keep == nil && len(o.Drop)+len(o.Rename) == 0 && o.JQ == "" && o.Type == "" {
		return nil, errors.New("give at least one of keep, drop, rename, jq and type")
	}
	if o.Keep != nil && len(o.Keep) == 0 {
		return nil, errors.New("keep: name at least one path, or leave it out to keep everything")
	}
	if o.JQ != "" && len(o.Keep)+len(o.Drop)+len(o.Rename) > 0 {
		return nil, errors.New("jq stands alone: the expression can keep, drop and rename itself")
	}
	var f Format
	var err error
	if f.keep, err = parsePaths("keep", o.Keep); err != nil {
		return nil, err
	}
	if f.drop, err = parsePaths("drop", o.Drop); err != nil {
		return nil, err
	}
	if err := refuseID("drop", f.drop); err != nil {
		return nil, err
	}
	if f.rename, err = parseRenames(o.Rename); err != nil {
		return nil, err
	}
	if o.JQ != "" {
		if f.jq, err = compile("jq", o.JQ); err != nil {
			return nil, err
		}
	}
	if o.Type != "" {
		t, err := parseTemplate(o.Type)
		if err != nil {
			return nil, fmt.Errorf("type: %w", err)
		}
		if err := glue.CheckToken(t.sample()); err != nil {
			return nil, fmt.Errorf("type: %q %w", o.Type, err)
		}
		f.eventType = &t
	}
	return &f, nil
}

func parseRenames(items yaml.MapSlice) ([]renaming, error) {
	var renames []renaming
	for _, item := range items {
		from := fmt.Sprint(item.Key)
		name, isText := item.Value.(string)
		p, err := tree.ParsePath(from)
		switch {
		case err != nil:
			return nil, fmt.Errorf("rename: %q: %w", from, err)
		case !isText || name == "":
			return nil, fmt.Errorf("rename: %q has no text as its new name", from)
		case isID(p) || len(p) == 1 && name == "id":
			return nil, fmt.Errorf("rename: %q to %q would change the message's id", from, name)
		}
		if slices.ContainsFunc(renames, func(r renaming) bool {
			return r.name == name && slices.Equal(r.path[:len(r.path)-1], p[:len(p)-1])
		}) {
			return nil, fmt.Errorf("rename: two members would be called %q", name)
		}
		renames = append(renames, renaming{p, name})
	}
	return renames, nil
}

// NeedsObject implements ObjectUser.
func (f *Format) NeedsObject() bool { return true }

// Process implements glue.Stage. A jq expression that fails, or gives anything but one object,
// is a permanent error.
func (f *Format) Process(ctx context.Context, m *glue.Message) error {
	if err := f.setType(m); err != nil {
		return err
	}
	if f.jq != nil {
		return f.evaluate(ctx, m)
	}
	id := idOf(m)
	object := m.Edit()
	if len(f.keep) > 0 {
		object.Keep(f.keep)
	}
	for _, p := range f.drop {
		object.Delete(p)
	}
	for _, r := range f.rename {
		object.Rename(r.path, r.name)
	}
	object.Set("id", id)
	return nil
}

func (f *Format) setType(m *glue.Message) error {
	if f.eventType == nil {
		return nil
	}
	text, _, err := f.eventType.render(new(strings.Builder), m.Object())
	if err != nil {
		return err
	}
	if text != "" {
		if err := glue.CheckToken(text); err != nil {
			return glue.Permanentf("type %w", err)
		}
	}
	m.Type = text
	return nil
}

// evaluate replaces the body by what the jq expression makes of it.
func (f *Format) evaluate(ctx context.Context, m *glue.Message) error {
	results, err := f.jq.run(ctx, m.Object(), 2)
	switch {
	case err != nil:
		return err
	case len(results) == 0:
		return glue.Permanentf("jq gives nothing")
	case len(results) > 1:
		return glue.Permanentf("jq gives more than one result")
	}
	object, err := toObject(results[0])
	if err != nil {
		return err
	}
	object.Set("id", idOf(m))
	m.SetObject(object)
	return nil
}

// idOf returns the message's id as the body has it.
func idOf(m *glue.Message) tree.Node {
	if id := m.Object().Get(idPath); id != nil {
		return *id
	}
	return tree.NewString(m.ID)
}

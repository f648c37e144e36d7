package stages

import (
	"context"
	"errors"

	"pushglue/glue"
	"pushglue/glue/tree"
)

// own gives the stages of this file their names in pipelines files.
var own = map[string]func(Options) (glue.Stage, error){
	"truncate": newTruncate,
}

// Truncate cuts texts after some characters.
type Truncate struct {
	paths []tree.Path
	max   int // characters that stay
}

var (
	_ glue.Stage = (*Truncate)(nil)
	_ ObjectUser = (*Truncate)(nil)
)

type truncateOptions struct {
	Paths []string `yaml:"paths"`
	Max   int      `yaml:"max"`
}

func newTruncate(options Options) (glue.Stage, error) {
	o := truncateOptions{Max: 100}
	if err := options(&o); err != nil {
		return nil, err
	}
	switch {
	case len(o.Paths) == 0:
		return nil, errors.New("paths: name at least one")
	case o.Max < 1:
		return nil, errors.New("max: leave at least one character")
	}
	paths, err := parsePaths("paths", o.Paths)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(refuseID("paths", paths), refuseEvent("paths", paths)); err != nil {
		return nil, err
	}
	return &Truncate{paths, o.Max}, nil
}

// NeedsObject implements ObjectUser.
func (t *Truncate) NeedsObject() bool { return true }

// Process implements glue.Stage. What is no string stays as it is.
func (t *Truncate) Process(_ context.Context, m *glue.Message) error {
	object := m.Edit()
	for _, p := range t.paths {
		object.Each(p, func(value *tree.Node) {
			text, _ := value.Text()
			if runes := []rune(text); value.Kind() == tree.String && len(runes) > t.max {
				*value = tree.NewString(string(runes[:t.max]) + "…")
			}
		})
	}
	return nil
}

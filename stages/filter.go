package stages

import (
	"context"
	"errors"

	"pushglue/glue"
)

// Filter drops messages by a jq condition.
type Filter struct {
	condition *expression
	keep      bool // what becomes of messages for which the condition holds
}

var (
	_ glue.Stage = (*Filter)(nil)
	_ ObjectUser = (*Filter)(nil)
)

type filterOptions struct {
	Keep string `yaml:"keep"`
	Drop string `yaml:"drop"`
}

func newFilter(options Options) (glue.Stage, error) {
	var o filterOptions
	if err := options(&o); err != nil {
		return nil, err
	}
	if (o.Keep == "") == (o.Drop == "") {
		return nil, errors.New("give one condition, under keep or under drop")
	}
	f := &Filter{keep: o.Keep != ""}
	var err error
	if f.keep {
		f.condition, err = compile("keep", o.Keep)
	} else {
		f.condition, err = compile("drop", o.Drop)
	}
	if err != nil {
		return nil, err
	}
	return f, nil
}

// NeedsObject implements ObjectUser.
func (f *Filter) NeedsObject() bool { return true }

// Process implements glue.Stage. As in jq the condition does not hold if it gives false, null or
// nothing, and holds with anything else; only its first result counts.
func (f *Filter) Process(ctx context.Context, m *glue.Message) error {
	results, err := f.condition.run(ctx, m.Object(), 1)
	if err != nil {
		return err
	}
	holds := len(results) > 0 && results[0] != nil && results[0] != false
	if holds != f.keep {
		return glue.ErrDrop
	}
	return nil
}

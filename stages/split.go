package stages

import (
	"context"
	"errors"
	"strconv"

	"pushglue/glue"
	"pushglue/glue/tree"
)

// Split makes several messages of one: each result of a jq expression becomes one. Their ids are
// the message's with #1, #2 and so on, so that they are the same when the job comes again.
type Split struct {
	jq *expression
}

var (
	_ glue.Stage = (*Split)(nil)
	_ ObjectUser = (*Split)(nil)
)

type splitOptions struct {
	JQ string `yaml:"jq"`
}

func newSplit(options Options) (glue.Stage, error) {
	var o splitOptions
	if err := options(&o); err != nil {
		return nil, err
	}
	if o.JQ == "" {
		return nil, errors.New("jq: give an expression")
	}
	jq, err := compile("jq", o.JQ)
	if err != nil {
		return nil, err
	}
	return &Split{jq}, nil
}

// NeedsObject implements ObjectUser.
func (s *Split) NeedsObject() bool { return true }

// Process implements glue.Stage. A result that is no object is a permanent error, and so are more
// than glue.MaxMessages of them. A message without results is dropped.
func (s *Split) Process(ctx context.Context, m *glue.Message) error {
	results, err := s.jq.run(ctx, m.Object(), glue.MaxMessages+1)
	switch {
	case err != nil:
		return err
	case len(results) == 0:
		return glue.Drop("it has no parts")
	case len(results) > glue.MaxMessages:
		return glue.Permanentf("jq gives more than %d results", glue.MaxMessages)
	}
	parts := make([]*glue.Message, len(results))
	for i, result := range results {
		object, err := toObject(result)
		if err != nil {
			return err
		}
		id := m.ID + "#" + strconv.Itoa(i+1)
		if err := glue.CheckToken(id); err != nil {
			return glue.Permanentf("the id of part %d %w", i+1, err)
		}
		object.Set("id", tree.NewString(id))
		part := glue.NewMessage(id, nil)
		part.Type, part.Channels = m.Type, m.Channels
		part.SetObject(object)
		parts[i] = part
	}
	m.Split(parts)
	return nil
}

package stages

import (
	"context"

	"pushglue/glue"
	"pushglue/glue/tree"
)

// JSON parses the payload as the job envelope: a JSON object whose id and event become the
// message's id and type. An envelope without id gets the job's.
type JSON struct{}

var (
	_ glue.Stage  = JSON{}
	_ ObjectGiver = JSON{}
)

func newJSON(options Options) (glue.Stage, error) {
	return JSON{}, options(&struct{}{})
}

// GivesObject implements ObjectGiver.
func (JSON) GivesObject() {}

var idPath, eventPath = tree.Path{"id"}, tree.Path{"event"}

// Process implements glue.Stage. What is no such object is a permanent error.
func (JSON) Process(_ context.Context, m *glue.Message) error {
	object, err := tree.Parse(m.Body())
	if err != nil {
		return glue.Permanent(err)
	}
	if object.Kind() != tree.Object {
		return glue.Permanentf("payload is not a JSON object but of kind %s", object.Kind())
	}
	id, err := token(object, idPath, tree.String, tree.Number)
	if err != nil {
		return err
	}
	event, err := token(object, eventPath, tree.String)
	if err != nil {
		return err
	}
	m.SetObject(object)
	m.Type = event
	if id == "" {
		m.Edit().Set("id", tree.NewString(m.ID))
		return nil
	}
	m.ID = id
	return nil
}

// token returns the text at p; empty if it is missing or null.
func token(object *tree.Node, p tree.Path, kinds ...tree.Kind) (string, error) {
	value := object.Get(p)
	if value == nil || value.Kind() == tree.Null {
		return "", nil
	}
	for _, kind := range kinds {
		if value.Kind() != kind {
			continue
		}
		text, _ := value.Text()
		if err := glue.CheckToken(text); err != nil {
			return "", glue.Permanentf("%s %w", p, err)
		}
		return text, nil
	}
	return "", glue.Permanentf("%s is of kind %s", p, value.Kind())
}

package stages

import (
	"errors"
	"strings"

	"pushglue/glue"
)

// ParseLatest parses the template of a pipeline's option latest, such as "{post}", and returns what gives a message's
// key (glue.Coalesce). A message has none when a value is missing, or is an object or array. needsObject
// tells whether messages need a parsed body at the end of the stages.
func ParseLatest(source string) (key func(*glue.Message) (string, bool), needsObject bool, err error) {
	t, err := parseTemplate(source)
	if err == nil && source == "" {
		err = errors.New("name what makes messages replace each other")
	}
	if err != nil {
		return nil, false, err
	}
	needsObject = !t.isConstant()
	key = func(m *glue.Message) (string, bool) {
		if needsObject && m.Object() == nil {
			return "", false
		}
		var text strings.Builder
		key, ok, err := t.render(&text, m.Object())
		return key, ok && err == nil
	}
	return key, needsObject, nil
}

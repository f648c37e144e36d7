package stages

import (
	"context"
	"fmt"
	"time"

	"github.com/itchyny/gojq"

	"pushglue/glue"
	"pushglue/glue/tree"
)

// expression is a compiled jq expression. It sees the message's object and nothing else: neither
// files nor the environment.
type expression struct{ code *gojq.Code }

// jqTimeout bounds a jq expression, which may loop for ever, on one message.
const jqTimeout = time.Second

// compile compiles the jq expression of an option.
func compile(option, source string) (*expression, error) {
	query, err := gojq.Parse(source)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", option, err)
	}
	code, err := gojq.Compile(query)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", option, err)
	}
	return &expression{code}, nil
}

// run returns the first results for an object, up to limit of them. When the expression fails or
// takes too long that is a permanent error, without the values that jq quotes in its own.
func (e *expression) run(ctx context.Context, object *tree.Node, limit int) ([]any, error) {
	limited, cancel := context.WithTimeout(ctx, jqTimeout)
	defer cancel()
	iter := e.code.RunWithContext(limited, object.Any())
	var results []any
	for len(results) < limit {
		result, ok := iter.Next()
		if !ok {
			break
		}
		if _, failed := result.(error); !failed {
			results = append(results, result)
			continue
		}
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case limited.Err() != nil:
			return nil, glue.Permanentf("jq takes longer than %s", jqTimeout)
		}
		return nil, glue.Permanentf("jq fails")
	}
	return results, nil
}

// toObject returns a result as a message's object.
func toObject(result any) (*tree.Node, error) {
	if _, ok := result.(map[string]any); !ok {
		return nil, glue.Permanentf("jq gives no object")
	}
	text, err := gojq.Marshal(result)
	if err != nil {
		return nil, glue.Permanentf("jq gives what is no JSON")
	}
	object, err := tree.Parse(text)
	if err != nil {
		return nil, glue.Permanentf("jq: %w", err)
	}
	return object, nil
}

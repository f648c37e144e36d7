package stages

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
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

// jqSize bounds the bodies that jq sees, in bytes: push hosts take no more.
const jqSize = 64 << 10

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
	// The clock is looked at between two operations, and one of them can take long on a long list or number.
	if object.Size() > jqSize {
		return nil, glue.Permanentf("a body of more than %d bytes is too long for jq", jqSize)
	}
	input := object.Any()
	if !computable(input) {
		return nil, glue.Permanentf("a number has more than %d digits", maxDigits)
	}
	limited, cancel := context.WithTimeout(ctx, jqTimeout)
	defer cancel()
	iter := e.code.RunWithContext(limited, input)
	var results []any
	for len(results) < limit {
		result, ok := iter.Next()
		if !ok {
			break
		}
		cause, failed := result.(error)
		if !failed {
			results = append(results, result)
			continue
		}
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case limited.Err() != nil:
			return nil, glue.Permanentf("jq takes longer than %s", jqTimeout)
		}
		return nil, glue.WithDetail(glue.Permanentf("jq fails"), cause)
	}
	return results, nil
}

// maxDigits bounds numbers that are computed exactly, before and after their points.
const maxDigits = 1000

// computable reports whether all numbers in value are of a size that costs no time to speak of.
func computable(value any) bool {
	switch v := value.(type) {
	case json.Number:
		digits, exponent := len(v), 0
		if e := strings.IndexAny(string(v), "eE"); e >= 0 {
			var err error
			if exponent, err = strconv.Atoi(string(v[e+1:])); err != nil {
				return false
			}
			digits = e
		}
		return digits <= maxDigits && max(exponent, -exponent) <= maxDigits
	case []any:
		return !slices.ContainsFunc(v, func(element any) bool { return !computable(element) })
	case map[string]any:
		for _, member := range v {
			if !computable(member) {
				return false
			}
		}
	}
	return true
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

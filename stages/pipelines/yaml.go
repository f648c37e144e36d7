package pipelines

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"

	"pushglue/stages"
)

// placedError is an error that says already where in the file it is.
type placedError struct{ error }

// fields returns the values of a mapping by key, which must be one of known.
// It is nil when node is no mapping.
func (f *file) fields(node ast.Node, known ...string) map[string]ast.Node {
	if t := node.Type(); t != ast.MappingType && t != ast.MappingValueType {
		f.fail(node, "want a mapping with the keys %s", strings.Join(known, ", "))
		return nil
	}
	fields := map[string]ast.Node{}
	for _, pair := range pairsOf(node) {
		key := pair.Key.GetToken().Value
		if !slices.Contains(known, key) {
			f.fail(pair.Key, "unknown key %q%s", key, didYouMean(key, known))
			continue
		}
		if pair.Value.Type() != ast.NullType {
			fields[key] = pair.Value
		}
	}
	return fields
}

// named reads an entry that is a name, or a mapping of one name to options. what is what the
// name names. The name is empty after an error.
func (f *file) named(entry ast.Node, what string) (name string, at, options ast.Node) {
	switch n := entry.(type) {
	case *ast.StringNode:
		return n.Value, n, nil
	case *ast.MappingValueNode:
		return n.Key.GetToken().Value, n.Key, n.Value
	case *ast.MappingNode:
		if len(n.Values) == 1 {
			return f.named(n.Values[0], what)
		}
	}
	f.fail(entry, "want the name of a %s, or one name with its options", what)
	return "", nil, nil
}

// word returns a text. A number or date as a name is an error: YAML would read 010 as 8.
func (f *file) word(node ast.Node) string {
	if node == nil {
		return ""
	}
	text, ok := node.(*ast.StringNode)
	if !ok {
		f.fail(node, "want a text; put it in quotes")
		return ""
	}
	return text.Value
}

// findAlias returns the first anchor, alias or merge key in node, or nil.
func findAlias(node ast.Node) ast.Node {
	var found ast.Node
	ast.Walk(visitor(func(n ast.Node) bool {
		switch n.(type) {
		case *ast.AnchorNode, *ast.AliasNode, *ast.MergeKeyNode:
			if found == nil {
				found = n
			}
		}
		return found == nil
	}), node)
	return found
}

// visitor is an ast.Visitor that goes on as long as it returns true.
type visitor func(ast.Node) bool

// Visit implements ast.Visitor.
func (v visitor) Visit(n ast.Node) ast.Visitor {
	if !v(n) {
		return nil
	}
	return v
}

// decode decodes a value and notes an error. A missing value leaves into as it is.
func (f *file) decode(node ast.Node, into any) {
	if node == nil {
		return
	}
	if err := yaml.NodeToValue(node, into, yaml.Strict()); err != nil {
		f.errs = append(f.errs, f.decodeError(node, err, into))
	}
}

// optionsText returns options as a text that is the same for the same options in the same order, however
// they are laid out. The order can matter, as in a list of new names.
func optionsText(node ast.Node) string {
	if node == nil || node.Type() == ast.NullType {
		return ""
	}
	var value any
	if err := yaml.NodeToValue(node, &value, yaml.UseOrderedMap()); err != nil {
		return node.String() // the constructor will refuse it
	}
	text, err := yaml.Marshal(value)
	if err != nil {
		return node.String()
	}
	return string(text)
}

// options returns what decodes the options of a stage or publisher; node may be nil.
func (f *file) options(at, node ast.Node) stages.Options {
	return func(into any) error {
		if node == nil || node.Type() == ast.NullType {
			return nil
		}
		if err := yaml.NodeToValue(node, into, yaml.Strict()); err != nil {
			return placedError{f.decodeError(at, err, into)}
		}
		if other := findOther(node, reflect.TypeOf(into)); other != nil {
			return placedError{f.at(other, errors.New("want a text; put it in quotes"))}
		}
		return nil
	}
}

// findOther returns the first number, date or the like in node that stands where t has a text, or nil.
// YAML would read 010 as 8, and 2024.10 as 2024.1.
func findOther(node ast.Node, t reflect.Type) ast.Node {
	switch t.Kind() {
	case reflect.Pointer:
		return findOther(node, t.Elem())
	case reflect.String:
		return unlessText(node)
	case reflect.Slice:
		if t == reflect.TypeFor[yaml.MapSlice]() {
			for _, pair := range pairsOf(node) {
				if other := unlessText(pair.Key); other != nil {
					return other
				}
			}
		} else if list, ok := node.(*ast.SequenceNode); ok {
			for _, element := range list.Values {
				if other := findOther(element, t.Elem()); other != nil {
					return other
				}
			}
		}
	case reflect.Struct:
		for _, pair := range pairsOf(node) {
			for i := range t.NumField() {
				if name, _, _ := strings.Cut(t.Field(i).Tag.Get("yaml"), ","); name == pair.Key.GetToken().Value {
					if other := findOther(pair.Value, t.Field(i).Type); other != nil {
						return other
					}
				}
			}
		}
	}
	return nil
}

// unlessText returns node, or nil if it is a text or nothing.
func unlessText(node ast.Node) ast.Node {
	switch node.Type() {
	case ast.StringType, ast.LiteralType, ast.NullType:
		return nil
	}
	return node
}

// pairsOf returns the keys of a mapping with their values.
func pairsOf(node ast.Node) []*ast.MappingValueNode {
	switch n := node.(type) {
	case *ast.MappingNode:
		return n.Values
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{n}
	}
	return nil
}

// placed places a constructor's error, if it has no place yet, and names who it is from.
func (f *file) placed(at ast.Node, who string, err error) error {
	var placed placedError
	if errors.As(err, &placed) {
		return placed.error
	}
	return f.at(at, fmt.Errorf("%s: %w", who, err))
}

// decodeError turns an error of the YAML library, which spans several lines, into one of ours.
func (f *file) decodeError(at ast.Node, err error, into any) error {
	var detailed yaml.Error
	if !errors.As(err, &detailed) {
		return f.at(at, err)
	}
	text := detailed.GetMessage()
	token := detailed.GetToken()
	if unknown := new(yaml.UnknownFieldError); errors.As(err, &unknown) {
		text = fmt.Sprintf("unknown option %q%s", token.Value, didYouMean(token.Value, optionNames(into)))
	}
	if wrong := new(yaml.TypeError); errors.As(err, &wrong) && wrong.DstType != nil && wrong.SrcType != nil {
		text = fmt.Sprintf("want a %s, not a %s", wrong.DstType, wrong.SrcType)
	}
	if token == nil {
		return f.at(at, errors.New(text))
	}
	return fmt.Errorf("%s:%d:%d: %s", f.name, token.Position.Line, token.Position.Column, text)
}

// optionNames returns the yaml names of a struct's fields, those of structs in it too.
func optionNames(into any) []string {
	t := reflect.TypeOf(into)
	for t != nil && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t == nil || t.Kind() != reflect.Struct {
		return nil
	}
	var names []string
	for i := range t.NumField() {
		field := t.Field(i)
		if name, _, _ := strings.Cut(field.Tag.Get("yaml"), ","); name != "" {
			names = append(names, name)
			names = append(names, optionNames(reflect.Zero(field.Type).Interface())...)
		}
	}
	return names
}

// didYouMean suggests the known word that is most like word, or else lists all of them.
func didYouMean(word string, known []string) string {
	best, least := "", 3
	for _, candidate := range known {
		if d := distance(strings.ToLower(word), candidate); d < least {
			best, least = candidate, d
		}
	}
	switch {
	case best != "":
		return fmt.Sprintf("; did you mean %q?", best)
	case len(known) > 0:
		return "; there are " + strings.Join(known, ", ")
	}
	return "; there are none"
}

// distance is the number of letters to insert, delete or replace to make b of a.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replace := diagonal
			if a[i] != b[j] {
				replace++
			}
			diagonal = row[j+1]
			row[j+1] = min(replace, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}

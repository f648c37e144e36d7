// Package tree holds a JSON value that stages read and edit by path.
//
// Parsing is strict where readers differ: member names must be unique and text must be UTF-8.
// Whatever is not edited comes out as it came in: the order of members, the digits of a number,
// the escapes of a string. Only white space between tokens goes.
package tree

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// Kind is the kind of a JSON value.
type Kind uint8

// The kinds of JSON values.
const (
	Null Kind = iota
	Bool
	Number
	String
	Object
	Array
)

func (k Kind) String() string {
	return [...]string{"null", "bool", "number", "string", "object", "array"}[k]
}

// Node is a JSON value: a scalar with its text, or an object or array with its members.
type Node struct {
	text    string   // a scalar as it was written
	members []member // of an object or array
	kind    Kind
}

// member is one value in an object, or in an array, where it has no name.
type member struct {
	name   string
	quoted string // the name as it was written
	value  Node
}

// newMember returns a member of an object.
func newMember(name string, value Node) member {
	return member{name, quote(name), value}
}

// NewString returns a string value.
func NewString(s string) Node { return Node{kind: String, text: quote(s)} }

// quote returns a text as a JSON string.
func quote(text string) string {
	if isPlain(text) {
		return `"` + text + `"`
	}
	// The only error is invalid UTF-8, which AppendQuote has replaced by then.
	quoted, _ := jsontext.AppendQuote(nil, text)
	return string(quoted)
}

// unquote returns the text of a JSON string; lone surrogates become U+FFFD.
func unquote(quoted string) string {
	inside := quoted[1 : len(quoted)-1]
	if strings.IndexByte(inside, '\\') < 0 {
		return inside
	}
	// The only error in a string that was parsed is a lone surrogate, which AppendUnquote has replaced by then.
	text, _ := jsontext.AppendUnquote(nil, quoted)
	return string(text)
}

// Clone returns a copy that can be edited without changing n. It shares what nobody writes into:
// names and scalars.
func (n *Node) Clone() *Node {
	c := *n
	c.unshare()
	return &c
}

// unshare gives n members of its own, all the way down.
func (n *Node) unshare() {
	n.members = slices.Clone(n.members)
	for i := range n.members {
		n.members[i].value.unshare()
	}
}

// Kind returns the value's kind.
func (n *Node) Kind() Kind { return n.kind }

// Text returns the text of a string, number or bool, and false for anything else.
func (n *Node) Text() (string, bool) {
	switch n.kind {
	case String:
		return unquote(n.text), true
	case Number, Bool:
		return n.text, true
	}
	return "", false
}

// Append appends the value as compact JSON on one line.
func (n *Node) Append(dst []byte) []byte {
	switch n.kind {
	case Object:
		dst = append(dst, '{')
		for i := range n.members {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = append(dst, n.members[i].quoted...)
			dst = append(dst, ':')
			dst = n.members[i].value.Append(dst)
		}
		return append(dst, '}')
	case Array:
		dst = append(dst, '[')
		for i := range n.members {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = n.members[i].value.Append(dst)
		}
		return append(dst, ']')
	}
	return append(dst, n.text...)
}

// Size returns how many bytes Append appends.
func (n *Node) Size() int {
	switch n.kind {
	case Object, Array:
		size := len("{}") + max(0, len(n.members)-1) // commas
		for i := range n.members {
			size += n.members[i].value.Size()
			if n.kind == Object {
				size += len(n.members[i].quoted) + len(":")
			}
		}
		return size
	}
	return len(n.text)
}

// Any returns the value as encoding/json would decode it with UseNumber.
func (n *Node) Any() any {
	switch n.kind {
	case Null:
		return nil
	case Bool:
		return n.text[0] == 't'
	case Number:
		return json.Number(n.text)
	case String:
		s, _ := n.Text()
		return s
	case Array:
		list := make([]any, len(n.members))
		for i := range n.members {
			list[i] = n.members[i].value.Any()
		}
		return list
	}
	object := make(map[string]any, len(n.members))
	for i := range n.members {
		object[n.members[i].name] = n.members[i].value.Any()
	}
	return object
}

// Package tree holds a JSON value that stages read and edit by path.
//
// Parsing is strict where readers differ: member names must be unique and text must be UTF-8.
// Whatever is not edited comes out as it came in: the order of members, the digits of a number,
// the escapes of a string. Only white space between tokens goes.
package tree

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// MaxDepth bounds the nesting of arrays and objects.
const MaxDepth = 128

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
// It may share memory with the bytes it was parsed from, which must not change meanwhile.
type Node struct {
	kind    Kind
	raw     []byte   // a scalar as it was written
	members []member // of an object or array
}

// member is one value in an object, or in an array, where it has no name.
type member struct {
	name  []byte // decoded
	raw   []byte // quoted, as it was written
	value Node
}

// Parse parses one JSON value. It keeps b. The error says what is wrong at which byte and
// quotes nothing of b.
func Parse(b []byte) (*Node, error) {
	if !utf8.Valid(b) {
		return nil, errors.New("text is not valid UTF-8")
	}
	// Lone surrogates in \u escapes are passed on as they are: browsers read them, and
	// JavaScript producers cut strings between the halves of a pair.
	d := jsontext.NewDecoder(bytes.NewBuffer(b), jsontext.AllowInvalidUTF8(true))
	n := new(Node)
	if err := n.read(d, b, 0); err != nil {
		return nil, clean(err, d)
	}
	end := d.InputOffset()
	if _, err := d.ReadToken(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("more than one JSON value: something follows byte %d", end)
	}
	return n, nil
}

// clean replaces the decoder's error, which quotes its input, by one that does not.
func clean(err error, d *jsontext.Decoder) error {
	at := d.InputOffset()
	var syntax *jsontext.SyntacticError
	if errors.As(err, &syntax) {
		at = syntax.ByteOffset
	}
	switch {
	case errors.Is(err, errDepth):
		return err
	case errors.Is(err, jsontext.ErrDuplicateName):
		return fmt.Errorf("duplicate member name at byte %d", at)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("JSON ends early, after byte %d", at)
	}
	return fmt.Errorf("invalid JSON at byte %d", at)
}

var errDepth = fmt.Errorf("JSON is nested deeper than %d levels", MaxDepth)

func (n *Node) read(d *jsontext.Decoder, b []byte, depth int) error {
	switch d.PeekKind() {
	case '{':
		n.kind = Object
		return n.readMembers(d, b, depth)
	case '[':
		n.kind = Array
		return n.readMembers(d, b, depth)
	case 'n':
		n.kind = Null
	case 't', 'f':
		n.kind = Bool
	case '"':
		n.kind = String
	case '0':
		n.kind = Number
	}
	var err error
	n.raw, err = readRaw(d, b)
	return err
}

func (n *Node) readMembers(d *jsontext.Decoder, b []byte, depth int) error {
	if depth == MaxDepth {
		return errDepth
	}
	if _, err := d.ReadToken(); err != nil {
		return err
	}
	for d.PeekKind() != '}' && d.PeekKind() != ']' {
		var m member
		var err error
		if n.kind == Object {
			if m.raw, err = readRaw(d, b); err != nil {
				return err
			}
			if m.name, err = unquote(m.raw); err != nil {
				return err
			}
		}
		if err := m.value.read(d, b, depth+1); err != nil {
			return err
		}
		n.members = append(n.members, m)
	}
	_, err := d.ReadToken()
	return err
}

// readRaw returns the next string or scalar as the part of b that holds it.
func readRaw(d *jsontext.Decoder, b []byte) ([]byte, error) {
	v, err := d.ReadValue()
	if err != nil {
		return nil, err
	}
	end := int(d.InputOffset())
	return b[end-len(v) : end : end], nil
}

// unquote returns the text of a JSON string; lone surrogates become U+FFFD.
func unquote(raw []byte) ([]byte, error) {
	if bytes.IndexByte(raw, '\\') < 0 {
		return raw[1 : len(raw)-1 : len(raw)-1], nil
	}
	text, err := jsontext.AppendUnquote(nil, raw)
	if err != nil && len(text) == 0 {
		return nil, err
	}
	return text, nil
}

// NewString returns a string value.
func NewString(s string) Node {
	// The only error is invalid UTF-8, which AppendQuote has replaced by then.
	raw, _ := jsontext.AppendQuote(nil, s)
	return Node{kind: String, raw: raw}
}

// Clone returns a copy that can be edited without changing n. It shares what nobody writes into:
// names and scalars.
func (n *Node) Clone() *Node {
	c := n.clone()
	return &c
}

func (n *Node) clone() Node {
	c := Node{kind: n.kind, raw: n.raw}
	if len(n.members) > 0 {
		c.members = make([]member, len(n.members))
		for i, m := range n.members {
			c.members[i] = member{m.name, m.raw, m.value.clone()}
		}
	}
	return c
}

// Kind returns the value's kind.
func (n *Node) Kind() Kind { return n.kind }

// Text returns the text of a string, number or bool, and false for anything else.
func (n *Node) Text() (string, bool) {
	switch n.kind {
	case String:
		text, err := unquote(n.raw)
		return string(text), err == nil
	case Number, Bool:
		return string(n.raw), true
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
			dst = append(dst, n.members[i].raw...)
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
	return append(dst, n.raw...)
}

// Size returns about how many bytes the value has as JSON, at the least.
func (n *Node) Size() int {
	size := len(n.raw)
	for i := range n.members {
		size += len(n.members[i].raw) + n.members[i].value.Size() + 2
	}
	return size
}

// Any returns the value as encoding/json would decode it with UseNumber.
func (n *Node) Any() any {
	switch n.kind {
	case Null:
		return nil
	case Bool:
		return n.raw[0] == 't'
	case Number:
		return json.Number(n.raw)
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
		object[string(n.members[i].name)] = n.members[i].value.Any()
	}
	return object
}

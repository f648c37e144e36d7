package tree

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"
)

// MaxDepth bounds the nesting of arrays and objects.
const MaxDepth = 128

// Parse parses one JSON value, and keeps a copy of b. The error says what is wrong at which byte
// and quotes nothing of b.
//
// Lone surrogates in \u escapes are let through: browsers read them, and JavaScript producers cut
// strings between the halves of a pair.
func Parse(b []byte) (*Node, error) {
	if !utf8.Valid(b) {
		return nil, errors.New("text is not valid UTF-8")
	}
	p := parsers.Get().(*parser)
	defer p.release()
	p.text = string(b)
	return p.parse()
}

// parser reads a text from front to back, by the grammar of RFC 8259. Each method expects at to be
// where what it reads begins, without white space before it, and leaves it behind that.
type parser struct {
	text string
	at   int
	open []member // what was read of the arrays and objects that have not ended, from the outermost on
}

// parsers are kept for the room that they have for members.
var parsers = sync.Pool{New: func() any { return new(parser) }}

// maxRoom is up to how many members' room is kept: one huge value does not hold on to its memory.
const maxRoom = 1024

// release gives p back, with nothing left in it of what it read.
func (p *parser) release() {
	clear(p.open) // of a text that is no JSON
	if cap(p.open) <= maxRoom {
		*p = parser{open: p.open[:0]}
		parsers.Put(p)
	}
}

var errDepth = fmt.Errorf("JSON is nested deeper than %d levels", MaxDepth)

func early(at int) error   { return fmt.Errorf("JSON ends early, after byte %d", at) }
func invalid(at int) error { return fmt.Errorf("invalid JSON at byte %d", at) }

// wrong returns the error that text may not go on as it does.
func (p *parser) wrong() error {
	if p.at == len(p.text) {
		return early(p.at)
	}
	return invalid(p.at)
}

// peek returns the next byte; 0, which is allowed nowhere, at the end.
func (p *parser) peek() byte {
	if p.at < len(p.text) {
		return p.text[p.at]
	}
	return 0
}

func (p *parser) space() {
	for p.at < len(p.text) {
		switch p.text[p.at] {
		case ' ', '\t', '\n', '\r':
			p.at++
		default:
			return
		}
	}
}

// parse reads the whole text.
func (p *parser) parse() (*Node, error) {
	p.space()
	if p.at == len(p.text) {
		return nil, early(0)
	}
	n, err := p.value(0)
	if err != nil {
		return nil, err
	}
	end := p.at
	if p.space(); p.at < len(p.text) {
		return nil, fmt.Errorf("more than one JSON value: something follows byte %d", end)
	}
	return &n, nil
}

func (p *parser) value(depth int) (Node, error) {
	start := p.at
	var kind Kind
	var err error
	switch p.peek() {
	case '{':
		return p.members(Object, '}', depth)
	case '[':
		return p.members(Array, ']', depth)
	case '"':
		kind, err = String, p.quoted()
	case 't':
		kind, err = Bool, p.literal("true")
	case 'f':
		kind, err = Bool, p.literal("false")
	case 'n':
		kind, err = Null, p.literal("null")
	default:
		kind, err = Number, p.number()
	}
	if err != nil {
		return Node{}, err
	}
	return Node{kind: kind, text: p.text[start:p.at]}, nil
}

// members reads an array or an object, which closing ends.
func (p *parser) members(kind Kind, closing byte, depth int) (Node, error) {
	if depth == MaxDepth {
		return Node{}, errDepth
	}
	first := len(p.open)
	var seen names
	p.at++
	p.space()
	for p.peek() != closing {
		var m member
		if err := p.member(&m, kind, &seen, p.open[first:], depth); err != nil {
			return Node{}, err
		}
		p.open = append(p.open, m)
		p.space()
	}
	p.at++
	return Node{kind: kind, members: p.take(first)}, nil
}

// member reads one member of an array or an object, which has the others already, into m.
func (p *parser) member(m *member, kind Kind, seen *names, others []member, depth int) error {
	if len(others) > 0 {
		if err := p.comma(); err != nil {
			return err
		}
	}
	if kind == Object {
		if err := p.name(m, seen, others); err != nil {
			return err
		}
	}
	var err error
	m.value, err = p.value(depth + 1)
	return err
}

// take returns the open members from the first on, in an array that has room for no more, and which is theirs.
func (p *parser) take(first int) []member {
	members := slices.Clone(p.open[first:])
	clear(p.open[first:])
	p.open = p.open[:first]
	return members
}

// comma reads a comma and the white space behind it. One before a closing bracket is itself what is wrong.
func (p *parser) comma() error {
	if p.peek() != ',' {
		return p.wrong()
	}
	at := p.at
	p.at++
	p.space()
	if c := p.peek(); c == '}' || c == ']' {
		return invalid(at)
	}
	return nil
}

// name reads the name of m, whose object has the other members already, up to its value.
func (p *parser) name(m *member, seen *names, others []member) error {
	start := p.at
	if p.peek() != '"' {
		return p.wrong()
	}
	if err := p.quoted(); err != nil {
		return err
	}
	m.quoted = p.text[start:p.at]
	m.name = unquote(m.quoted)
	if !seen.add(m.name, others) {
		return fmt.Errorf("duplicate member name at byte %d", start)
	}
	p.space()
	if p.peek() != ':' {
		return p.wrong()
	}
	p.at++
	p.space()
	return nil
}

// names are those of one object. A few are compared one by one; for many there is a map, so that
// the time does not grow with the square of their number.
type names struct{ many map[string]bool }

// few is up to how many names it is faster to compare them.
const few = 32

// add reports whether name is none of the names of others, which were added before.
func (s *names) add(name string, others []member) bool {
	if len(others) < few {
		return indexOf(others, name) < 0
	}
	if s.many == nil {
		s.many = make(map[string]bool, 2*few)
		for i := range others {
			s.many[others[i].name] = true
		}
	}
	if s.many[name] {
		return false
	}
	s.many[name] = true
	return true
}

func (p *parser) literal(word string) error {
	for i := range len(word) {
		if p.peek() != word[i] {
			return p.wrong()
		}
		p.at++
	}
	return nil
}

// number reads a number. One that the end of the text cuts off is missing from where it begins.
func (p *parser) number() error {
	start := p.at
	if p.peek() == '-' {
		p.at++
	}
	ok := p.integer()
	if ok && p.peek() == '.' {
		p.at++
		ok = p.digits()
	}
	if ok && (p.peek() == 'e' || p.peek() == 'E') {
		p.at++
		if c := p.peek(); c == '-' || c == '+' {
			p.at++
		}
		ok = p.digits()
	}
	switch {
	case ok:
		return nil
	case p.at == len(p.text):
		return early(start)
	}
	return invalid(p.at)
}

// integer reads digits of which there is one, or the first is not 0.
func (p *parser) integer() bool {
	if p.peek() == '0' {
		p.at++
		return true
	}
	return p.digits()
}

// digits reads digits, and reports whether there are any.
func (p *parser) digits() bool {
	start := p.at
	for c := p.peek(); '0' <= c && c <= '9'; c = p.peek() {
		p.at++
	}
	return p.at > start
}

// quoted reads a string.
func (p *parser) quoted() error {
	p.at++
	for {
		p.at += plain(p.text[p.at:])
		switch p.peek() {
		case '"':
			p.at++
			return nil
		case '\\':
			if err := p.escape(); err != nil {
				return err
			}
		default:
			return p.wrong()
		}
	}
}

// plain returns how many bytes s begins with that stand for themselves in a string.
func plain(s string) int {
	i := 0
	for i < len(s) && s[i] >= ' ' && s[i] != '"' && s[i] != '\\' {
		i++
	}
	return i
}

// isPlain reports whether a text is ASCII of which nothing needs an escape.
func isPlain(text string) bool {
	for i := range len(text) {
		if c := text[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}

// escape reads an escape sequence. What is wrong in it is so from its backslash on.
func (p *parser) escape() error {
	start := p.at
	p.at++
	if p.at == len(p.text) {
		return early(start)
	}
	c := p.peek()
	p.at++
	switch {
	case c != 'u' && strings.IndexByte(`"\/bfnrt`, c) < 0:
		return invalid(start)
	case c != 'u':
		return nil
	}
	for range 4 {
		switch c := p.peek(); {
		case p.at == len(p.text):
			return early(start)
		case '0' <= c && c <= '9', 'a' <= c && c <= 'f', 'A' <= c && c <= 'F':
			p.at++
		default:
			return invalid(start)
		}
	}
	return nil
}

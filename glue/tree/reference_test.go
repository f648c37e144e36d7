package tree

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// reference is what Parse must agree with, in what it takes and in what it says is wrong where: a walk over
// the tokens of encoding/json/v2's decoder.
type reference struct {
	*jsontext.Decoder
	b []byte
}

func (r reference) check() error {
	if !utf8.Valid(r.b) {
		return errors.New("text is not valid UTF-8")
	}
	if err := r.value(0); err != nil {
		return r.clean(err)
	}
	end := r.InputOffset()
	if _, err := r.ReadToken(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("more than one JSON value: something follows byte %d", end)
	}
	return nil
}

func (r reference) value(depth int) error {
	kind := r.PeekKind()
	if kind != '{' && kind != '[' {
		_, err := r.ReadValue()
		return err
	}
	if depth == MaxDepth {
		return errDepth
	}
	if _, err := r.ReadToken(); err != nil {
		return err
	}
	for r.PeekKind() != '}' && r.PeekKind() != ']' {
		if kind == '{' {
			if k := r.PeekKind(); k != '"' && k != jsontext.KindInvalid {
				return errNoName
			}
			if _, err := r.ReadValue(); err != nil {
				return err
			}
		}
		if err := r.value(depth + 1); err != nil {
			return err
		}
	}
	_, err := r.ReadToken()
	return err
}

// errNoName is the reference's error for a name that is no string. It does not say where: the decoder would
// read on, and say what is wrong in an array or object there.
var errNoName = errors.New("a name is no string")

func (r reference) clean(err error) error {
	if errors.Is(err, errNoName) {
		return err
	}
	at := r.InputOffset()
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

// FuzzParseAsReference holds Parse against encoding/json/v2.
func FuzzParseAsReference(f *testing.F) {
	for _, s := range []string{
		comment, "", " \n", "{", `{"a"`, `{"a":`, `{"a":1`, `{"a":1,`, `{"a":1,}`, `{,}`, `{"a" 1}`, `{"a",1}`, `{"a":1 "b":2}`, `{1:2}`, `{"a":}`, `{"a":,}`,
		"[", "[1", "[1,", "[1,]", "[,]", "[1,,2]", "[1 2]", "[1:2]", "[1}", "{]", "[}", `{"a":1]`, ",", ":", " ,", "}", "]",
		"1", "-", "-x", "01", "1.", "1.x", "1e", "1e+", "1e+x", "1.5E-3", "-0.0", "+1", ".5", "1x", "n", "nu", "nulx", "true", "falsey", "NaN", "\x00", "\ufeff1",
		`"`, `"a`, `"\`, `"\x"`, `"\u`, `"\u12`, `"\u12"`, `"\u12g4"`, `"\uD83d\uDe00"`, `"\ud83d"`, `"\ude00x"`, "\"\n\"", "\"\x00", "\"\x7f\u2028é😀\"", "\"\xff\"", "\"\xed\xa0\x80\"",
		`{"a":1,"\u0061":2}`, `{"\ud800":1,"\udc00":2}`, `{"\ufffd":1,"\ud800":2}`, `{"a":{"a":1},"b":[{"a":1},{"a":1}]}`, `{"":1,"":2}`, "1 1", "{} x", "[[],{}]\t",
		manyNames(few-1) + `"n0":0}`, manyNames(few) + `"n0":0}`, manyNames(few+1) + `"n\u0031":0}`, manyNames(few+1) + `"x":0}`,
		strings.Repeat("[", MaxDepth) + strings.Repeat("]", MaxDepth), strings.Repeat("[", MaxDepth+1), strings.Repeat(`{"a":`, MaxDepth+1),
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		want := reference{jsontext.NewDecoder(bytes.NewBuffer(b), jsontext.AllowInvalidUTF8(true)), b}.check()
		n, got := Parse(b)
		switch {
		case (got == nil) != (want == nil):
			t.Fatalf("%q: got %v, the reference %v", b, got, want)
		case got == nil:
			checkText(t, n, b)
		case got.Error() != want.Error() && !errors.Is(want, errNoName):
			t.Fatalf("%q: got %v, the reference %v", b, got, want)
		}
	})
}

// checkText holds what n renders, and its size, against b without white space.
func checkText(t *testing.T, n *Node, b []byte) {
	t.Helper()
	compact := jsontext.Value(bytes.Clone(b))
	if err := compact.Compact(jsontext.AllowInvalidUTF8(true), jsontext.PreserveRawStrings(true)); err != nil {
		t.Fatalf("%q: %v", b, err)
	}
	if out := n.Append(nil); !bytes.Equal(out, compact) || n.Size() != len(out) {
		t.Fatalf("%q became %q of size %d", b, out, n.Size())
	}
}

// manyNames begins an object with n members.
func manyNames(n int) string {
	var s strings.Builder
	s.WriteByte('{')
	for i := range n {
		fmt.Fprintf(&s, `"n%d":%d,`, i, i)
	}
	return s.String()
}

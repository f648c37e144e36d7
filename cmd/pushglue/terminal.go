package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// printable returns text as it can be shown on a terminal: what would move the cursor, change
// colours or the direction of writing, or is no UTF-8, is escaped as in a Go string.
func printable(text []byte) string {
	var b strings.Builder
	for len(text) > 0 {
		r, size := utf8.DecodeRune(text)
		if r == utf8.RuneError && size == 1 || !unicode.IsGraphic(r) {
			quoted := strconv.Quote(string(text[:size]))
			b.WriteString(quoted[1 : len(quoted)-1])
		} else {
			b.Write(text[:size])
		}
		text = text[size:]
	}
	return b.String()
}

// printableJSON is v as JSON that can be shown on a terminal: what printable would escape in a
// string is escaped as JSON has it. The value is the same for programs.
func printableJSON(v any) ([]byte, error) {
	text, err := json.Marshal(v)
	b := make([]byte, 0, len(text))
	for _, r := range string(text) {
		if unicode.IsGraphic(r) {
			b = utf8.AppendRune(b, r)
			continue
		}
		for _, unit := range utf16.AppendRune(nil, r) {
			b = fmt.Appendf(b, `\u%04x`, unit)
		}
	}
	return b, err
}

// writeJSON writes v as a line of printableJSON.
func writeJSON(w io.Writer, v any) error {
	text, err := printableJSON(v)
	if err != nil {
		return err
	}
	_, err = w.Write(append(text, '\n'))
	return err
}

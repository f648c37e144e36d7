package main

import (
	"strconv"
	"strings"
	"unicode"
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

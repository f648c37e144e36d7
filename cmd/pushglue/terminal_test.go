package main

import "testing"

func TestPrintable(t *testing.T) {
	for text, want := range map[string]string{
		"Zoë & 監督 😄":          "Zoë & 監督 😄",
		"a\x1b[31mred\tb\r\n": `a\x1b[31mred\tb\r\n`,
		"\xff\u202e\u0085":    `\xff\u202e\u0085`,
		"":                    "",
	} {
		if got := printable([]byte(text)); got != want {
			t.Errorf("%q: got %s, want %s", text, got, want)
		}
	}
}

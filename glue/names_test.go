package glue_test

import (
	"strings"
	"testing"

	"pushglue/glue"
)

func TestCheckChannel(t *testing.T) {
	for _, name := range []string{
		"forum:news", "thread:17", "user:Zoë Müller", "user:אבי", "user:😀", "a.b", "x.b", "x.b3c", "b3", "ALLES", "all",
		"a%2Fb", "a+b&c=d#e", "...", strings.Repeat("x", glue.MaxChannelLen),
	} {
		if err := glue.CheckChannel(name); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
	for name, want := range map[string]string{
		"":          "channel name is empty",
		"ALL":       `channel name is the wildcard "ALL"`,
		"a/b":       "channel name contains '/'",
		"thread:*":  "channel name contains '*'",
		"who?":      "channel name contains '?'",
		".":         "channel name is a relative path",
		"..":        "channel name is a relative path",
		"a\nb":      "channel name contains the control character U+000A",
		"a\x00":     "channel name contains the control character U+0000",
		"a\u0085":   "channel name contains the control character U+0085",
		"a\u2028":   "channel name contains the control character U+2028",
		"a\xff":     "channel name is not valid UTF-8",
		"x.b3":      `channel name ends like a backtrack suffix (".b" and digits)`,
		"user:.b10": `channel name ends like a backtrack suffix (".b" and digits)`,
		strings.Repeat("x", glue.MaxChannelLen+1): "channel name has 129 bytes, more than 128",
	} {
		if err := glue.CheckChannel(name); err == nil || err.Error() != want {
			t.Errorf("%q: got %v, want %s", name, err, want)
		}
	}
}

func TestCheckToken(t *testing.T) {
	for _, s := range []string{"1", "c1042.1", "post_save", "a:b/c~!", strings.Repeat("x", glue.MaxTokenLen)} {
		if err := glue.CheckToken(s); err != nil {
			t.Errorf("%q: %v", s, err)
		}
	}
	for _, s := range []string{"", "a b", "a\n", "\x00", "é", "\x7f", strings.Repeat("x", glue.MaxTokenLen+1)} {
		if glue.CheckToken(s) == nil {
			t.Errorf("%q was accepted", s)
		}
	}
}

func TestIsPrivate(t *testing.T) {
	for name, want := range map[string]bool{
		"private:": true, "private:ann": true, "Private:ann": true, "PRIVATE:ann": true,
		"": false, "private": false, "privat:ann": false, "xprivate:ann": false, "%70rivate:ann": false, "thread:17": false,
	} {
		if got := glue.IsPrivate(name); got != want {
			t.Errorf("%q: %v", name, got)
		}
	}
}

package thoonk_test

import (
	"testing"

	"pushglue/glue/thoonk"
)

func TestNewFeedName(t *testing.T) {
	rdb := open(t, "redis://localhost")
	for name, want := range map[string]string{
		"":                    "a feed's name is empty",
		"a\x00b":              `feed "a\x00b": a name has no control characters and is valid UTF-8`,
		"a\nb":                `feed "a\nb": a name has no control characters and is valid UTF-8`,
		"a\u0085b":            `feed "a\u0085b": a name has no control characters and is valid UTF-8`,
		"a\xff":               `feed "a\xff": a name has no control characters and is valid UTF-8`,
		"comments":            "",
		"forum: Ä comments/1": "",
	} {
		feed, err := thoonk.NewFeed(rdb, name, thoonk.ThoonkPy)
		if got := errorText(err); got != want {
			t.Errorf("%q: error is %s, want %s", name, got, want)
		}
		if err == nil && feed.Name() != name {
			t.Errorf("%q: the feed's name is %q", name, feed.Name())
		}
	}
}

func TestDialect(t *testing.T) {
	for _, d := range []thoonk.Dialect{thoonk.ThoonkPy, thoonk.ThoonkJS} {
		parsed, err := thoonk.ParseDialect(d.String())
		if err != nil || parsed != d {
			t.Errorf("%s is parsed as %s, %v", d, parsed, err)
		}
	}
	_, err := thoonk.ParseDialect("python")
	const want = `unknown Thoonk dialect "python": it is thoonk.py (keys such as feed.ids:name) or thoonk.js (job.ids:name)`
	if errorText(err) != want {
		t.Errorf("error is %v, want %s", err, want)
	}
}

package file_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pushglue/glue"
	"pushglue/glue/file"
)

func publish(p *file.Publisher, bodies ...string) []error {
	batch := make([]*glue.Message, len(bodies))
	for i, body := range bodies {
		batch[i] = glue.NewMessage("id", []byte(body))
	}
	outcomes := make([]error, len(batch))
	p.Publish(context.Background(), batch, outcomes)
	return outcomes
}

func open(t *testing.T, c file.Config) *file.Publisher {
	t.Helper()
	p, err := file.New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Reopen(); err != nil {
			t.Error(err)
		}
	})
	return p
}

func content(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestOneBodyALine(t *testing.T) {
	for _, policy := range []file.Fsync{"", file.Always, file.EverySec, file.Never} {
		path := filepath.Join(t.TempDir(), "out.jsonl")
		if err := os.WriteFile(path, []byte("{\"old\":1}\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		p := open(t, file.Config{Path: path, Fsync: policy})
		for _, outcomes := range [][]error{publish(p, `{"a":1}`, `{"b":"é"}`), publish(p, `{"c":3}`)} {
			for _, err := range outcomes {
				if err != nil {
					t.Error(err)
				}
			}
		}
		if got, want := content(t, path), "{\"old\":1}\n{\"a\":1}\n{\"b\":\"é\"}\n{\"c\":3}\n"; got != want {
			t.Errorf("%q: got %q, want %q", policy, got, want)
		}
	}
}

func TestReopenFollowsARotation(t *testing.T) {
	path := filepath.Join(t.TempDir(), "out.jsonl")
	p := open(t, file.Config{Path: path})
	publish(p, "1")
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	publish(p, "2")
	if err := p.Reopen(); err != nil {
		t.Fatal(err)
	}
	publish(p, "3")
	if old, now := content(t, path+".1"), content(t, path); old != "1\n2\n" || now != "3\n" {
		t.Errorf("rotated %q, new %q", old, now)
	}
}

func TestAFailureIsForNow(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "later")
	path := filepath.Join(dir, "out.jsonl")
	p := open(t, file.Config{Path: path})
	for _, err := range publish(p, "1", "2") {
		if !errors.Is(err, glue.ErrUnavailable) || !strings.Contains(err.Error(), "no such file or directory") {
			t.Errorf("got %v", err)
		}
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := publish(p, "3")[0]; err != nil {
		t.Error(err)
	}
	if got := content(t, path); got != "3\n" {
		t.Errorf("got %q", got)
	}
}

func TestNewRefuses(t *testing.T) {
	for want, c := range map[string]file.Config{
		"path: name the file to write to":                       {},
		`fsync: "sometimes" is none of always, everysec, never`: {Path: "x", Fsync: "sometimes"},
	} {
		if _, err := file.New(c); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func TestCheck(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(dir+"/file", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		dir + "/new":    "",
		dir + "/file":   "",
		dir + "/no/new": "its directory is not there",
		dir + "/file/x": "is no directory",
		dir:             "this is a directory",
	} {
		p, err := file.New(file.Config{Path: path})
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Check(); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", path, err, want)
		}
	}
}

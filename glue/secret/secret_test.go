package secret_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pushglue/glue/secret"
)

func TestLookup(t *testing.T) {
	file := filepath.Join(t.TempDir(), "s")
	if err := os.WriteFile(file, []byte(" hidden\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	huge := filepath.Join(t.TempDir(), "huge")
	if err := os.WriteFile(huge, []byte(strings.Repeat("hidden", 20_000)), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		env        map[string]string
		text, from string
		err        string
	}{
		"variable":   {map[string]string{"S": "hidden\n"}, "hidden", "environment variable S", ""},
		"file":       {map[string]string{"S_FILE": file}, "hidden", "file " + file, ""},
		"both":       {map[string]string{"S": "hidden", "S_FILE": file}, "", "", "S and S_FILE are both set; choose one"},
		"empty too":  {map[string]string{"S": "", "S_FILE": file}, "hidden", "file " + file, ""},
		"empty file": {map[string]string{"S": "hidden", "S_FILE": ""}, "hidden", "environment variable S", ""},
		"neither":    {nil, "", "", "environment variable S is not set, nor is S_FILE"},
		"no file":    {map[string]string{"S_FILE": "no/such"}, "", "", "S_FILE: open no/such: no such file or directory"},
		"directory":  {map[string]string{"S_FILE": "."}, "", "", "S_FILE: read .: is a directory"},
		"huge":       {map[string]string{"S_FILE": huge}, "", "", "S_FILE: " + huge + " has more than 65536 bytes, which is no secret"},
	} {
		t.Run(name, func(t *testing.T) {
			for name, value := range test.env {
				t.Setenv(name, value)
			}
			text, from, err := secret.Lookup("S")
			if text != test.text || from != test.from || (err == nil) != (test.err == "") || err != nil && err.Error() != test.err {
				t.Errorf("got %q, %q, %v", text, from, err)
			}
			if errors.Is(err, secret.ErrNotSet) != (name == "neither") {
				t.Errorf("%v is ErrNotSet", err)
			}
		})
	}
}

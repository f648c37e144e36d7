package main

import (
	"regexp"
	"strings"
	"testing"
)

// TestSign signs URLs on the command line, and calls it in ways that cannot work.
func TestSign(t *testing.T) {
	key := strings.Repeat("plantedkey", 4)
	for args, test := range map[string]struct {
		key, want string // a regular expression for all output
		code      int
	}{
		"private:ann forum:news":                         {key, `/subscribe/private:ann/forum:news\?expires=\d{10}&signature=[\w-]{22}`, 0},
		"--base https://push.example.com/x/ private:ann": {key, `https://push.example.com/x/subscribe/private:ann\?expires=.*`, 0},
		"--endpoint ws --expires 10m private:ann":        {key, `/ws/private:ann\?.*`, 0},
		"--endpoint publish private:ann":                 {key, `pushglue sign: "publish" is none of subscribe, poll, ws\n.*`, 2},
		"--base push.example.com private:ann":            {key, `pushglue sign: --base: "push.example.com" is no base URL .*\n.*`, 2},
		"--expires 0s private:ann":                       {key, `pushglue sign: --expires: 0s is less than a second\n.*`, 2},
		"private:a/b":                                    {key, `pushglue sign: channel 1 of 1: channel name contains '/'\n.*`, 2},
		"private:ä":                                      {key, `pushglue sign: channel 1 of 1: channel name contains 'ä', .*\n.*`, 2},
		"":                                               {key, `pushglue sign: CHANNEL… is missing\n.*`, 2},
		"private:short":                                  {key[:12], `pushglue: environment variable PUSHGLUE_PRIVATE_KEY: the key has 12 characters, and must have 32 to 128; .*`, 1},
		"private:nokey":                                  {"", `pushglue: environment variable PUSHGLUE_PRIVATE_KEY is not set, nor is PUSHGLUE_PRIVATE_KEY_FILE`, 1},
	} {
		var settings []string
		if test.key != "" {
			settings = []string{"PRIVATE_KEY=" + test.key}
		}
		code, stdout, stderr := invoke(t, "", environment(settings...), append([]string{"sign"}, strings.Fields(args)...)...)
		if out := stdout + stderr; code != test.code || !regexp.MustCompile(`^`+test.want+`\n$`).MatchString(out) || strings.Contains(out, "planted") {
			t.Errorf("sign %s: exit code %d\n%s\nwant %d, %s", args, code, out, test.code, test.want)
		}
	}
}

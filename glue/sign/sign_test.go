package sign_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"pushglue/glue"
	"pushglue/glue/sign"
)

const key = "0123456789abcdef0123456789abcdef"

func ExampleSigner_Path() {
	signer, err := sign.New("0123456789abcdef0123456789abcdef")
	if err != nil {
		fmt.Println(err)
		return
	}
	path, err := signer.Path(sign.Subscribe, time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC), "private:ann", "forum:news")
	fmt.Println(path, err)
	// Output: /subscribe/private:ann/forum:news?expires=1893456000&signature=HU1kB7G52leNf9Q7OfM4bw <nil>
}

func TestPathRefuses(t *testing.T) {
	signer, err := sign.New(key)
	if err != nil {
		t.Fatal(err)
	}
	soon := time.Unix(1<<31, 0)
	many := strings.Split(strings.Repeat("a,", glue.MaxChannels)+"a", ",")
	for name, test := range map[string]struct {
		to       sign.Endpoint
		expires  time.Time
		channels []string
		want     string
	}{
		"no channel":     {sign.Subscribe, soon, nil, "1 to 255 channels, not for 0"},
		"many channels":  {sign.Subscribe, soon, many, "1 to 255 channels, not for 256"},
		"endpoint":       {"publish", soon, []string{"private:a"}, `"publish" is none of subscribe, poll, ws`},
		"empty name":     {sign.Poll, soon, []string{"a", ""}, "channel 2 of 2: channel name is empty"},
		"slash":          {sign.Poll, soon, []string{"private:a/b"}, `contains '/'`},
		"backtrack":      {sign.Poll, soon, []string{"private:a.b10"}, "backtrack suffix"},
		"relative path":  {sign.WebSocket, soon, []string{".."}, "relative path"},
		"wildcard":       {sign.Poll, soon, []string{"ALL"}, "wildcard"},
		"space":          {sign.Poll, soon, []string{"private:a b"}, `contains ' '`},
		"percent":        {sign.Poll, soon, []string{"private:%61"}, `contains '%'`},
		"number sign":    {sign.Poll, soon, []string{"private:a#b"}, `contains '#'`},
		"umlaut":         {sign.Poll, soon, []string{"private:ä"}, `contains 'ä'`},
		"plus":           {sign.Poll, soon, []string{"private:a+b"}, `contains '+'`},
		"zero time":      {sign.Poll, time.Time{}, []string{"private:a"}, "cannot expire in 1"},
		"line feed":      {sign.Poll, soon, []string{"private:a\n"}, "control character"},
		"ends in escape": {sign.Poll, soon, []string{"private:a%"}, `contains '%'`},
	} {
		t.Run(name, func(t *testing.T) {
			path, err := signer.Path(test.to, test.expires, test.channels...)
			if err == nil || path != "" || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %q, %v; want the error %q", path, err, test.want)
			}
		})
	}
}

func TestNewRefuses(t *testing.T) {
	for _, key := range []string{"", "secret", strings.Repeat("x", 31), strings.Repeat("x", 129), key + "\n", key + "$x", key + `"`} {
		_, err := sign.New(key)
		if err == nil {
			t.Errorf("%q is taken", key)
			continue
		}
		if key != "" && strings.Contains(err.Error(), key) {
			t.Errorf("the error quotes the key: %v", err)
		}
	}
}

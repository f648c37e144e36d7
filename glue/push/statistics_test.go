package push

import (
	"fmt"
	"maps"
	"testing"
)

// FuzzReadStatistics holds the reader of statistics to what callers rely on, whatever a host answers.
func FuzzReadStatistics(f *testing.F) {
	const end = `{"channel": "pushglue:probe", "stored_messages": 0, "subscribers": 0}`
	for _, text := range []string{
		end,
		`{"hostname": "h", "channels": 2, "infos": [` + "\r\n" + `{"channel": "a", "published_messages": 1, "stored_messages": 0, "subscribers": 3},` + end + `]}`,
		`{"infos": [{"channel": "b", "stored_messages": 2, "subscribers": 0}]}`,
		`{"infos": null}`,
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		heard := map[string]bool{probeChannel: true, "a": false, "b": true}
		before := maps.Clone(heard)
		_ = readStatistics([]byte(text), heard) // or an error: both are fine
		for name, is := range heard {
			if was, known := before[name]; !known || was && !is {
				t.Errorf("%q: %q is %t", text, name, is)
			}
		}
	})
}

// FuzzAskableNames has push-stream answer about two names as it does, without a thought for what is in
// them: each must be read with its own readers.
func FuzzAskableNames(f *testing.F) {
	f.Add("thread:1", "grüße", uint16(0), uint16(3))
	f.Add(`x", "subscribers": 0}, {"channel": "a`, "a", uint16(0), uint16(1))
	f.Add(`back\`, "\u2028", uint16(1), uint16(1))
	f.Fuzz(func(t *testing.T, a, b string, readersOfA, readersOfB uint16) {
		if !isAskable(a) || !isAskable(b) || a == b || a == probeChannel || b == probeChannel {
			return
		}
		const item = "{\"channel\": \"%s\", \"published_messages\": 0, \"stored_messages\": 0, \"subscribers\": %d}"
		text := fmt.Sprintf("{\"hostname\": \"h\", \"infos\": [\r\n"+item+",\r\n"+item+",\r\n"+item+"\r\n]}\r\n", a, readersOfA, b, readersOfB, probeChannel, 0)
		heard := map[string]bool{probeChannel: true, a: false, b: false}
		if err := readStatistics([]byte(text), heard); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if len(heard) != 3 || heard[a] != (readersOfA > 0) || heard[b] != (readersOfB > 0) {
			t.Errorf("%s: %v", text, heard)
		}
	})
}

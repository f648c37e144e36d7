package push

import (
	"fmt"
	"strings"

	"pushglue/glue"
)

// Module is the nginx module that a push host runs.
type Module string

// The modules that pushglue speaks to.
const (
	PushStream Module = "push-stream" // wandenberg/nginx-push-stream-module
	Nchan      Module = "nchan"       // slact/nchan
)

// ParseModule returns the module called name.
func ParseModule(name string) (Module, error) {
	switch m := Module(name); m {
	case PushStream, Nchan:
		return m, nil
	}
	return "", fmt.Errorf("%q is no push module; there are %s and %s", name, PushStream, Nchan)
}

// field is a line of a request's head. An empty one is not sent.
type field struct{ name, value string }

// fields returns what the head of a message's request says of it.
//
// push-stream makes EventSource's id: and event: of Event-Id and Event-Type. Nchan makes event: of
// X-EventSource-Event and always sends an id of its own, so there the id is only in the body.
// Nchan's long polling repeats the content type.
func (m Module) fields(msg *glue.Message) [4]field {
	f := [4]field{{"User-Agent", "pushglue"}, {"Event-Id", msg.ID}, {"Content-Type", "text/plain; charset=utf-8"}, {"Event-Type", msg.Type}}
	if msg.IsJSON() {
		f[2].value = "application/json"
	}
	if m == Nchan {
		f[3].name = "X-EventSource-Event"
	}
	return f
}

// appendQuery appends the query string that names the channels of a message: one POST reaches all.
// Whatever could mean something to a URL is percent-encoded, but the "/" between channels.
func appendQuery(b []byte, channels []string) []byte {
	const hex = "0123456789ABCDEF"
	b = append(b, "id="...)
	for i, name := range channels {
		if i > 0 {
			b = append(b, '/')
		}
		for _, c := range []byte(name) {
			if isPlain(c) {
				b = append(b, c)
			} else {
				b = append(b, '%', hex[c>>4], hex[c&15])
			}
		}
	}
	return b
}

// encodedLen returns how many bytes appendQuery makes of a name.
func encodedLen(name string) int {
	n := len(name)
	for _, c := range []byte(name) {
		if !isPlain(c) {
			n += len("%00") - 1
		}
	}
	return n
}

// isPlain reports whether c stands for itself in a query.
func isPlain(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' ||
		strings.IndexByte("-._~:,@!$", c) >= 0
}

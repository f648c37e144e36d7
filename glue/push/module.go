package push

import (
	"fmt"
	"net/http"
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

// header returns the request header that carries a message's id and type.
//
// push-stream makes EventSource's id: and event: of Event-Id and Event-Type. Nchan makes event: of
// X-EventSource-Event and always sends an id of its own, so there the id is only in the body.
func (m Module) header(msg *glue.Message) http.Header {
	h := http.Header{
		"User-Agent": {"pushglue"},
		// Not sent, since it is empty: it tells net/http that the request may be sent again
		// on another connection when the server closed an idle one. The message id makes that so.
		"Idempotency-Key": {},
	}
	h.Set("Event-Id", msg.ID)
	// Nchan's long polling repeats it.
	h.Set("Content-Type", "text/plain; charset=utf-8")
	if msg.Object() != nil {
		h.Set("Content-Type", "application/json")
	}
	switch {
	case msg.Type == "":
	case m == PushStream:
		h.Set("Event-Type", msg.Type)
	case m == Nchan:
		h.Set("X-EventSource-Event", msg.Type)
	}
	return h
}

// query returns the query string that names the channels of a message: one POST reaches all.
// Whatever could mean something to a URL is percent-encoded, but the "/" between channels.
func query(channels []string) string {
	var q strings.Builder
	q.WriteString("id=")
	for i, name := range channels {
		if i > 0 {
			q.WriteByte('/')
		}
		for _, c := range []byte(name) {
			if isPlain(c) {
				q.WriteByte(c)
			} else {
				fmt.Fprintf(&q, "%%%02X", c)
			}
		}
	}
	return q.String()
}

// isPlain reports whether c stands for itself in a query.
func isPlain(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' ||
		strings.IndexByte("-._~:,@!$", c) >= 0
}

package push

import (
	"hash/fnv"
	"io"
	"strconv"
	"time"

	"pushglue/glue"
)

// request is what is sent for one message: the same bytes to every host.
type request struct {
	channels []string
	head     []byte // from the query on, without the line that names the host and the empty one
	body     []byte
	has      []bool  // by the host's number: it has the message
	err      error   // why nothing is sent, or not any more
	timed    bool    // somebody wants to know when hosts answered
	times    []times // by the host's number, if it is timed
}

// times are those of one host and one request.
type times struct{ sent, answered time.Time }

// headSize is about what a head takes, in bytes.
const headSize = 256

// size returns the request's bytes, as the backlog counts them.
func (r *request) size() int { return len(r.head) + len(r.body) }

// newBatch makes the requests for messages.
func (p *Publisher) newBatch(messages []*glue.Message) *batch {
	b := &batch{requests: make([]request, len(messages)), changed: make(chan struct{}, 1)}
	heads := make([]byte, 0, len(messages)*headSize)
	for i, m := range messages {
		r := &b.requests[i]
		r.channels, r.body, r.timed = m.Channels, m.Body(), m.Receipt != nil
		if r.err = checkMessage(m); r.err != nil {
			continue
		}
		start := len(heads)
		heads = p.module.appendHead(heads, m, len(r.body))
		r.head = heads[start:len(heads):len(heads)]
		b.kept++
		b.bytes += r.size()
	}
	return b
}

// makeRoom gives a batch room for the answers of so many hosts.
func (b *batch) makeRoom(slots int) {
	b.awaited, b.missing, b.answers = make([]bool, slots), make([]int, slots), make([][]error, slots)
	for n := range slots {
		b.answers[n] = make([]error, len(b.requests))
	}
	has := make([]bool, len(b.requests)*slots)
	for i := range b.requests {
		b.requests[i].has = has[i*slots:][:slots:slots]
		if b.requests[i].timed {
			b.requests[i].times = make([]times, slots)
		}
	}
}

// expect enters that the hosts which do not have a request are to answer it.
func (b *batch) expect(index int) {
	r := &b.requests[index]
	if r.err != nil {
		return
	}
	for n, has := range r.has {
		if !has {
			b.answers[n][index] = errUnsent
			b.missing[n]++
		}
	}
}

// checkMessage returns why nothing can be sent. Id and type become part of the head, so they are looked at here
// as well, whoever calls; channels are encoded.
func checkMessage(m *glue.Message) error {
	switch {
	case len(m.Channels) == 0:
		return glue.Permanentf("message has no channel")
	case len(m.Body()) == 0:
		return glue.Permanentf("message has no body")
	}
	if err := glue.CheckToken(m.ID); err != nil {
		return glue.Permanentf("message id %w", err)
	}
	if m.Type != "" {
		if err := glue.CheckToken(m.Type); err != nil {
			return glue.Permanentf("message type %w", err)
		}
	}
	return nil
}

// connection returns which of n connections the request takes: the same for all messages with the same first
// channel.
func (r *request) connection(n int) int {
	h := fnv.New32a()
	_, _ = io.WriteString(h, r.channels[0]) // never fails
	return int(h.Sum32() % uint32(n))
}

// standsAlone reports whether nothing may be written behind the request before it is answered. push-stream
// leaves the body of a request that it refuses on the connection, and nginx takes that for the next
// request: one that may read like one must not be completed by what comes after it.
func (r *request) standsAlone() bool {
	c := r.body[0]
	return 'A' <= c && c <= 'Z' || c == '_' || c == '-'
}

// appendHead appends the request's head behind "POST /publish?", up to the lines that differ by host.
func (m Module) appendHead(b []byte, msg *glue.Message, length int) []byte {
	b = appendQuery(b, msg.Channels)
	b = append(b, " HTTP/1.1\r\n"...)
	for _, f := range m.fields(msg) {
		if f.value != "" {
			b = append(b, f.name...)
			b = append(b, ": "...)
			b = append(b, f.value...)
			b = append(b, "\r\n"...)
		}
	}
	b = append(b, "Content-Length: "...)
	b = strconv.AppendInt(b, int64(length), 10)
	return append(b, "\r\n"...)
}

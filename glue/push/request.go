package push

import (
	"errors"
	"hash/fnv"
	"io"
	"slices"
	"strconv"
	"sync"

	"pushglue/glue"
)

// request is what is sent for one message: the same bytes to every host.
type request struct {
	message *glue.Message
	head    []byte // from the query on, without the line that names the host and the empty one
	body    []byte
	has     []bool // by host: it has the message
	err     error  // why nothing can be sent
}

// headSize is about what a head takes, in bytes.
const headSize = 256

// requests are those of a batch, with the memory that they share.
type requests struct {
	list  []request
	heads []byte
	has   []bool
}

// rooms are kept for the memory of batches that are answered.
var rooms = sync.Pool{New: func() any { return new(requests) }}

// maxRoom is up to how many requests' memory is kept: what one huge batch took is not.
const maxRoom = 4096

// release gives the memory back; nothing refers to it any more.
func (r *requests) release() {
	clear(r.list)
	if cap(r.list) <= maxRoom {
		rooms.Put(r)
	}
}

// requests makes the requests of a batch. earlier are the messages' outcomes so far. The caller releases them.
func (p *Publisher) requests(batch []*glue.Message, earlier []error) *requests {
	all := rooms.Get().(*requests)
	all.list = slices.Grow(all.list[:0], len(batch))[:len(batch)]
	all.has = slices.Grow(all.has[:0], len(batch)*len(p.hosts))[:len(batch)*len(p.hosts)]
	all.heads = slices.Grow(all.heads[:0], len(batch)*headSize)
	clear(all.has)
	for i, m := range batch {
		r := &all.list[i]
		r.message, r.body = m, m.Body()
		if r.err = r.check(); r.err != nil {
			continue
		}
		start := len(all.heads)
		all.heads = p.module.appendHead(all.heads, m, len(r.body))
		r.head = all.heads[start:len(all.heads):len(all.heads)]
		r.has = all.has[i*len(p.hosts):][:len(p.hosts)]
		var partial *partialError
		if earlier[i] != nil && errors.As(earlier[i], &partial) {
			copy(r.has, partial.has)
		}
	}
	return all
}

// check returns why nothing can be sent. Id and type become part of the head, so they are looked at here
// as well, whoever calls; channels are encoded.
func (r *request) check() error {
	switch {
	case len(r.message.Channels) == 0:
		return glue.Permanentf("message has no channel")
	case len(r.body) == 0:
		return glue.Permanentf("message has no body")
	}
	if err := glue.CheckToken(r.message.ID); err != nil {
		return glue.Permanentf("message id %w", err)
	}
	if r.message.Type != "" {
		if err := glue.CheckToken(r.message.Type); err != nil {
			return glue.Permanentf("message type %w", err)
		}
	}
	return nil
}

// lane returns which of n lanes the request takes: the same for all messages with the same first channel.
func (r *request) lane(n int) int {
	h := fnv.New32a()
	_, _ = io.WriteString(h, r.message.Channels[0]) // never fails
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

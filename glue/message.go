package glue

import (
	"slices"

	"pushglue/glue/tree"
)

// Message is what a pipeline makes of a job: the same bytes for every channel, push host and reader.
//
// Its body is either plain bytes or, once the json stage has parsed it, an Object that the
// following stages read and edit. The object is rendered once, when the bytes are asked for.
type Message struct {
	ID       string   // stable over redeliveries: the envelope's id, else the job's
	Type     string   // the event's name for EventSource; may be empty
	Channels []string // where it goes; each passed CheckChannel
	Job      *Job     // what it was made of, for reading; nil if of no job

	// Receipt is for the publisher to fill in; nil if nobody asks.
	Receipt *Receipt

	body   []byte
	object *tree.Node
	parts  []*Message // what a stage made of it; nil if it stays one

	coalesced bool // the body is an array of other messages
}

// NewMessage returns a message with a plain body. It keeps body and never writes into it.
func NewMessage(id string, body []byte) *Message {
	return &Message{ID: id, body: body}
}

// Body returns the finished bytes. They belong to the message and must not be modified.
func (m *Message) Body() []byte {
	if m.body == nil && m.object != nil {
		m.body = m.object.Append(make([]byte, 0, m.object.Size()))
	}
	return m.body
}

// SetBody replaces the body by plain bytes, which the message keeps.
func (m *Message) SetBody(body []byte) {
	m.body, m.object = body, nil
}

// Object returns the parsed body for reading, or nil when there is none.
func (m *Message) Object() *tree.Node { return m.object }

// IsJSON reports whether the body is known to be JSON.
func (m *Message) IsJSON() bool { return m.object != nil || m.coalesced }

// Edit returns the parsed body for editing, or nil when there is none.
func (m *Message) Edit() *tree.Node {
	if m.object != nil {
		m.body = nil
	}
	return m.object
}

// SetObject replaces the body by a JSON object, which the message owns from then on.
func (m *Message) SetObject(object *tree.Node) {
	m.body, m.object = nil, object
}

// Split makes a stage's message into parts, which go on in its place, in this order; none are a
// drop. Each part needs an id of its own that is stable over redeliveries, and becomes one of m's job.
// The message itself may be one.
func (m *Message) Split(parts []*Message) {
	m.parts = append([]*Message{}, parts...)
	for _, part := range m.parts {
		if part != nil {
			part.Job = m.Job
			part.Channels = slices.Clip(part.Channels) // they may share room behind it
		}
	}
}

// Parts returns what the stage that had the message last has split it into; nil if it is one.
func (m *Message) Parts() []*Message { return m.parts }

// Clone returns a copy that can be edited without changing m. It shares what nobody writes into.
func (m *Message) Clone() *Message {
	c := *m
	c.Channels = slices.Clip(m.Channels)
	if m.object != nil {
		c.object = m.object.Clone()
	}
	return &c
}

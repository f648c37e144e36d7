package glue

import "context"

// Stage transforms one message. Stages are safe for concurrent use and do one thing.
//
// The error is the verdict: nil passes the message on; ErrFlag does so and is counted; ErrDrop
// filters it out; a permanent error stalls the job with its text as the reason; anything else is
// retried. Its text must not contain payload.
type Stage interface {
	Process(ctx context.Context, m *Message) error
}

// Confirmer is a Stage that is told which messages its pipeline has published, before their jobs are settled. It may
// be told so of a message more than once. An error is logged and changes no verdict. It keeps no slice.
type Confirmer interface {
	Confirm(ctx context.Context, published []*Message) error
}

// NamedStage is a stage under the name that it has in the pipelines file and in the ledger.
type NamedStage struct {
	Name string
	Stage
}

// Pipeline is a named list of stages that ends in a publisher.
type Pipeline struct {
	Name      string
	Feed      string // the feed whose jobs it gets
	Shadow    bool   // runs beside the others of its feed; its failures change no verdict
	Stages    []NamedStage
	Target    string // the publisher's name in the pipelines file
	Publisher Publisher
	Coalesce  *Coalesce // nil publishes each message by itself

	// MaxPayload is the most bytes of a job's payload; 0 for no limit. A longer one fails for good before any stage has it.
	MaxPayload int
}

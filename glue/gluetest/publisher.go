package gluetest

import (
	"context"
	"slices"
	"sync"

	"pushglue/glue"
)

// Publisher records what it is given.
type Publisher struct {
	// Outcome, if set, decides on each message before it counts as published.
	Outcome func(ctx context.Context, m *glue.Message) error

	mu        sync.Mutex
	published []*glue.Message
}

var _ glue.Publisher = (*Publisher)(nil)

// Publish implements glue.Publisher.
func (p *Publisher) Publish(ctx context.Context, batch []*glue.Message, outcomes []error) {
	for i, m := range batch {
		outcomes[i] = ctx.Err()
		if outcomes[i] == nil && p.Outcome != nil {
			outcomes[i] = p.Outcome(ctx, m)
		}
		if outcomes[i] == nil {
			p.mu.Lock()
			p.published = append(p.published, m)
			p.mu.Unlock()
		}
	}
}

// Messages returns the published messages in order.
func (p *Publisher) Messages() []*glue.Message {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.published)
}

// IDs returns the ids of the published messages in order.
func (p *Publisher) IDs() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	ids := make([]string, len(p.published))
	for i, m := range p.published {
		ids[i] = m.ID
	}
	return ids
}

package glue

import (
	"context"
	"fmt"
	"time"
)

// Coalesce makes one publish of several messages of a pipeline that go to the same channels, so that a
// hot channel costs a reader one write for all that came within a window.
//
// They travel as one message of the type CoalescedType, with the id of the last of them. Its body is a
// JSON array of objects, in order: id; type, unless it is empty; data, which is the body as JSON where it
// is a parsed object, else its text. A message that finds no company goes out as it is.
//
// The order is kept in each channel: a message joins others only if none that went to one of its
// channels since goes out later than they do.
type Coalesce struct {
	Window time.Duration // how long a message may wait for others; 0 for those of its batch only
	Count  int           // most messages of one publish
	Bytes  int           // longest body of one publish; a single message may be longer

	// Key, unless it is nil, tells what a message is about; false if about nothing. Of the messages to the
	// same channels about the same, only the newest is published: its outcome is theirs.
	Key func(m *Message) (key string, ok bool)
}

// CoalescedType is the type of a message that carries others.
const CoalescedType = "coalesced"

// DefaultCoalesce returns what an empty setting in the pipelines file selects.
func DefaultCoalesce() Coalesce {
	return Coalesce{Window: 25 * time.Millisecond, Count: 100, Bytes: 32 << 10}
}

// alone returns what only replaces messages, and lets each that is published go out by itself.
func (c *Coalesce) alone() *Coalesce {
	alone := *c
	alone.Count = 1
	return &alone
}

// publish publishes a batch as Publisher.Publish does, in groups, and returns how many of the messages
// were replaced by one that was published.
func (c *Coalesce) publish(ctx context.Context, to Publisher, batch []*Message, outcomes []error) (replaced int) {
	groups, places := c.group(batch, outcomes)
	messages, results := make([]*Message, len(groups)), make([]error, len(groups))
	for g := range groups {
		messages[g], results[g] = groups[g].message(), groups[g].earlier
	}
	shareReceipts(batch, messages, places)
	to.Publish(ctx, messages, results)

	var alone []int
	for i, g := range places {
		outcomes[i] = results[g]
		if groups[g].all > 1 && IsPermanent(results[g]) {
			alone = append(alone, i)
		}
	}
	for g := range groups {
		if results[g] == nil {
			replaced += groups[g].all - groups[g].count
		}
	}
	publishAlone(ctx, to, alone, batch, outcomes)
	return replaced
}

// shareReceipts gives messages that somebody asks about the receipts of those that are published for them. They are
// new ones: at an earlier attempt a message may have shared another's.
func shareReceipts(batch, groups []*Message, places []int) {
	renewReceipts(batch)
	for i, m := range batch {
		if m.Receipt == nil {
			continue
		}
		group := groups[places[i]]
		if group.Receipt == nil {
			group.Receipt = m.Receipt
		}
		m.Receipt = group.Receipt
	}
}

func renewReceipts(messages []*Message) {
	for _, m := range messages {
		if m.Receipt != nil {
			m.Receipt = new(Receipt)
		}
	}
}

// publishAlone publishes the messages at the given places of a batch one by one. What was refused for good
// is the fault of one of them, or of their number: the others must not stall with it.
func publishAlone(ctx context.Context, to Publisher, places []int, batch []*Message, outcomes []error) {
	if len(places) == 0 {
		return
	}
	messages, results := make([]*Message, len(places)), make([]error, len(places))
	for n, i := range places {
		messages[n], results[n] = batch[i], outcomes[i]
	}
	renewReceipts(messages)
	to.Publish(ctx, messages, results)
	for n, i := range places {
		outcomes[i] = results[n]
	}
}

// What a batch's runs are told apart by when it is published.
func isCoalesced(p *Pipeline) bool { return p.Coalesce != nil }
func isSingle(p *Pipeline) bool    { return p.Coalesce == nil }
func isAny(*Pipeline) bool         { return true }

// windowOf returns how long the messages of a feed may wait for others; 0 if none of its pipelines coalesces. They
// all wait for the run that waits longest, so it must be one window.
func windowOf(pipelines []*Pipeline) (time.Duration, error) {
	var window time.Duration
	var first *Pipeline
	for _, p := range pipelines {
		switch c := p.Coalesce; {
		case c == nil:
		case c.Count < 1 || c.Bytes < 1:
			return 0, fmt.Errorf("pipeline %s coalesces without a bound; see DefaultCoalesce", p.Name)
		case first == nil:
			first, window = p, c.Window
		case c.Window != window:
			return 0, fmt.Errorf("pipelines %s and %s of a feed coalesce in different windows, %s and %s", first.Name, p.Name, window, c.Window)
		}
	}
	return window, nil
}

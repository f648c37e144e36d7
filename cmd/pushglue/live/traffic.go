package live

import (
	"cmp"
	"context"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"pushglue/glue"
	"pushglue/glue/push"
)

// Bounds of what is counted.
const (
	mostHot  = 50   // channels that are told of
	mostKept = 256  // and remembered
	mostNew  = 4096 // and met for the first time in a second: one that is hot is among the first
)

// halfLife is how long it takes until half of a rate is that of what came since.
const halfLife = 5 * time.Second

// decay is what is left of a count after a second.
var decay = math.Exp2(-1 / halfLife.Seconds())

// Hot is a channel, and how many messages a second were published to it of late.
type Hot struct {
	Channel   string  `json:"channel"`
	PerSecond float64 `json:"perSecond"`
}

// Traffic tells which channels are hot.
type Traffic struct {
	Daemon string `json:"daemon"` // which one counted: several tell on the same channel
	Hot    []Hot  `json:"hot"`    // the hottest first
}

// Counting counts the messages of channels, in bounded memory. It is safe for concurrent use.
type Counting struct {
	prefixes []string

	mu   sync.Mutex
	kept map[string]*float64 // by channel: older messages count less
	met  map[string]float64  // in this second, for the first time
}

// Count has what pipelines publish to push hosts counted, on channels whose names begin with one of prefixes; shadows do not count.
func Count(pipelines []glue.Pipeline, prefixes []string) *Counting {
	c := newCounting(prefixes)
	for i := range pipelines {
		p := &pipelines[i]
		if to, is := p.Publisher.(*push.Publisher); is && !p.Shadow && len(prefixes) > 0 {
			p.Publisher = counted{to, c}
		}
	}
	return c
}

func newCounting(prefixes []string) *Counting {
	return &Counting{prefixes: prefixes, kept: map[string]*float64{}, met: map[string]float64{}}
}

// note counts a batch that was published.
func (c *Counting) note(batch []*glue.Message, outcomes []error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, m := range batch {
		if outcomes[i] != nil {
			continue
		}
		for _, channel := range m.Channels {
			if c.counts(channel) {
				c.add(channel)
			}
		}
	}
}

// counts reports whether a channel may be told of: the name of a private one is nobody's business.
func (c *Counting) counts(channel string) bool {
	return slices.ContainsFunc(c.prefixes, func(prefix string) bool { return strings.HasPrefix(channel, prefix) }) && !glue.IsPrivate(channel)
}

func (c *Counting) add(channel string) {
	if n := c.kept[channel]; n != nil { // as most are: they are looked up once
		*n++
		return
	}
	if n, known := c.met[channel]; known || len(c.met) < mostNew {
		if !known {
			channel = strings.Clone(channel) // it may be a part of something large
		}
		c.met[channel] = n + 1
	}
}

// tick ends a second. What was met is kept if it is among the hottest.
func (c *Counting) tick() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for channel, n := range c.met {
		c.kept[channel] = &n
	}
	clear(c.met)
	for channel, n := range c.kept {
		if *n *= decay; *n < 0.1 {
			delete(c.kept, channel)
		}
	}
	for _, h := range c.sorted()[min(mostKept, len(c.kept)):] {
		delete(c.kept, h.Channel)
	}
}

// hot returns the hottest channels.
func (c *Counting) hot() []Hot {
	c.mu.Lock()
	defer c.mu.Unlock()
	list := c.sorted()
	list = list[:min(len(list), mostHot)]
	for i := range list {
		// A steady rate of one a second adds up to decay/(1-decay).
		list[i].PerSecond = math.Round(list[i].PerSecond*(1-decay)/decay*100) / 100
	}
	return list
}

// sorted returns the counts, the highest first. The caller holds c.mu.
func (c *Counting) sorted() []Hot {
	list := make([]Hot, 0, len(c.kept))
	for channel, n := range c.kept {
		list = append(list, Hot{channel, *n})
	}
	slices.SortFunc(list, func(a, b Hot) int {
		return cmp.Or(cmp.Compare(b.PerSecond, a.PerSecond), cmp.Compare(a.Channel, b.Channel))
	})
	return list
}

// counted is a publisher whose messages are counted.
type counted struct {
	glue.Publisher
	counting *Counting
}

// Publish implements glue.Publisher.
func (p counted) Publish(ctx context.Context, batch []*glue.Message, outcomes []error) {
	p.Publisher.Publish(ctx, batch, outcomes)
	p.counting.note(batch, outcomes)
}

package stages

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"pushglue/glue"
)

// Darkesttime sends messages to one channel and to no other, where nobody but those who test
// listens.
type Darkesttime struct {
	channels []string
}

var (
	_ glue.Stage    = (*Darkesttime)(nil)
	_ ChannelGiver  = (*Darkesttime)(nil)
	_ ChannelKeeper = (*Darkesttime)(nil)
)

type darkesttimeOptions struct {
	Channel string `yaml:"channel"`
}

func newDarkesttime(options Options) (glue.Stage, error) {
	var o darkesttimeOptions
	if err := options(&o); err != nil {
		return nil, err
	}
	if o.Channel == "" {
		return nil, errors.New("channel: name one")
	}
	if err := glue.CheckChannel(o.Channel); err != nil {
		return nil, fmt.Errorf("channel: %q: %w", o.Channel, err)
	}
	if strings.ContainsAny(o.Channel, "{}") {
		return nil, fmt.Errorf("channel: %q: this is one channel for all messages, and no template", o.Channel)
	}
	return &Darkesttime{[]string{o.Channel}}, nil
}

// GivesChannels implements ChannelGiver.
func (d *Darkesttime) GivesChannels() {}

// KeepsChannels implements ChannelKeeper.
func (d *Darkesttime) KeepsChannels() {}

// Process implements glue.Stage.
func (d *Darkesttime) Process(_ context.Context, m *glue.Message) error {
	m.Channels = d.channels
	return nil
}

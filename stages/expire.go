package stages

import (
	"context"
	"errors"
	"time"

	"pushglue/glue"
)

// Expire drops messages whose job waited too long on its feed.
type Expire struct {
	after time.Duration
}

// Divert sends messages whose job waited too long on its feed to other channels than theirs.
type Divert struct {
	Expire
	elsewhere Route
}

var (
	_ glue.Stage     = (*Expire)(nil)
	_ glue.Stage     = (*Divert)(nil)
	_ ObjectUser     = (*Divert)(nil)
	_ ChannelChanger = (*Divert)(nil)
	_ ChannelKeeper  = (*Divert)(nil)
)

type expireOptions struct {
	After  string   `yaml:"after"`
	Divert []string `yaml:"divert"`
}

func newExpire(options Options) (glue.Stage, error) {
	var o expireOptions
	if err := options(&o); err != nil {
		return nil, err
	}
	if o.After == "" {
		return nil, errors.New("after: say how long a job may wait, such as 10m")
	}
	after, err := parseDuration("after", o.After)
	if err != nil || o.Divert == nil {
		return &Expire{after}, err
	}
	d := &Divert{Expire: Expire{after}, elsewhere: Route{failInvalid: true}}
	return d, d.elsewhere.to("divert", o.Divert)
}

// Process implements glue.Stage.
func (e *Expire) Process(_ context.Context, m *glue.Message) error {
	if e.isLate(m) {
		return glue.Drop("its job waited longer than " + e.after.String())
	}
	return nil
}

func (e *Expire) isLate(m *glue.Message) bool {
	return m.Job != nil && m.Job.Waited > e.after
}

// NeedsObject implements ObjectUser.
func (d *Divert) NeedsObject() bool { return d.elsewhere.dynamic }

// ChangesChannels implements ChannelChanger.
func (d *Divert) ChangesChannels() {}

// KeepsChannels implements ChannelKeeper: what is late must not reach the channels of a stage behind it.
func (d *Divert) KeepsChannels() {}

// Process implements glue.Stage. The templates are Route's: a channel is skipped where a value is missing, and a late
// message without any channel is dropped.
func (d *Divert) Process(ctx context.Context, m *glue.Message) error {
	if !d.isLate(m) {
		return nil
	}
	m.Channels = nil
	return d.elsewhere.Process(ctx, m)
}

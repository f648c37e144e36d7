package stages

import (
	"context"
	"errors"
	"fmt"
	"time"

	"pushglue/glue"
)

// Dedupe drops messages whose id its pipeline has published within a window. It loses none: a message of a job that
// comes again before it was published passes.
type Dedupe struct {
	window time.Duration
	memory Memory // nil remembers nothing
}

// Standing is how a message stands with the memory of a pipeline.
type Standing uint8

const (
	// New is a message that nobody has published, and that is the asking job's from now on.
	New Standing = iota
	// Published is a message that was published within the window.
	Published
	// OnItsWay is a message that another job is about to publish.
	OnItsWay
)

// Memory remembers the messages of one pipeline by their ids. It is safe for concurrent use.
type Memory interface {
	// Begin tells how a message stands that a job is about to publish. What a job has begun is its own for a
	// bounded time, however often it begins it.
	Begin(ctx context.Context, id, job string) (Standing, error)

	// Done remembers for the window that the messages are published.
	Done(ctx context.Context, ids []string, window time.Duration) error
}

var (
	_ glue.Stage     = (*Dedupe)(nil)
	_ glue.Confirmer = (*Dedupe)(nil)
	_ Unshared       = (*Dedupe)(nil)
	_ LastStage      = (*Dedupe)(nil)
)

type dedupeOptions struct {
	Window string `yaml:"window"`
}

const minDedupeWindow = time.Second

func newDedupe(options Options) (glue.Stage, error) {
	var o dedupeOptions
	if err := options(&o); err != nil {
		return nil, err
	}
	if o.Window == "" {
		return nil, errors.New("window: say how long to remember what was published, such as 10m")
	}
	window, err := parseDuration("window", o.Window)
	if err == nil && window < minDedupeWindow {
		err = fmt.Errorf("window: %s is less than %s", window, minDedupeWindow)
	}
	return &Dedupe{window: window}, err
}

// Remember gives d a memory, before it is used. Without one it passes everything.
func (d *Dedupe) Remember(memory Memory) { d.memory = memory }

// Unshared implements Unshared: what one pipeline has published, another has not.
func (d *Dedupe) Unshared() {}

// StandsLast implements LastStage: what is dropped behind it would be remembered as on its way, and an id that is
// made behind it not at all.
func (d *Dedupe) StandsLast() {}

// Process implements glue.Stage. When the memory does not answer, or another job has begun to publish the
// same message, it is unavailable: the job waits until that is clear, without an attempt.
func (d *Dedupe) Process(ctx context.Context, m *glue.Message) error {
	if d.memory == nil || m.Job == nil {
		return nil
	}
	standing, err := d.memory.Begin(ctx, m.ID, m.Job.ID)
	switch {
	case err != nil:
		return fmt.Errorf("%w: %w", glue.ErrUnavailable, err)
	case standing == Published:
		return glue.Drop("its id was published already")
	case standing == OnItsWay:
		return fmt.Errorf("%w: another job has begun to publish this id", glue.ErrUnavailable)
	}
	return nil
}

// Confirm implements glue.Confirmer.
func (d *Dedupe) Confirm(ctx context.Context, published []*glue.Message) error {
	if d.memory == nil {
		return nil
	}
	ids := make([]string, len(published))
	for i, m := range published {
		ids[i] = m.ID
	}
	return d.memory.Done(ctx, ids, d.window)
}

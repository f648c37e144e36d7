package stages

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"pushglue/glue"
)

// Route adds channels to a message, made from templates. A channel is added once.
type Route struct {
	channels    []template
	failMissing bool // when a value is missing; else the channel is skipped
	failInvalid bool // when a name is one that no channel may have; else the channel is skipped
	dynamic     bool
	size        int // of all names, likely
}

var (
	_ glue.Stage   = (*Route)(nil)
	_ ObjectUser   = (*Route)(nil)
	_ ChannelGiver = (*Route)(nil)
)

type routeOptions struct {
	Channels []string `yaml:"channels"`
	Missing  string   `yaml:"missing"`
	Invalid  string   `yaml:"invalid"`
}

func newRoute(options Options) (glue.Stage, error) {
	o := routeOptions{Missing: "skip", Invalid: "fail"}
	if err := options(&o); err != nil {
		return nil, err
	}
	switch {
	case o.Missing != "skip" && o.Missing != "fail":
		return nil, fmt.Errorf("missing: %q is neither skip nor fail", o.Missing)
	case o.Invalid != "skip" && o.Invalid != "fail":
		return nil, fmt.Errorf("invalid: %q is neither skip nor fail", o.Invalid)
	}
	r := &Route{failMissing: o.Missing == "fail", failInvalid: o.Invalid == "fail"}
	if err := r.to("channels", o.Channels); err != nil {
		return nil, err
	}
	return r, nil
}

// to sets the templates, which an option names.
func (r *Route) to(option string, sources []string) error {
	switch {
	case len(sources) == 0:
		return fmt.Errorf("%s: name at least one", option)
	case len(sources) > glue.MaxChannels:
		return fmt.Errorf("%s: %d are more than %d", option, len(sources), glue.MaxChannels)
	}
	for _, source := range sources {
		t, err := parseTemplate(source)
		if err != nil {
			return fmt.Errorf("%s: %w", option, err)
		}
		if err := glue.CheckChannel(t.sample()); err != nil {
			return fmt.Errorf("%s: %q: %w", option, source, err)
		}
		r.dynamic = r.dynamic || !t.isConstant()
		r.size += t.size()
		r.channels = append(r.channels, t)
	}
	return nil
}

// checkChannel reports why the template may not name this channel; nil if it may. What a template's author
// has not called private does not become so by a value: messages there count as meant for this reader alone.
func (t *template) checkChannel(name string) error {
	if err := glue.CheckChannel(name); err != nil {
		return err
	}
	if glue.IsPrivate(name) && !glue.IsPrivate(t.parts[0].text) {
		return errors.New("channel name is private, and the template does not begin so")
	}
	return nil
}

// NeedsObject implements ObjectUser.
func (r *Route) NeedsObject() bool { return r.dynamic }

// GivesChannels implements ChannelGiver.
func (r *Route) GivesChannels() {}

// Process implements glue.Stage. Unless the options say otherwise, a name that no channel may
// have is a permanent error, and a missing value is none. A message without any channel is dropped.
func (r *Route) Process(_ context.Context, m *glue.Message) error {
	channels := make([]string, 0, len(m.Channels)+len(r.channels))
	channels = append(channels, m.Channels...)
	var names strings.Builder
	names.Grow(r.size)
	for i := range r.channels {
		t := &r.channels[i]
		name, ok, err := t.render(&names, m.Object())
		switch {
		case err != nil:
			return err
		case !ok && r.failMissing:
			return glue.Permanentf("%q: a value is missing", t.source)
		case !ok:
			continue
		}
		if err := t.checkChannel(name); err != nil {
			if r.failInvalid {
				return glue.Permanentf("%q: %w", t.source, err)
			}
			continue
		}
		if !slices.Contains(channels, name) {
			channels = append(channels, name)
		}
	}
	if len(channels) == 0 {
		return glue.Drop("it has no channel")
	}
	if len(channels) > glue.MaxChannels {
		return glue.Permanentf("%d channels are more than %d", len(channels), glue.MaxChannels)
	}
	m.Channels = channels
	return nil
}

package stages

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"

	"pushglue/glue"
	"pushglue/glue/tree"
)

// Darktime passes a share of the messages and drops the rest. Who is in depends on a value of the
// message alone, so that it is the same in every process and on every machine, and who is in with
// a small share is in with a greater one.
type Darktime struct {
	by    tree.Path       // nil is the message's id
	sites map[string]bool // the values that are in; nil if share decides
	share float64         // 0 to 1
}

var (
	_ glue.Stage = (*Darktime)(nil)
	_ ObjectUser = (*Darktime)(nil)
)

type darktimeOptions struct {
	Percent *float64 `yaml:"percent"`
	Sites   []any    `yaml:"sites"`
	By      string   `yaml:"by"`
}

func newDarktime(options Options) (glue.Stage, error) {
	var o darktimeOptions
	if err := options(&o); err != nil {
		return nil, err
	}
	if (o.Percent == nil) == (o.Sites == nil) {
		return nil, errors.New("give either percent or sites")
	}
	var d Darktime
	var err error
	if o.By != "" {
		if d.by, err = tree.ParsePath(o.By); err != nil {
			return nil, fmt.Errorf("by: %q: %w", o.By, err)
		}
	}
	if o.Percent == nil {
		d.sites, err = parseSites(o)
	} else {
		d.share, err = parsePercent(*o.Percent)
	}
	if err != nil {
		return nil, err
	}
	return &d, nil
}

func parsePercent(percent float64) (share float64, err error) {
	if !(percent >= 0 && percent <= 100) { // which NaN is not either
		return 0, fmt.Errorf("percent: %v is not between 0 and 100", percent)
	}
	return percent / 100, nil
}

func parseSites(o darktimeOptions) (map[string]bool, error) {
	if len(o.Sites) == 0 {
		return nil, errors.New("sites: name at least one")
	}
	if o.By == "" {
		return nil, errors.New("by: name the path whose value is the site")
	}
	sites := map[string]bool{}
	for _, site := range o.Sites {
		// A number could be written in many ways, and YAML would read 010 as 8.
		text, ok := site.(string)
		if !ok || text == "" {
			return nil, fmt.Errorf("sites: %v is not a text; put it in quotes", site)
		}
		sites[text] = true
	}
	return sites, nil
}

// NeedsObject implements ObjectUser.
func (d *Darktime) NeedsObject() bool { return d.by != nil }

// Process implements glue.Stage. A message without the value is dropped; one with an object or
// array in its place is a permanent error.
func (d *Darktime) Process(_ context.Context, m *glue.Message) error {
	text, err := d.value(m)
	if err != nil {
		return err
	}
	if text == "" {
		return glue.Drop("it has no " + d.by.String())
	}
	in := d.sites[text]
	if d.sites == nil {
		in = fraction(text) < d.share
	}
	if !in {
		return glue.Drop("not in the share")
	}
	return nil
}

// value returns the text that decides; empty if it is missing or null.
func (d *Darktime) value(m *glue.Message) (string, error) {
	if d.by == nil {
		return m.ID, nil
	}
	value := m.Object().Get(d.by)
	if value == nil || value.Kind() == tree.Null {
		return "", nil
	}
	text, ok := value.Text()
	if !ok {
		return "", glue.Permanentf("by: %s is an %s, not text", d.by, value.Kind())
	}
	return text, nil
}

// fraction maps a text to a number from 0 to below 1, evenly. Other versions must not map it to
// another one.
func fraction(text string) float64 {
	sum := sha256.Sum256([]byte(text))
	// A float64 holds 53 of the first 64 bits without rounding up to 1.
	return float64(binary.BigEndian.Uint64(sum[:])>>11) / (1 << 53)
}

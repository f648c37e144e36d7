package pipelines

import (
	"cmp"
	"slices"
	"time"

	"github.com/goccy/go-yaml/ast"

	"pushglue/glue"
	"pushglue/stages"
)

// Bounds of what a pipeline may say of coalescing.
const (
	minWindow, maxWindow = time.Millisecond, time.Second // a message waits for others as long
	minCount, maxCount   = 2, 1000
	minBytes, maxBytes   = 1 << 10, 64 << 10 // the shipped nginx takes no longer body
)

// coalesce reads how a pipeline coalesces what comes from the end of its stages; nil if it does not.
func (f *file) coalesce(node ast.Node, end *sequence, to glue.Publisher) *glue.Coalesce {
	if node == nil {
		return nil
	}
	if _, channels := to.(ChannelUser); to != nil && !channels {
		f.fail(node, "coalesce needs a publisher that sends to channels, such as push")
	}
	fields := f.fields(node, "window", "count", "bytes", "latest")
	c := glue.DefaultCoalesce()
	f.duration(fields["window"], "window", &c.Window)
	f.decode(fields["count"], &c.Count)
	f.decode(fields["bytes"], &c.Bytes)
	within(f, fields["window"], "window", c.Window, minWindow, maxWindow)
	within(f, fields["count"], "count", c.Count, minCount, maxCount)
	within(f, fields["bytes"], "bytes", c.Bytes, minBytes, maxBytes)
	c.Key = f.latest(fields["latest"], end)
	return &c
}

// duration decodes a duration. The YAML library would take a number for nanoseconds.
func (f *file) duration(node ast.Node, what string, into *time.Duration) {
	if node == nil {
		return
	}
	d, err := time.ParseDuration(node.GetToken().Value)
	if err != nil {
		f.fail(node, "%s: want a duration such as 25ms", what)
		return
	}
	*into = d
}

// within notes an error when the value at node is out of bounds. A missing one is not.
func within[T cmp.Ordered](f *file, node ast.Node, what string, value, least, most T) {
	if node != nil && (value < least || value > most) {
		f.fail(node, "%s: %v is not from %v to %v", what, value, least, most)
	}
}

// latest reads the template that gives a message's key; nil if there is none.
func (f *file) latest(node ast.Node, end *sequence) func(*glue.Message) (string, bool) {
	if node == nil {
		return nil
	}
	before := len(f.errs)
	source := f.word(node)
	if len(f.errs) > before {
		return nil
	}
	key, needsObject, err := stages.ParseLatest(source)
	switch {
	case err != nil:
		f.fail(node, "latest: %w", err)
	case needsObject && end.taker != "":
		f.fail(node, "latest reads a JSON object, and the stage %s leaves none", end.taker)
	case needsObject && !end.hasObject:
		f.fail(node, "latest reads a JSON object: it needs the stage json")
	}
	return key
}

// checkWindows makes sure that the window of a pipeline is what the file says: a feed has only one, for all of its
// batch waits for the pipeline that waits longest. Shadows have none.
func (f *file) checkWindows(list *ast.SequenceNode, pipelines []glue.Pipeline) {
	first := map[string]*glue.Pipeline{} // by feed
	for i := range pipelines {
		p := &pipelines[i]
		if p.Coalesce == nil || p.Shadow {
			continue
		}
		other := first[p.Feed]
		switch {
		case other == nil:
			first[p.Feed] = p
		case p.Coalesce.Window != other.Coalesce.Window:
			f.fail(list.Values[i], "pipelines %q and %q are of one feed: their windows must be the same, not %s and %s",
				other.Name, p.Name, other.Coalesce.Window, p.Coalesce.Window)
		}
	}
}

// hasBare reports whether a mapping has this key without a value, which is as good as left out: somebody may
// have meant the defaults.
func hasBare(node ast.Node, key string) bool {
	return slices.ContainsFunc(pairsOf(node), func(pair *ast.MappingValueNode) bool {
		return pair.Key.GetToken().Value == key && pair.Value.Type() == ast.NullType
	})
}

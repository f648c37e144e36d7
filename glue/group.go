package glue

import (
	"errors"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// group is what is published at once.
type group struct {
	set         string   // its channels
	first, last *Message // of those that it carries
	count       int      // of those
	all         int      // and of those that they replaced
	body        []byte   // once there are two; without the bracket at the end
	earlier     error    // its previous outcome
}

// errRegrouped is the previous outcome of messages that had several.
var errRegrouped = errors.New("tried in other groups")

// grouping is the work of putting a batch into groups.
type grouping struct {
	*Coalesce
	groups []group
	latest map[string]int // by channel: the last group that goes there
}

// group puts the messages of a batch, whose outcomes so far are earlier, into groups in the order in which they
// are to be published. places tells for each message the group that has it, or the one that replaced it.
func (c *Coalesce) group(batch []*Message, earlier []error) (groups []group, places []int) {
	w := grouping{Coalesce: c, latest: map[string]int{}}
	sets := make([]string, len(batch))
	for i, m := range batch {
		sets[i] = channelSet(m.Channels)
	}
	heirs := c.heirs(batch, sets)
	places = make([]int, len(batch))
	for i, m := range batch {
		if heirs[i] == i {
			places[i] = w.add(m, sets[i], earlier[i])
		}
	}
	for i := range batch {
		places[i] = places[heirs[i]]
		w.groups[places[i]].all++
	}
	return w.groups, places
}

// channelSet returns a text that is the same for the same set of channels; no name has a "/".
func channelSet(names []string) string {
	if len(names) == 1 {
		return names[0]
	}
	set := slices.Clone(names)
	slices.Sort(set)
	return strings.Join(slices.Compact(set), "/")
}

// heirs returns for each message of a batch the place of the one that is published for it: the newest
// about the same in the same channels. It keeps that one's place, so that nothing changes its order.
func (c *Coalesce) heirs(batch []*Message, sets []string) []int {
	type subject struct{ set, key string }
	heirs := make([]int, len(batch))
	newest := map[subject]int{}
	for i, m := range slices.Backward(batch) {
		heirs[i] = i
		if c.Key == nil {
			continue
		}
		key, ok := c.Key(m)
		if !ok {
			continue
		}
		about := subject{sets[i], key}
		if heir, found := newest[about]; found {
			heirs[i] = heir
		} else {
			newest[about] = i
		}
	}
	return heirs
}

// add puts m into the last group of its channels, if that is the same one for all of them, goes to no others, and has
// room; else into a new one. It returns the group's place.
func (w *grouping) add(m *Message, set string, earlier error) int {
	if g := w.lastOf(m.Channels); g >= 0 && w.groups[g].set == set && w.groups[g].take(m, w.Coalesce) {
		w.groups[g].remember(earlier)
		return g
	}
	g := len(w.groups)
	w.groups = append(w.groups, group{set: set, first: m, last: m, count: 1, earlier: earlier})
	for _, name := range m.Channels {
		w.latest[name] = g
	}
	return g
}

// lastOf returns the last group that goes to any of the channels, if it is the last one of each; else -1.
func (w *grouping) lastOf(names []string) int {
	last := -1
	for i, name := range names {
		g, found := w.latest[name]
		if !found || i > 0 && g != last {
			return -1
		}
		last = g
	}
	return last
}

// take adds m to g if there is room, and reports whether it did.
func (g *group) take(m *Message, c *Coalesce) bool {
	if g.count >= c.Count {
		return false
	}
	if g.body == nil {
		g.body = appendEntry([]byte{'['}, g.first)
	}
	before := len(g.body)
	g.body = appendEntry(append(g.body, ','), m)
	if len(g.body)+len("]") > c.Bytes {
		g.body = g.body[:before]
		return false
	}
	g.last = m
	g.count++
	return true
}

// remember takes the previous outcome of one more message into account. Only if it is the very same for all
// does it say something about the group, such as which hosts have it.
func (g *group) remember(earlier error) {
	if !errors.Is(earlier, g.earlier) || !errors.Is(g.earlier, earlier) {
		g.earlier = errRegrouped
	}
}

// message returns what is published. Its id is that of the last message, so that a reader that comes
// back gets what follows it.
func (g *group) message() *Message {
	if g.count == 1 {
		return g.first
	}
	return &Message{
		ID: g.last.ID, Type: CoalescedType, Channels: g.first.Channels,
		body: append(g.body, ']'), coalesced: true,
	}
}

// appendEntry appends what a group's body has of m. The names are those of EventSource's events.
func appendEntry(b []byte, m *Message) []byte {
	b = appendQuoted(append(b, `{"id":`...), m.ID)
	if m.Type != "" {
		b = appendQuoted(append(b, `,"type":`...), m.Type)
	}
	b = append(b, `,"data":`...)
	if m.Object() != nil {
		b = append(b, m.Body()...)
	} else {
		b = appendQuoted(b, m.Body())
	}
	return append(b, '}')
}

// appendQuoted appends text as a JSON string on one line.
func appendQuoted[T ~[]byte | ~string](b []byte, text T) []byte {
	// The only error is invalid UTF-8, which a message that is published has not.
	b, _ = jsontext.AppendQuote(b, text)
	return b
}

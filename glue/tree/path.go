package tree

import (
	"errors"
	"slices"
	"strings"
)

// Path names a value in an object by the names of the members that lead to it.
// It goes into arrays: after an array, the next name is looked up in each of its elements.
type Path []string

// ParsePath parses a dotted path such as "author.email". A dot or backslash that belongs to a
// name is written with a backslash before it.
func ParsePath(s string) (Path, error) {
	var p Path
	var name strings.Builder
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\' && i+1 < len(s) && (s[i+1] == '.' || s[i+1] == '\\'):
			i++
			name.WriteByte(s[i])
		case c == '.':
			p = append(p, name.String())
			name.Reset()
		default:
			name.WriteByte(c)
		}
	}
	p = append(p, name.String())
	if slices.Contains(p, "") {
		return nil, errors.New("path has an empty name in it")
	}
	return p, nil
}

// String returns the path as ParsePath reads it.
func (p Path) String() string {
	names := make([]string, len(p))
	for i, name := range p {
		names[i] = strings.NewReplacer(`\`, `\\`, `.`, `\.`).Replace(name)
	}
	return strings.Join(names, ".")
}

// Get returns the value at p, or nil if there is none. It does not enter arrays, where a path
// has no single value. The result stays valid until the next edit.
func (n *Node) Get(p Path) *Node {
	for _, name := range p {
		i := n.index(name)
		if i < 0 {
			return nil
		}
		n = &n.members[i].value
	}
	return n
}

// index returns the place of the member called name, or -1.
func (n *Node) index(name string) int {
	if n.kind != Object {
		return -1
	}
	return indexOf(n.members, name)
}

func indexOf(members []member, name string) int {
	for i := range members {
		if members[i].name == name {
			return i
		}
	}
	return -1
}

// parents calls fn for every object that may hold the last name of p.
func (n *Node) parents(p Path, fn func(*Node)) {
	if n.kind == Array {
		for i := range n.members {
			n.members[i].value.parents(p, fn)
		}
		return
	}
	if len(p) == 1 {
		fn(n)
		return
	}
	if i := n.index(p[0]); i >= 0 {
		n.members[i].value.parents(p[1:], fn)
	}
}

// Each calls fn for every value at p, in arrays too. Where p leads to an array, fn gets
// its elements. fn may replace the value it is given.
func (n *Node) Each(p Path, fn func(*Node)) {
	n.parents(p, func(parent *Node) {
		if i := parent.index(p[len(p)-1]); i >= 0 {
			parent.members[i].value.elements(fn)
		}
	})
}

func (n *Node) elements(fn func(*Node)) {
	if n.kind != Array {
		fn(n)
		return
	}
	for i := range n.members {
		n.members[i].value.elements(fn)
	}
}

// Delete removes what is at p, in arrays too.
func (n *Node) Delete(p Path) {
	n.parents(p, func(parent *Node) {
		if i := parent.index(p[len(p)-1]); i >= 0 {
			parent.members = slices.Delete(parent.members, i, i+1)
		}
	})
}

// Rename gives what is at p another name in its object, in arrays too.
// A member that had that name is replaced.
func (n *Node) Rename(p Path, name string) {
	n.parents(p, func(parent *Node) {
		if parent.index(p[len(p)-1]) < 0 || p[len(p)-1] == name {
			return
		}
		parent.Delete(Path{name})
		m := &parent.members[parent.index(p[len(p)-1])]
		*m = newMember(name, m.value)
	})
}

// Obstructs reports whether a path cannot be followed because a string, number or bool stands
// where an object should: there is no such place, but there may be what was meant.
func (n *Node) Obstructs(p Path) bool {
	switch n.kind {
	case Array:
		return slices.ContainsFunc(n.members, func(m member) bool { return m.value.Obstructs(p) })
	case Object:
		i := n.index(p[0])
		return i >= 0 && len(p) > 1 && n.members[i].value.Obstructs(p[1:])
	}
	return n.kind != Null
}

// Keep removes everything from an object, or from the objects of an array, but what is at one of
// the paths. What stands where a path leads further, and is no object or array, goes too.
// The order stays.
func (n *Node) Keep(paths []Path) {
	var room [8]Path // on the stack, enough for most
	kept := n.members[:0]
	for i := range n.members {
		m := &n.members[i]
		rest, named := paths, true
		if n.kind == Object {
			rest, named = below(room[:0], paths, m.name)
		}
		if !named || len(rest) > 0 && m.value.kind != Object && m.value.kind != Array {
			continue
		}
		if len(rest) > 0 {
			m.value.Keep(rest)
		}
		kept = append(kept, *m)
	}
	clear(n.members[len(kept):])
	n.members = kept
}

// below appends to rest what the paths that begin with name say about its inside, nothing when one of
// them takes it whole, and reports whether there is such a path.
func below(rest, paths []Path, name string) (inside []Path, named bool) {
	for _, p := range paths {
		switch {
		case p[0] != name:
		case len(p) == 1:
			return nil, true
		default:
			rest = append(rest, p[1:])
		}
	}
	return rest, len(rest) > 0
}

// Set gives an object a member called name, at the place of the one that had the name, or
// else at the front.
func (n *Node) Set(name string, value Node) {
	if i := n.index(name); i >= 0 {
		n.members[i].value = value
		return
	}
	n.members = slices.Insert(n.members, 0, newMember(name, value))
}

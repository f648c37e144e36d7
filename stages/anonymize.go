package stages

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"sync"

	"pushglue/glue"
	"pushglue/glue/tree"
)

// Anonymize removes fields, and replaces others by a pseudonym: a keyed HMAC-SHA-256, so that
// one person keeps one pseudonym wherever the same value stands, and nobody without the key
// can tell which.
type Anonymize struct {
	drop, hash []tree.Path
	prefix     string    // the key's id and "-"
	scribes    sync.Pool // of *scribe; they have the key
}

// scribe writes pseudonyms, one at a time. Making it costs more than what it does: the MAC mixes in its key.
type scribe struct {
	mac hash.Hash
	buf []byte // what it reads and writes; nothing outside points into it
}

var (
	_ glue.Stage = (*Anonymize)(nil)
	_ ObjectUser = (*Anonymize)(nil)
)

// defaultAnonymizeKey is the environment variable that holds the key if the options name no other.
const defaultAnonymizeKey = "PUSHGLUE_ANONYMIZE_KEY"

// pseudonymLen is the length of a pseudonym in bytes, before it is written in hex: 128 bits
// keep collisions out of reach.
const pseudonymLen = 16

type anonymizeOptions struct {
	Drop []string   `yaml:"drop"`
	Hash []string   `yaml:"hash"`
	Key  keyOptions `yaml:"key"`
}

func newAnonymize(options Options) (glue.Stage, error) {
	var o anonymizeOptions
	if err := options(&o); err != nil {
		return nil, err
	}
	if len(o.Drop)+len(o.Hash) == 0 {
		return nil, errors.New("name at least one path under drop or hash")
	}
	var a Anonymize
	var err error
	if a.drop, err = parsePaths("drop", o.Drop); err != nil {
		return nil, err
	}
	if a.hash, err = parsePaths("hash", o.Hash); err != nil {
		return nil, err
	}
	if err := errors.Join(refuseID("drop", a.drop), refuseID("hash", a.hash)); err != nil {
		return nil, err
	}
	if err := errors.Join(refuseEvent("drop", a.drop), refuseEvent("hash", a.hash)); err != nil {
		return nil, err
	}
	if len(a.hash) == 0 {
		return &a, nil
	}
	key, err := o.Key.read(defaultAnonymizeKey)
	if err != nil {
		return nil, err
	}
	a.scribes.New = func() any { return &scribe{mac: hmac.New(sha256.New, key)} }
	if o.Key.ID != "" {
		a.prefix = o.Key.ID + "-"
	}
	return &a, nil
}

// NeedsObject implements ObjectUser.
func (a *Anonymize) NeedsObject() bool { return true }

// Process implements glue.Stage. Data of another form than the paths expect is a permanent
// error, because what should go would stay readable: an object under a path to hash, or text
// where a path leads further.
func (a *Anonymize) Process(_ context.Context, m *glue.Message) error {
	object := m.Edit()
	for _, p := range a.drop {
		if object.Obstructs(p) {
			return glue.Permanentf("drop: what should hold %s is no object", p)
		}
		object.Delete(p)
	}
	var err error
	for _, p := range a.hash {
		if object.Obstructs(p) {
			return glue.Permanentf("hash: what should hold %s is no object", p)
		}
		object.Each(p, func(value *tree.Node) {
			text, ok := value.Text()
			switch {
			case ok && text != "":
				*value = tree.NewString(a.pseudonym(text))
			case value.Kind() == tree.Object:
				err = glue.Permanentf("hash: %s is an object", p)
			}
		})
	}
	return err
}

func (a *Anonymize) pseudonym(text string) string {
	s := a.scribes.Get().(*scribe)
	defer a.scribes.Put(s)
	s.buf = append(s.buf[:0], text...)
	s.mac.Reset()
	s.mac.Write(s.buf)
	s.buf = s.mac.Sum(s.buf[:0])
	s.buf = hex.AppendEncode(s.buf, s.buf[:pseudonymLen])
	return a.prefix + string(s.buf[sha256.Size:])
}

package stages

import (
	"encoding/hex"
	"errors"
	"fmt"

	"pushglue/glue"
	"pushglue/glue/secret"
)

// minKeyLen is the least length of a secret key in bytes: 128 bits.
const minKeyLen = 16

// keyOptions say where a secret key is. Keys are never in the pipelines file itself.
type keyOptions struct {
	ID   string `yaml:"id"`   // goes out with what the key made, so that keys can change
	File string `yaml:"file"` // white space around the key is not part of it
	Env  string `yaml:"env"`  // or the one with _FILE behind its name, which names a file
}

// read returns the key from its file, else from its environment variable, else from the one
// called defaultEnv. Errors do not quote it.
func (o keyOptions) read(defaultEnv string) ([]byte, error) {
	key, from, err := o.text(defaultEnv)
	if err != nil {
		return nil, err
	}
	if len(key) < minKeyLen {
		return nil, fmt.Errorf("key: %s holds %d bytes; a key has at least %d", from, len(key), minKeyLen)
	}
	return key, nil
}

// readHex is read for a key of size bytes that is written in hex.
func (o keyOptions) readHex(defaultEnv string, size int) ([]byte, error) {
	text, from, err := o.text(defaultEnv)
	if err != nil {
		return nil, err
	}
	key := make([]byte, hex.DecodedLen(len(text)))
	if _, err := hex.Decode(key, text); err != nil || len(key) != size {
		return nil, fmt.Errorf("key: %s does not hold %d hex digits; make a key with `openssl rand -hex %d`", from, 2*size, size)
	}
	return key, nil
}

// text returns the key as it is written, and where it is.
func (o keyOptions) text(defaultEnv string) (key []byte, from string, err error) {
	if o.ID != "" {
		if err := glue.CheckToken(o.ID); err != nil {
			return nil, "", fmt.Errorf("key: id %w", err)
		}
	}
	switch {
	case o.File != "" && o.Env != "":
		return nil, "", errors.New("key: give a file or an environment variable, not both")
	case o.File != "":
		text, err := secret.ReadFile(o.File)
		if err != nil {
			return nil, "", fmt.Errorf("key: %w", err)
		}
		return []byte(text), "file " + o.File, nil
	case o.Env == "":
		o.Env = defaultEnv
	}
	text, from, err := secret.Lookup(o.Env)
	if errors.Is(err, secret.ErrNotSet) {
		err = fmt.Errorf("%w; make a key with `openssl rand -hex 32`", err)
	}
	if err != nil {
		return nil, "", fmt.Errorf("key: %w", err)
	}
	return []byte(text), from, nil
}

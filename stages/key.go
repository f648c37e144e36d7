package stages

import (
	"bytes"
	"errors"
	"fmt"
	"os"
)

// minKeyLen is the least length of a secret key in bytes: 128 bits.
const minKeyLen = 16

// keyOptions say where a secret key is. Keys are never in the pipelines file itself.
type keyOptions struct {
	ID   string `yaml:"id"`   // goes out with what the key made, so that keys can change
	File string `yaml:"file"` // white space around the key is not part of it
	Env  string `yaml:"env"`
}

// read returns the key from its file, else from its environment variable. Errors do not quote it.
func (o keyOptions) read() ([]byte, error) {
	var key []byte
	from := "environment variable " + o.Env
	switch {
	case o.File != "" && o.Env != "":
		return nil, errors.New("key: give a file or an environment variable, not both")
	case o.File != "":
		from = "file " + o.File
		b, err := os.ReadFile(o.File)
		if err != nil {
			return nil, fmt.Errorf("key: %w", err)
		}
		key = b
	default:
		value, ok := os.LookupEnv(o.Env)
		if !ok {
			return nil, fmt.Errorf("key: %s is not set; make a key with `openssl rand -hex 32`", from)
		}
		key = []byte(value)
	}
	key = bytes.TrimSpace(key)
	if len(key) < minKeyLen {
		return nil, fmt.Errorf("key: %s holds %d bytes; a key has at least %d", from, len(key), minKeyLen)
	}
	return key, nil
}

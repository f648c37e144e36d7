// Package secret reads secrets from the environment or from files that it names.
package secret

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// ErrNotSet means that neither the variable nor its _FILE twin is set.
var ErrNotSet = errors.New("is not set")

// maxSize bounds a file, in bytes: more is no secret but some other file.
const maxSize = 64 << 10

// Lookup returns the secret in the environment variable called name or, without it, in the file whose path is in
// name_FILE, as container platforms hand secrets out. White space around it is not part of it. from
// says where it was. Errors do not quote it; both variables together are one, unless the first is empty, as compose files set it.
func Lookup(name string) (text, from string, err error) {
	twin := name + "_FILE"
	value, inEnvironment := os.LookupEnv(name)
	path := os.Getenv(twin)
	switch {
	case value != "" && path != "":
		return "", "", fmt.Errorf("%s and %s are both set; choose one", name, twin)
	case inEnvironment && path == "":
		return strings.TrimSpace(value), "environment variable " + name, nil
	case path == "":
		return "", "", fmt.Errorf("environment variable %s %w, nor is %s", name, ErrNotSet, twin)
	}
	text, err = ReadFile(path)
	if err != nil {
		return "", "", fmt.Errorf("%s: %w", twin, err)
	}
	return text, "file " + path, nil
}

// ReadFile returns the secret in a file, without the white space around it.
func ReadFile(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxSize+1))
	if err != nil {
		return "", err
	}
	if len(text) > maxSize {
		return "", fmt.Errorf("%s has more than %d bytes, which is no secret", path, maxSize)
	}
	return strings.TrimSpace(string(text)), nil
}

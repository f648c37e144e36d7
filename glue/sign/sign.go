// Package sign makes the URLs by which readers get at private channels: those whose names begin with
// "private:". The shipped nginx lets nobody read them without (nginx/common/private.conf).
//
// An application that knows who its user is signs the list of channels that this user may read, for a
// while, and hands the URL to the page.
package sign

import (
	"crypto/md5"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"pushglue/glue"
)

// Endpoint is a way to read channels. A signature is good for all three.
type Endpoint string

// The endpoints of the shipped nginx.
const (
	Subscribe Endpoint = "subscribe" // EventSource
	Poll      Endpoint = "poll"      // long polling
	WebSocket Endpoint = "ws"
)

// Lengths of a key, in letters and digits; the shipped nginx takes no others.
const (
	minKey = 32
	maxKey = 128
)

// Signer signs URLs with one key. It is safe for concurrent use.
type Signer struct{ key string }

// New returns a Signer with the key that the push hosts have too. Errors do not quote it.
func New(key string) (*Signer, error) {
	switch {
	case len(key) < minKey || len(key) > maxKey:
		return nil, fmt.Errorf("the key has %d characters, and must have %d to %d; make one with `openssl rand -hex 32`", len(key), minKey, maxKey)
	case strings.ContainsFunc(key, func(r rune) bool { return !isLetterOrDigit(r) }):
		return nil, errors.New("the key has something other than letters and digits; make one with `openssl rand -hex 32`")
	}
	return &Signer{key}, nil
}

// Path returns the path and query by which whoever has them may read these channels until expires, in
// whole seconds: "/subscribe/private:ann?expires=1767225600&signature=…". The order of the channels, and each
// character, are signed: the reader must use the URL as it is, but may add arguments behind it.
//
// What is signed with one push module must be good with the other, which splits and decodes lists in
// another way. So names are refused that stand in a URL other than as they are.
func (s *Signer) Path(to Endpoint, expires time.Time, channels ...string) (string, error) {
	if !slices.Contains([]Endpoint{Subscribe, Poll, WebSocket}, to) {
		return "", fmt.Errorf("%q is none of %s, %s, %s", to, Subscribe, Poll, WebSocket)
	}
	if len(channels) == 0 || len(channels) > glue.MaxChannels {
		return "", fmt.Errorf("a URL is for 1 to %d channels, not for %d", glue.MaxChannels, len(channels))
	}
	for i, name := range channels {
		if err := check(name); err != nil {
			return "", fmt.Errorf("channel %d of %d: %w", i+1, len(channels), err)
		}
	}
	until := expires.Unix()
	if until <= 0 {
		return "", fmt.Errorf("a URL cannot expire in %d", expires.Year())
	}
	list := strings.Join(channels, "/")
	return fmt.Sprintf("/%s/%s?expires=%d&signature=%s", to, list, until, s.signature(list, until)), nil
}

// signature is nginx's secure_link_md5. MD5 is what that module has; the key on both sides keeps its known
// weaknesses out of reach.
func (s *Signer) signature(list string, until int64) string {
	sum := md5.Sum([]byte(s.key + " " + strconv.FormatInt(until, 10) + " " + list + " " + s.key))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// check returns why a name cannot be signed.
func check(name string) error {
	if err := glue.CheckChannel(name); err != nil {
		return err
	}
	for _, r := range name {
		if !isLetterOrDigit(r) && !strings.ContainsRune("-._~:,@!$", r) {
			return fmt.Errorf("channel name contains %q, which stands in a URL in more than one way; what can be signed has letters, digits and -._~:,@!$ only", r)
		}
	}
	return nil
}

func isLetterOrDigit(r rune) bool {
	return '0' <= r && r <= '9' || 'A' <= r && r <= 'Z' || 'a' <= r && r <= 'z'
}

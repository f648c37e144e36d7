package glue

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Limits of what goes into a request to a push host.
const (
	MaxChannelLen = 128 // bytes of one channel name; the shipped nginx accepts as many
	MaxChannels   = 255 // channels of one message: the most that Nchan takes in one request
	MaxTokenLen   = 128 // bytes of a message's id and of its type
)

// CheckChannel reports why name cannot be a channel's name; nil if it can.
//
// The push modules split a list of channels at "/" after percent-decoding, read "*" and "ALL" as
// wildcards, and strip a trailing ".b" and digits as a backtrack suffix; push-stream cuts a name
// at "?", and browsers resolve "." and ".." in a URL. So a name made from data must be checked,
// not escaped. The error's text does not repeat the name.
func CheckChannel(name string) error {
	if len(name) <= MaxChannelLen && name != "ALL" && isWord(name) {
		return nil
	}
	switch {
	case name == "":
		return errors.New("channel name is empty")
	case len(name) > MaxChannelLen:
		return fmt.Errorf("channel name has %d bytes, more than %d", len(name), MaxChannelLen)
	case !utf8.ValidString(name):
		return errors.New("channel name is not valid UTF-8")
	case name == "ALL":
		return errors.New(`channel name is the wildcard "ALL"`)
	case name == "." || name == "..":
		return errors.New("channel name is a relative path")
	case hasBacktrackSuffix(name):
		return errors.New(`channel name ends like a backtrack suffix (".b" and digits)`)
	}
	for _, r := range name {
		switch {
		case r == '/' || r == '*' || r == '?':
			return fmt.Errorf("channel name contains %q", r)
		case unicode.IsControl(r), r == '\u2028', r == '\u2029':
			return fmt.Errorf("channel name contains the control character %U", r)
		}
	}
	return nil
}

// privatePrefix begins the names of private channels.
const privatePrefix = "private:"

// IsPrivate reports whether the shipped nginx takes name for that of a private channel, which only readers
// with a signed URL get (package sign): it begins with "private:", in whatever case.
func IsPrivate(name string) bool {
	return len(name) >= len(privatePrefix) && name[0]|0x20 == 'p' && strings.EqualFold(name[:len(privatePrefix)], privatePrefix)
}

// isWord reports whether name has one or more of the characters that most names are made of, and no
// others: no dot either, without which no name is a relative path or ends in a backtrack suffix.
func isWord(name string) bool {
	for i := range len(name) {
		switch c := name[i]; {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', 'A' <= c && c <= 'Z', c == ':', c == '-', c == '_':
		default:
			return false
		}
	}
	return name != ""
}

// hasBacktrackSuffix reports whether name ends in ".b" and one or more digits.
func hasBacktrackSuffix(name string) bool {
	head := strings.TrimRight(name, "0123456789")
	return len(head) < len(name) && strings.HasSuffix(head, ".b")
}

// CheckToken reports why s cannot be a message's id or type, which travel in headers and in
// EventSource fields; nil if it can: 1 to MaxTokenLen bytes of visible ASCII.
// The error's text does not repeat s.
func CheckToken(s string) error {
	switch {
	case s == "":
		return errors.New("is empty")
	case len(s) > MaxTokenLen:
		return fmt.Errorf("has %d bytes, more than %d", len(s), MaxTokenLen)
	}
	for _, c := range []byte(s) {
		if c <= ' ' || c > '~' {
			return errors.New("contains something other than visible ASCII")
		}
	}
	return nil
}

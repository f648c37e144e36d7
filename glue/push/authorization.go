package push

import (
	"errors"
	"fmt"
	"net/http"
)

// maxAuthorization bounds an Authorization header, in bytes: nginx takes 8 KiB for a line.
const maxAuthorization = 4 << 10

// CheckAuthorization returns why a text cannot be Config.Authorization; nil if it can. It does not quote it.
func CheckAuthorization(text string) error {
	if len(text) > maxAuthorization {
		return fmt.Errorf("an Authorization header of %d bytes is longer than %d", len(text), maxAuthorization)
	}
	for _, c := range []byte(text) {
		if c < ' ' || c > '~' {
			return errors.New("an Authorization header is one line of visible ASCII, such as Basic dXNlcjpwYXNzd29yZA==")
		}
	}
	return nil
}

// authorizationLine returns the line of a request's head; empty for no text.
func authorizationLine(text string) string {
	if text == "" {
		return ""
	}
	return "Authorization: " + text + "\r\n"
}

// authorized adds an Authorization header to each request.
type authorized struct {
	http.RoundTripper
	text string
}

// authorize returns a transport that adds text to each request, or the same one if text is empty.
func authorize(transport http.RoundTripper, text string) http.RoundTripper {
	if transport == nil || text == "" {
		return transport
	}
	return authorized{transport, text}
}

// RoundTrip implements http.RoundTripper, which may not modify its request.
func (a authorized) RoundTrip(req *http.Request) (*http.Response, error) {
	req = req.Clone(req.Context())
	req.Header.Set("Authorization", a.text)
	return a.RoundTripper.RoundTrip(req)
}

// CloseIdleConnections is what http.Client looks for.
func (a authorized) CloseIdleConnections() {
	(&http.Client{Transport: a.RoundTripper}).CloseIdleConnections()
}

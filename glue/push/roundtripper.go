package push

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"time"
)

// roundTripper carries requests one by one over an http.RoundTripper, which may be a mock.
type roundTripper struct {
	http.RoundTripper
	base    *url.URL
	module  Module
	timeout time.Duration // for one request
}

func (t *roundTripper) exchange(ctx context.Context, requests []*request, answered func(answer)) (sent int, err error) {
	for _, r := range requests {
		sent++
		a, err := t.post(ctx, r)
		if err != nil {
			return sent, err
		}
		answered(a)
		if !a.accepted() {
			break
		}
	}
	return sent, nil
}

func (t *roundTripper) post(ctx context.Context, r *request) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, t.timeout)
	defer cancel()
	u := *t.base
	u.Path += "/publish"
	u.RawQuery = string(appendQuery(nil, r.message.Channels))
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), bytes.NewReader(r.body))
	if err != nil {
		return answer{}, err
	}
	for _, f := range t.module.fields(r.message) {
		if f.value != "" {
			req.Header.Set(f.name, f.value)
		}
	}
	// Not sent. It lets net/http send again what it sent on a connection that the host was closing: readers
	// drop what they have seen.
	req.Header["Idempotency-Key"] = nil
	resp, err := t.RoundTrip(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	if _, err := io.CopyN(io.Discard, resp.Body, maxAnswerBody); err != nil && !errors.Is(err, io.EOF) {
		return answer{}, err
	}
	return answer{status: resp.StatusCode, explain: resp.Header.Get("X-Nginx-PushStream-Explain")}, nil
}

func (t *roundTripper) close() {}

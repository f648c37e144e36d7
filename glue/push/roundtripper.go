package push

import (
	"bufio"
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
	req, err := t.request(ctx, r)
	if err != nil {
		return answer{}, err
	}
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

// request reads the bytes that a pipe would send.
func (t *roundTripper) request(ctx context.Context, r *request) (*http.Request, error) {
	before, after := around(t.base, "")
	head := bytes.Join([][]byte{before, r.head, after}, nil)
	req, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(head)))
	if err != nil {
		return nil, err
	}
	req.RequestURI = ""
	req.URL.Scheme, req.URL.Host = t.base.Scheme, t.base.Host
	req.Body = io.NopCloser(bytes.NewReader(r.body))
	req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(r.body)), nil }
	// Not sent. It lets net/http send again what it sent on a connection that the host was closing: readers
	// drop what they have seen.
	req.Header["Idempotency-Key"] = nil
	return req.WithContext(ctx), nil
}

// connections implements carrier: they are not ours.
func (t *roundTripper) connections() int { return 0 }

func (t *roundTripper) close() {}

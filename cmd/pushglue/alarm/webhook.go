package alarm

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/rs/zerolog"
)

// Webhook POSTs alerts as JSON.
type Webhook struct {
	url    string // a secret, as those of chat services are
	client *http.Client
	log    zerolog.Logger
	queue  chan Alert
}

const (
	webhookTimeout  = 5 * time.Second  // of one attempt
	webhookPatience = 5 * time.Minute  // of all attempts
	webhookQueue    = 64               // alerts that wait
	webhookEnd      = 10 * time.Second // for what waits when the daemon ends
)

// CheckWebhook reports what is wrong with a URL, without quoting it.
func CheckWebhook(text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return errors.New("it is no URL such as https://hooks.example/alerts")
	}
	return nil
}

// NewWebhook returns a Webhook for a URL that is good.
func NewWebhook(address string, log zerolog.Logger) *Webhook {
	return &Webhook{url: address, client: &http.Client{Timeout: webhookTimeout}, log: log, queue: make(chan Alert, webhookQueue)}
}

// Tell has an alert POSTed.
func (w *Webhook) Tell(a Alert) {
	select {
	case w.queue <- a:
	default:
		w.log.Warn().Str("feed", a.Feed).Str("state", a.State).Msg("the webhook does not answer; an alert is lost")
	}
}

// Run POSTs alerts until ctx is done, and then what waits.
func (w *Webhook) Run(ctx context.Context) {
	for {
		select {
		case a := <-w.queue:
			w.post(ctx, a)
		case <-ctx.Done():
			w.finish()
			return
		}
	}
}

func (w *Webhook) finish() {
	ctx, cancel := context.WithTimeout(context.Background(), webhookEnd)
	defer cancel()
	for {
		select {
		case a := <-w.queue:
			w.post(ctx, a)
		default:
			return
		}
	}
}

// post tries until the alert is taken, or refused for good. An alert that is being tried when the daemon ends is tried once more.
func (w *Webhook) post(ctx context.Context, a Alert) {
	_, err := backoff.Retry(ctx, func() (struct{}, error) { return struct{}{}, w.try(a) }, backoff.WithMaxElapsedTime(webhookPatience))
	if err != nil && ctx.Err() != nil && !errors.Is(err, errRefused) {
		err = w.try(a)
	}
	if err != nil {
		w.log.Warn().Err(err).Str("feed", a.Feed).Str("state", a.State).Msg("cannot tell the webhook of an alert")
	}
}

var errRefused = errors.New("it is refused")

func (w *Webhook) try(a Alert) error {
	body, err := json.Marshal(a)
	if err != nil {
		return backoff.Permanent(err)
	}
	resp, err := w.client.Post(w.url, "application/json", bytes.NewReader(body))
	if err != nil {
		if quoting := (*url.Error)(nil); errors.As(err, &quoting) {
			err = quoting.Err
		}
		return err
	}
	defer resp.Body.Close()
	_, _ = io.CopyN(io.Discard, resp.Body, 1<<16) // so that the connection can be used again; what it says matters to nobody
	switch {
	case resp.StatusCode < 300:
		return nil
	case resp.StatusCode < 500 && resp.StatusCode != http.StatusTooManyRequests && resp.StatusCode != http.StatusRequestTimeout:
		return backoff.Permanent(fmt.Errorf("%w: answers %s", errRefused, resp.Status))
	}
	return fmt.Errorf("answers %s", resp.Status)
}

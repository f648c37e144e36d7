package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"
)

// The channels that tell the page what happens.
const (
	traceChannel  = "demo:trace"
	ledgerChannel = "demo:ledger"
)

// maxTraces is how many traces may wait to be published.
const maxTraces = 256

// accountEvery is how often the page learns how things stand. It is no divisor of the clock of the comments: else
// there would always be one on its way, as if it hung.
const accountEvery = 930 * time.Millisecond

// news publishes what happens in the demo to its own push host, over HTTP, as everyone does: the
// page gets it on the one stream that it has anyway.
type news struct {
	base   string // URL of the push host's publish side
	client *http.Client
	traces chan *trace
	lost   atomic.Int64 // traces that nobody gets to see
}

func newNews(base string) *news {
	return &news{
		base:   base,
		client: &http.Client{Transport: &http.Transport{}, Timeout: 5 * time.Second},
		traces: make(chan *trace, maxTraces),
	}
}

// offer takes a trace to publish. It never blocks, because the engine waits meanwhile: when too many
// wait already, nobody gets to see this one.
func (n *news) offer(t *trace) {
	select {
	case n.traces <- t:
	default:
		n.lost.Add(1)
	}
}

// run publishes traces as they come, and from time to time what account returns, until ctx is done.
func (n *news) run(ctx context.Context, account func(context.Context) any) {
	defer n.client.CloseIdleConnections()
	tick := time.NewTicker(accountEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case t := <-n.traces:
			n.post(ctx, traceChannel, "trace", encode(t))
		case <-tick.C:
			n.post(ctx, ledgerChannel, "ledger", encode(account(ctx)))
		}
	}
}

// encode encodes what this package is made of, which can be encoded.
func encode(v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return text
}

// post publishes one message. It carries no id, so that the browser's last event id stays that of a
// comment. A failure costs the page a picture and is counted like a trace that came too fast.
func (n *news) post(ctx context.Context, channel, kind string, body []byte) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, n.base+"/publish?id="+url.QueryEscape(channel), bytes.NewReader(body))
	if err != nil {
		n.lost.Add(1)
		return
	}
	req.Header.Set("Event-Type", kind)
	resp, err := n.client.Do(req)
	if err != nil {
		n.lost.Add(1)
		return
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != http.StatusOK {
		n.lost.Add(1)
	}
}

// streams returns how many readers the push host has, -1 if it does not say.
func (n *news) streams(ctx context.Context) int {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, n.base+"/channels-stats", nil)
	if err != nil {
		return -1
	}
	resp, err := n.client.Do(req)
	if err != nil {
		return -1
	}
	defer resp.Body.Close()
	var stats struct {
		Subscribers int `json:"subscribers"`
	}
	if json.NewDecoder(resp.Body).Decode(&stats) != nil {
		return -1
	}
	return stats.Subscribers
}

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// subscriberPage subscribes as the JSON in its address says. It keeps the messages in got, and counts the gaps.
const subscriberPage = `<!doctype html><link rel="icon" href="data:,"><script type="module">
import { Subscription } from './pushglue.js';
const { channels, block = [], query, ...options } = JSON.parse(new URLSearchParams(location.search).get('options'));
const real = window.fetch;
window.fetch = (resource, init) => (block.some((path) => resource.includes(path)) ? Promise.reject(new TypeError('blocked')) : real(resource, init));
if (block.includes('/ws/')) window.WebSocket = undefined;
Object.assign(window, { got: [], states: [], gaps: 0, query, asked: 0 });
if (query !== undefined) options.sign = async () => { asked++; return window.query; };
window.subscription = new Subscription(channels, options);
subscription.addEventListener('message', ({ detail }) => got.push(detail));
subscription.addEventListener('gap', () => { gaps++; });
subscription.addEventListener('state', ({ detail }) => { states.push({ ...detail, at: performance.now() }); });
</script>`

// subscriber is a page with a Subscription.
type subscriber struct{ *tab }

// openSubscriber opens a page.
func openSubscriber(chromium context.Context, t *testing.T, base string, options map[string]any) subscriber {
	t.Helper()
	settings := map[string]any{"spread": 0.1}
	for name, value := range options {
		settings[name] = value
	}
	text, err := json.Marshal(settings)
	if err != nil {
		t.Fatal(err)
	}
	return subscriber{newTab(chromium, t, base+"/?options="+url.QueryEscape(string(text)))}
}

// open waits until the subscription's last state is open.
func (s subscriber) open() {
	s.T.Helper()
	s.Until("the subscription is open", `window.states?.at(-1)?.state === 'open'`)
}

// settle waits until the subscription takes what comes for new, rather than for what was stored.
func (s subscriber) settle() {
	s.T.Helper()
	s.Until("the subscription has settled", `window.states?.at(-1)?.state === 'open' && performance.now() > states.at(-1).at + 1200`)
}

// requireIDs makes sure that the page gets these ids, each once, those of one channel in order.
func (s subscriber) requireIDs(want ...string) {
	s.T.Helper()
	s.Until(fmt.Sprintf("%d messages are there", len(want)), fmt.Sprintf("window.got?.length >= %d", len(want)))
	got := strings.Fields(evaluate[string](s.tab, `got.map((m) => m.id).join(' ')`))
	byChannel := func(a, b string) int {
		channelA, _, _ := strings.Cut(a, ".")
		channelB, _, _ := strings.Cut(b, ".")
		return strings.Compare(channelA, channelB)
	}
	slices.SortStableFunc(got, byChannel)
	slices.SortStableFunc(want, byChannel)
	if !slices.Equal(got, want) {
		s.T.Errorf("got %v\nwant %v; states %s", got, want, evaluate[string](s.tab, `JSON.stringify(states)`))
	}
}

func (s subscriber) requireGaps(want int) {
	s.T.Helper()
	if got := evaluate[int](s.tab, "gaps"); got != want {
		s.T.Errorf("%d gaps, want %d; states %s", got, want, evaluate[string](s.tab, `JSON.stringify(states)`))
	}
}

// ids are those that say publishes.
func ids(channel string, first, last int) (list []string) {
	for i := first; i <= last; i++ {
		list = append(list, fmt.Sprintf("%s.%d", channel, i))
	}
	return list
}

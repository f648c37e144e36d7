package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/go-jose/go-jose/v4"

	"pushglue"
	"pushglue/glue/gluetest/browser"
	"pushglue/glue/gluetest/service"
	"pushglue/glue/sign"
)

// TestSubscription holds the client to the same behaviour with every kind of push host.
func TestSubscription(t *testing.T) {
	chromium, base := browser.Start(t), startPage(t, subscriberPage)
	for kind, start := range startPushHosts() {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			host := start(t)
			suite := clientSuite{chromium, base, host}
			for _, transport := range []string{"eventsource", "websocket", "poll"} {
				if transport == "websocket" && !host.websocket {
					continue
				}
				t.Run(transport, func(t *testing.T) { suite.testMessages(t, transport) })
				t.Run(transport+" breaks", func(t *testing.T) { suite.testBreak(t, transport) })
			}
			t.Run("fallback", suite.testFallback)
			t.Run("host away", suite.testHostAway)
			t.Run("gap", suite.testGap)
			t.Run("another host", suite.testAnotherHost)
			t.Run("hidden", suite.testHidden)
			t.Run("history", suite.testHistory)
			if host.websocket { // the embedded one looks at no signatures
				t.Run("signed", suite.testSigned)
			}
		})
	}
}

// clientSuite runs against one push host. Each test has channels of its own.
type clientSuite struct {
	chromium context.Context
	base     string
	host     pushHost
}

// All kinds of messages arrive on several channels, stored ones and new ones, and are the same by each transport.
func (c clientSuite) testMessages(t *testing.T, transport string) {
	a, b := transport+":a", transport+":b"
	c.host.say(t, a, 1, 2)
	page := openSubscriber(c.chromium, t, c.base, map[string]any{
		"channels": []string{a, b}, "hosts": []string{c.host.public}, "transports": []string{transport}, "keys": map[string]string{"k1": goldenEncryptKey},
	})
	page.requireIDs(ids(a, 1, 2)...)
	page.open()
	c.host.say(t, a, 3, 3)
	c.host.say(t, b, 1, 2)
	c.host.publish(t, a, "post_save", a+".4", sealed(t, fmt.Sprintf(`{"id":"%s.4","event":"post_save","n":4}`, a)))
	c.host.publish(t, a, "coalesced", a+".6", fmt.Sprintf(`[{"id":"%[1]s.5","type":"post_save","data":{"id":"%[1]s.5","n":5}},{"id":"%[1]s.6","type":"post_save","data":{"id":"%[1]s.6","n":6}}]`, a))
	c.host.publish(t, a, "post_delete", a+".7", fmt.Sprintf(`{"id":"%s.7","event":"post_delete","n":7}`, a))
	c.host.publish(t, a, "", a+".8", fmt.Sprintf(`{"id":"%s.8","n":8,"text":"ä\u2028"}`, a))
	// To both channels: it comes twice, and is one.
	for _, channel := range []string{a, b} {
		c.host.publish(t, channel, "post_save", "both.1", `{"id":"both.1","event":"post_save","n":1}`)
	}
	c.host.say(t, b, 3, 3)
	page.requireIDs(slices.Concat(ids(a, 1, 8), ids(b, 1, 3), ids("both", 1, 1))...)
	const want = "post_save,post_save,post_save,post_save,post_save,post_save,post_delete,message"
	if got := evaluate[string](page.tab, fmt.Sprintf(`got.filter((m) => m.id.startsWith('%s')).map((m) => m.type).join()`, a)); got != want {
		t.Errorf("types %s\nwant %s", got, want)
	}
	if !evaluate[bool](page.tab, `got.every(({ id, data }) => id.endsWith('.' + data.n))`) {
		t.Error("a message is not what was published")
	}
	page.requireGaps(0)
}

// sealed returns what the stage encrypt makes of a body.
func sealed(t *testing.T, body string) string {
	t.Helper()
	key, err := hex.DecodeString(goldenEncryptKey)
	if err != nil {
		t.Fatal(err)
	}
	encrypter, err := jose.NewEncrypter(jose.A256GCM, jose.Recipient{Algorithm: jose.DIRECT, Key: key, KeyID: "k1"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	object, err := encrypter.Encrypt([]byte(body))
	if err != nil {
		t.Fatal(err)
	}
	text, err := object.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// What was published while the network was broken comes when it is whole again.
func (c clientSuite) testBreak(t *testing.T, transport string) {
	a, b := "break:"+transport+":a", "break:"+transport+":b"
	c.host.say(t, a, 1, 1)
	network := openGate(t, c.host.public)
	page := openSubscriber(c.chromium, t, c.base, map[string]any{"channels": []string{a, b}, "hosts": []string{network.url}, "transports": []string{transport}})
	page.requireIDs(ids(a, 1, 1)...)
	page.settle()
	c.host.say(t, a, 2, 3)
	page.requireIDs(ids(a, 1, 3)...)
	network.cut()
	c.host.say(t, a, 4, 9)
	c.host.say(t, b, 1, 5)
	page.Until("the page waits", `states.at(-1).state !== 'open'`)
	network.join()
	page.settle()
	c.host.say(t, b, 6, 7)
	page.requireIDs(append(ids(a, 1, 9), ids(b, 1, 7)...)...)
	page.requireGaps(0)
}

// Where the network lets a transport not through, the next one does it.
func (c clientSuite) testFallback(t *testing.T) {
	for block, want := range map[string]string{"": "eventsource", "/subscribe/": "websocket", "/subscribe/ /ws/": "poll"} {
		if want == "websocket" && !c.host.websocket {
			want = "poll"
		}
		channel := fmt.Sprintf("fallback:%d", len(block))
		c.host.say(t, channel, 1, 1)
		page := openSubscriber(c.chromium, t, c.base, map[string]any{"channels": []string{channel}, "hosts": []string{c.host.public}, "block": strings.Fields(block)})
		page.open()
		c.host.say(t, channel, 2, 2)
		page.requireIDs(ids(channel, 1, 2)...)
		if got := evaluate[string](page.tab, "states.at(-1).transport"); got != want {
			t.Errorf("with %q blocked it is %s, want %s", block, got, want)
		}
	}
}

// A page that comes while the host is away has the best transport when it is back.
func (c clientSuite) testHostAway(t *testing.T) {
	network := openGate(t, c.host.public)
	network.cut()
	options := url.QueryEscape(fmt.Sprintf(`{"channels":["away:a"],"hosts":[%q],"spread":0.05}`, network.url))
	page := subscriber{newTab(c.chromium, t, c.base+"/?options="+options, browser.Before("Math.random = () => 0.9"))}
	page.Until("the page has waited twice", `window.states?.filter(({ state }) => state === 'waiting').length === 2`)
	network.join()
	page.open()
	if got := evaluate[string](page.tab, "states.at(-1).transport"); got != "eventsource" {
		t.Errorf("it is %s", got)
	}
}

// More messages than the host stores are a gap, and the page is told.
func (c clientSuite) testGap(t *testing.T) {
	network := openGate(t, c.host.public)
	page := openSubscriber(c.chromium, t, c.base, map[string]any{"channels": []string{"gap:a"}, "hosts": []string{network.url}})
	page.settle()
	c.host.say(t, "gap:a", 1, 2)
	page.requireIDs(ids("gap:a", 1, 2)...)
	network.cut()
	c.host.say(t, "gap:a", 3, 30)
	network.join()
	page.Until("the page is told of a gap", "gaps")
	page.requireIDs(append(ids("gap:a", 1, 2), ids("gap:a", 11, 30)...)...)
	// As many as it stores, one of them known, are none.
	network.cut()
	c.host.say(t, "gap:a", 31, 49)
	network.join()
	page.requireIDs(append(ids("gap:a", 1, 2), ids("gap:a", 11, 49)...)...)
	page.settle()
	page.requireGaps(1)
}

// A host that is gone is left for another one.
func (c clientSuite) testAnotherHost(t *testing.T) {
	gates := []*gate{openGate(t, c.host.public), openGate(t, c.host.public)}
	page := openSubscriber(c.chromium, t, c.base, map[string]any{"channels": []string{"hosts:a"}, "hosts": []string{gates[0].url, gates[1].url}})
	page.settle()
	c.host.say(t, "hosts:a", 1, 2)
	page.requireIDs(ids("hosts:a", 1, 2)...)
	first := evaluate[string](page.tab, "states.at(-1).host")
	i := slices.IndexFunc(gates, func(g *gate) bool { return g.url == first })
	gates[i].cut()
	c.host.say(t, "hosts:a", 3, 4)
	page.Until("the page has another host", fmt.Sprintf(`states.at(-1).state === 'open' && states.at(-1).host === %q`, gates[1-i].url))
	c.host.say(t, "hosts:a", 5, 6)
	page.requireIDs(ids("hosts:a", 1, 6)...)
	page.requireGaps(0)
}

// A hidden page has no connection if it wants none, and catches up when it is seen again.
func (c clientSuite) testHidden(t *testing.T) {
	page := openSubscriber(c.chromium, t, c.base, map[string]any{"channels": []string{"hidden:a"}, "hosts": []string{c.host.public}, "pauseHidden": true})
	page.settle()
	c.host.say(t, "hidden:a", 1, 1)
	page.requireIDs(ids("hidden:a", 1, 1)...)
	hide := func(hidden bool) {
		page.Do(chromedp.Evaluate[chromedp.Void](fmt.Sprintf(`Object.defineProperty(document, 'hidden', { value: %t, configurable: true }); document.dispatchEvent(new Event('visibilitychange'))`, hidden)))
	}
	hide(true)
	page.Until("the page pauses", `states.at(-1).state === 'paused'`)
	c.host.say(t, "hidden:a", 2, 3)
	hide(false)
	page.requireIDs(ids("hidden:a", 1, 3)...)
	page.requireGaps(0)
	page.Do(chromedp.Evaluate[chromedp.Void](`subscription.close()`))
	if got := evaluate[string](page.tab, "states.at(-1).state"); got != "closed" {
		t.Errorf("a closed subscription is %s", got)
	}
}

// A page that wants no history begins with what comes.
func (c clientSuite) testHistory(t *testing.T) {
	c.host.say(t, "history:a", 1, 2)
	page := openSubscriber(c.chromium, t, c.base, map[string]any{"channels": []string{"history:a"}, "hosts": []string{c.host.public}, "history": false})
	page.open()
	c.host.say(t, "history:a", 3, 3)
	page.requireIDs(ids("history:a", 3, 3)...)
}

// A private channel takes a signature, of which each connection asks for a new one.
func (c clientSuite) testSigned(t *testing.T) {
	signer, err := sign.New(signatureKey)
	if err != nil {
		t.Fatal(err)
	}
	channels := []string{"private:ann", "signed:a"}
	path, err := signer.Path(sign.Subscribe, time.Now().Add(time.Hour), channels...)
	if err != nil {
		t.Fatal(err)
	}
	_, arguments, _ := strings.Cut(path, "?")
	c.host.say(t, "private:ann", 1, 1)
	for _, transport := range []string{"eventsource", "websocket", "poll"} {
		page := openSubscriber(c.chromium, t, c.base, map[string]any{"channels": channels, "hosts": []string{c.host.public}, "transports": []string{transport}, "query": ""})
		page.Until("the page is refused", `window.states?.at(-1)?.state === 'waiting'`)
		page.Do(chromedp.Evaluate[chromedp.Void](fmt.Sprintf(`window.query = %q; window.before = asked`, "?"+arguments)))
		page.requireIDs(ids("private:ann", 1, 1)...)
		if evaluate[bool](page.tab, "asked <= before") {
			t.Errorf("%s: the connection did not ask for a signature", transport)
		}
	}
}

// TestSubscriptionSurvivesARestart restarts nginx. push-stream keeps what it stores over a reload, and nothing is missing. Nchan loses it,
// and the page is told.
func TestSubscriptionSurvivesARestart(t *testing.T) {
	chromium, base := browser.Start(t), startPage(t, subscriberPage)
	for _, module := range []string{service.Nchan, service.PushStream} {
		t.Run(module, func(t *testing.T) {
			t.Parallel()
			nginx := service.StartNginx(t, module, service.NginxFile("common/reload.conf", "worker_shutdown_timeout 1s;\n"))
			host := pushHost{nginx.PublicURL(), nginx.InternalURL(), true}
			page := openSubscriber(chromium, t, base, map[string]any{"channels": []string{"a", "b"}, "hosts": []string{host.public}})
			page.settle()
			host.say(t, "a", 1, 3)
			page.requireIDs(ids("a", 1, 3)...)
			if module == service.PushStream {
				connections := evaluate[int](page.tab, `states.filter(({ state }) => state === 'open').length`)
				nginx.Reload()
				host.say(t, "a", 4, 6)
				host.say(t, "b", 1, 3)
				page.Until("the page has come back", fmt.Sprintf(`states.filter(({ state }) => state === 'open').length > %d`, connections))
				host.say(t, "b", 4, 5)
				page.settle()
				page.requireIDs(append(ids("a", 1, 6), ids("b", 1, 5)...)...)
				page.requireGaps(0)
			}
			nginx.Stop()
			nginx.Start()
			page.Until("the page is told that the store is lost", "gaps")
			n := evaluate[int](page.tab, "got.length")
			host.say(t, "a", 7, 8)
			page.Until("the page goes on", fmt.Sprintf("got.length >= %d", n+2))
			page.requireGaps(1)
		})
	}
}

// TestSubscriptionNoticesSilence cuts the network without telling anybody.
func TestSubscriptionNoticesSilence(t *testing.T) {
	host := startPushHosts()["embedded"](t)
	network := openGate(t, host.public)
	page := openSubscriber(browser.Start(t), t, startPage(t, subscriberPage), map[string]any{"channels": []string{"a"}, "hosts": []string{network.url}, "silence": 2})
	page.open()
	network.silence()
	host.say(t, "a", 1, 3)
	page.requireIDs(ids("a", 1, 3)...)
}

// TestSubscriptionLeavesAPortal makes sure that a page of HTML, as a captive portal answers whatever it is asked, is no stream and no poll.
func TestSubscriptionLeavesAPortal(t *testing.T) {
	chromium, base := browser.Start(t), startPage(t, subscriberPage)
	host := startPushHosts()["embedded"](t)
	portal := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Access-Control-Allow-Origin", "*")
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = io.WriteString(w, "<!doctype html>\n<h1>Log in</h1>\n") // the client left
	}))
	t.Cleanup(portal.Close)
	for _, transport := range []string{"eventsource", "poll"} {
		host.say(t, transport, 1, 1)
		options := url.QueryEscape(fmt.Sprintf(`{"channels":[%q],"hosts":[%q,%q],"transports":[%[1]q],"spread":0}`, transport, portal.URL, host.public))
		page := subscriber{newTab(chromium, t, base+"/?options="+options, browser.Before("Math.random = () => 0"))}
		page.open()
		page.requireIDs(ids(transport, 1, 1)...)
		want := fmt.Sprintf("connecting %[1]s,waiting %[1]s,connecting %[2]s,open %[2]s", portal.URL, host.public)
		if got := evaluate[string](page.tab, "states.map(({ state, host }) => `${state} ${host}`).join()"); got != want {
			t.Errorf("%s: %s\nwant %s", transport, got, want)
		}
	}
}

// TestSubscriptionClosesWhileItSigns makes sure that no connection is left behind.
func TestSubscriptionClosesWhileItSigns(t *testing.T) {
	page := newTab(browser.Start(t), t, startPage(t, subscriberPage)+"/?options="+url.QueryEscape(`{"channels":["a"],"transports":[]}`))
	page.Run(`(async () => {
		window.sockets = 0;
		window.WebSocket = class { constructor() { sockets++; } close() {} };
		const { Subscription } = await import('./pushglue.js');
		const subscription = new Subscription(['a'], { transports: ['websocket'], sign: async () => {
			subscription.close();
			setTimeout(() => { window.signed = true; });
			return '';
		} });
	})()`)
	page.Until("it has asked for a signature", "window.signed")
	if n := evaluate[int](page, "sockets"); n != 0 {
		t.Errorf("%d WebSockets are open", n)
	}
}

// TestSubscriptionsAreNoHerd looks at the pauses of a page whose hosts are gone: they double, and are drawn by lot.
func TestSubscriptionsAreNoHerd(t *testing.T) {
	page := newTab(browser.Start(t), t, startPage(t, subscriberPage)+"/?options="+url.QueryEscape(`{"channels":["a"],"hosts":["http://`+nobody(t)+`"],"transports":["eventsource"],"query":""}`))
	page.Until("the page has begun", `window.states?.length`)
	page.Do(chromedp.Evaluate[chromedp.Void](`(() => {
		subscription.close();
		const later = setTimeout;
		Object.assign(window, { pauses: [], states: [] });
		Math.random = () => 0.5;
		window.setTimeout = (work, ms) => { if (states.at(-1)?.state === 'waiting') { pauses.push(ms); ms = 0; } return later(work, ms); };
		import('./pushglue.js').then(({ Subscription }) => {
			new Subscription(['a'], { hosts: ['http://127.0.0.1:1'], transports: ['eventsource'] }).addEventListener('state', ({ detail }) => states.push(detail));
		});
	})()`))
	page.Until("the page has waited often", "window.pauses?.length >= 6")
	if got := evaluate[string](page, "pauses.slice(0, 6).join()"); got != "5000,10000,20000,30000,30000,30000" {
		t.Errorf("pauses %s", got)
	}
}

// TestClientIsSmall holds the module to its size: pages load it before they show anything live.
func TestClientIsSmall(t *testing.T) {
	var packed bytes.Buffer
	w, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	text, err := fs.ReadFile(pushglue.WWW(), "pushglue.js")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if n := packed.Len(); n >= 4<<10 {
		t.Errorf("pushglue.js has %d bytes when it is compressed, more than 4 KB", n)
	}
}

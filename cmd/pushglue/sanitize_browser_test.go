package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"pushglue/glue/gluetest/browser"
	"pushglue/glue/gluetest/service"
	"pushglue/glue/thoonk"
)

// attacks are what people write into comments so that other people's browsers run it: hit() tells of it.
var attacks = []string{
	`<script>hit()</script>`, `<ScRiPt src="data:text/javascript,hit()"></sCrIpT>`, `<<script>hit()//<</script>`, `<scr<script>ipt>hit()</scr</script>ipt>`,
	`<img src=x onerror=hit()>`, `<IMG SRC=x ONERROR="hit()">`, `<img src=x onerror
=hit()>`, `<img/src="x"/onerror=hit()>`, `<img src=x:x onerror=&#104;it()>`, `<img src="x` + "`" + `><img src=x onerror=hit()>"`, "<img src=x\x0conerror=hit()>",
	`<svg onload=hit()>`, `<svg><script>hit()</script></svg>`, `<svg><animate onbegin=hit() attributeName=x dur=1s>`, `<svg><a xlink:href="javascript:hit()"><text y=20>x</text></a></svg>`,
	`<svg><style><img title="</style><img src=x onerror=hit()>">`, `<math><mtext><table><mglyph><style><!--</style><img title="--&gt;&lt;img src=x onerror=hit()&gt;">`,
	`<form><math><mtext></form><form><mglyph><style></math><img src onerror=hit()>`, `<noscript><p title="</noscript><img src=x onerror=hit()>">`,
	`<textarea></textarea><img src=x onerror=hit()>`, `<title><img title="</title><img src=x onerror=hit()>">`, `<xmp><p title="</xmp><img src=x onerror=hit()>">`, `<select><style></select><img src=x onerror=hit()></style>`,
	`<template><img src=x onerror=hit()></template>`, `<!--><img src=x onerror=hit()>-->`, `<!--<img src="--><img src=x onerror=hit()//">`, `<![CDATA[<img src=x onerror=hit()>]]>`, `<?xml ?><img src=x onerror=hit()>`, `</p/<img src=x onerror=hit()>`,
	`<a href="javascript:hit()">x</a>`, `<a href="JaVaScRiPt:hit()">x</a>`, `<a href=" &#14; javascript:hit()">x</a>`, `<a href="java&#9;script:hit()">x</a>`, `<a href="java&NewLine;script&colon;hit()">x</a>`, `<a href="data:text/html,<script>parent.hit()</script>">x</a>`,
	"<a href=\"\x01javascript:hit()\">x</a>", `<a href="vbscript:hit()">x</a>`, `<area href="javascript:hit()">`, `<form action="javascript:hit()"><button>x</button></form>`, `<button formaction="javascript:hit()">x</button>`, `<isindex action="javascript:hit()">`,
	`<iframe src="javascript:parent.hit()"></iframe>`, `<iframe srcdoc="<script>parent.hit()</script>"></iframe>`, `<object data="javascript:hit()"></object>`, `<embed src="javascript:hit()">`, `<base href="javascript:/hit()//">`, `<meta http-equiv=refresh content="0;url=javascript:hit()">`,
	`<details open ontoggle=hit()>x</details>`, `<video><source onerror=hit()></video>`, `<audio src=x onerror=hit()></audio>`, `<marquee onstart=hit()>x</marquee>`, `<input autofocus onfocus=hit()>`, `<b onmouseover=hit()>x</b>`, `<p onclick=hit()>x</p>`,
	`<style>@keyframes x{}</style><b style="animation-name:x" onanimationstart=hit()>x</b>`, `<style>*{animation:x 1s}@keyframes x{}</style><b onanimationend=hit()>x</b>`, `<link rel=stylesheet href="javascript:hit()">`,
	`&lt;img src=x onerror=hit()&gt;`, `&amp;lt;img src=x onerror=hit()&amp;gt;`, `&#60;img src=x onerror=hit()&#62;`, `\u003cimg src=x onerror=hit()\u003e`, `\x3cimg src=x onerror=hit()>`, `%3Cimg src=x onerror=hit()%3E`, `＜img src=x onerror=hit()＞`,
	"<img src=x onerror=hit()\u2028>", "<\x00img src=x onerror=hit()>", "<img src=x o\x00nerror=hit()>", `"><img src=x onerror=hit()>`, `'><img src=x onerror=hit()>`, `</script><img src=x onerror=hit()>`, `--><img src=x onerror=hit()>`, `]]><img src=x onerror=hit()>`,
	`<b id=hit name=hit>x</b><form id=hit><input name=hit></form>`,
}

// attackPipelines clean what the page inserts, and leave as it is what shows that the attacks are some.
const attackPipelines = `pipelines:
  - name: clean
    feed: f
    stages: [json, sanitize: {html: [html], text: [text]}, route: {channels: [clean]}, format: {keep: [id, html, text]}]
    publish: push
  - name: dirty
    feed: f
    stages: [json, route: {channels: [dirty]}, format: {keep: [id, html, text]}]
    publish: push
`

// attackPage inserts what a channel brings as HTML, also what is meant to be plain text, as a careless page does.
const attackPage = `<!doctype html><link rel="icon" href="data:,"><body><script>
Object.assign(window, { hits: 0, got: 0, errors: 0, controlled: false });
window.hit = () => { hits++; };
const source = new EventSource(new URLSearchParams(location.search).get('stream'));
source.onopen = () => { document.body.id = 'open'; };
source.onmessage = (event) => {
  got++;
  const message = JSON.parse(event.data);
  for (const text of [message.html, message.text]) {
    const box = document.createElement('div');
    document.body.append(box);
    box.innerHTML = text;
    box.title = text;
  }
};
// touch does to everything what a reader could, and then shows that handlers run: they do so in this order.
window.touch = () => {
  for (const e of document.querySelectorAll('div *')) {
    for (const type of ['click', 'mouseover', 'focus', 'toggle', 'animationstart', 'animationend', 'load', 'error', 'submit']) {
      e.dispatchEvent(new Event(type, { bubbles: true, cancelable: true }));
    }
    const link = e.closest('a, area');
    if (link && /^(javascript|vbscript|data):/i.test(link.href.trim())) hits++;
  }
  const control = new Image();
  control.onerror = () => { controlled = true; };
  control.src = '/control';
};
</script>`

// TestNoScriptOfAMessageRuns has a real browser insert sanitised messages from a real stream.
func TestNoScriptOfAMessageRuns(t *testing.T) {
	chromium := browser.Start(t)
	host, store := service.StartNginx(t, service.Nchan), service.StartRedis(t)
	workdir(t, attackPipelines)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/" {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write([]byte(attackPage)) // the browser left
	}))
	t.Cleanup(server.Close)
	pages := map[string]*tab{}
	for _, channel := range []string{"clean", "dirty"} {
		pages[channel] = newTab(chromium, t, server.URL+"/?stream="+url.QueryEscape(host.PublicURL()+"/subscribe/"+channel))
		pages[channel].Until("the stream is open", `document.body.id === 'open'`)
	}

	payloads := make([][]byte, len(attacks))
	for i, attack := range attacks {
		payload, err := json.Marshal(map[string]string{"id": fmt.Sprint(i), "html": attack, "text": attack})
		if err != nil {
			t.Fatal(err)
		}
		payloads[i] = payload
	}
	feed, err := thoonk.NewFeed(store.Client(t), "f", thoonk.ThoonkPy)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := feed.Put(t.Context(), payloads, thoonk.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	daemon := startDaemon(t, "REDIS_URL="+store.URL(), "PUSH_HOSTS="+host.InternalURL())
	clean, dirty := pages["clean"], pages["dirty"]
	dirty.Until("attacks work where nothing is cleaned", "hits > 10")
	clean.Until("all messages are there", fmt.Sprintf("got === %d", len(attacks)))
	daemon.Stop()
	evaluate[any](clean, "void touch()")
	clean.Until("handlers run", "controlled")
	if hits := evaluate[int](clean, "hits"); hits > 0 {
		t.Errorf("%d scripts ran in the page that inserts what is sanitised", hits)
	}
	if evaluate[string](clean, "typeof hit") != "function" {
		t.Error("a message has put itself in the place of a function of the page")
	}
	requests := clean.Requests()
	if slices.ContainsFunc(requests, func(u string) bool { return strings.HasPrefix(u, "javascript:") || strings.HasPrefix(u, "data:text") }) {
		t.Errorf("the page asked for %q", requests)
	}
}

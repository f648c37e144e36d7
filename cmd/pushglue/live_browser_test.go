package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/accessibility"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"pushglue/glue"
	"pushglue/glue/gluetest/browser"
	"pushglue/glue/gluetest/service"
	"pushglue/glue/thoonk"
)

// operatorsToken is a token for tests.
const operatorsToken = "0123456789abcdef-of-tests"

// TestThePageInABrowser watches a daemon with two push hosts through its page: comments flow, a host dies, a stalled job is retried
// and another one retracted.
func TestThePageInABrowser(t *testing.T) {
	comments := loadComments(t, 1000)
	path := shippedPipelines(t)
	chromium := browser.Start(t)
	for _, module := range []string{service.Nchan, service.PushStream} {
		t.Run(module, func(t *testing.T) {
			store := service.StartRedis(t)
			feed, err := thoonk.NewFeed(store.Client(t), "comments", thoonk.ThoonkPy)
			if err != nil {
				t.Fatal(err)
			}
			stalled := stallOn(t, feed, comments[0].payload, comments[1].payload)
			one, two := service.StartNginx(t, module, memory[module]), service.StartNginx(t, module, memory[module])
			address := nobody(t)
			daemon := startDaemon(t, append(goldenKeys, "REDIS_URL="+store.URL(), "PIPELINES="+path, "PUSH_MODULE="+module, "PUSH_HOSTS="+one.InternalURL()+","+two.InternalURL(),
				"HTTP_ADDR="+address, "HTTP_TOKEN="+operatorsToken, "METRICS_INTERVAL=500ms", "TRAFFIC_CHANNEL=traffic", "TRAFFIC_URL="+one.PublicURL()+"/subscribe/")...)
			p := openPage(chromium, t, "http://"+address)
			p.Until("two stalled jobs", `document.querySelectorAll('#stalled li').length === 2`)
			accessible(p)

			stop := keepPutting(t, feed, comments[2:])
			p.Until("rates move at every joint", `(() => {
				const rates = [...document.querySelectorAll('.way .rate')];
				return rates.length === 13 && rates.every((e) => parseFloat(e.textContent) > 0);
			})()`)
			p.Until("a rate at the head", `parseFloat(document.getElementById('rate').textContent) > 0`)
			p.Until("hot threads and forums", `document.querySelector('#traffic [data-channel^="thread:"]') && document.querySelector('#traffic [data-channel^="forum:"]')`)
			if evaluate[bool](p, `[...document.querySelectorAll('#traffic li')].some((e) => !/^(thread|forum):/.test(e.dataset.channel))`) {
				t.Error("the map has other channels than threads and forums")
			}
			p.Until("readers of a host are seen", `[...document.querySelectorAll('#hosts tbody td:nth-child(4)')].some((e) => e.textContent === '1')`)
			p.Until("the sums agree", `document.getElementById('badge').dataset.state === 'good'`)
			pictures(p, module)

			retry(p, stalled)
			eventually(t, "the retried job is gone, and the retracted one", func() bool {
				entries, err := feed.Describe(t.Context(), stalled...)
				return err == nil && len(entries) == 0
			})
			stop()
			p.Until("nothing flows", `[...document.querySelectorAll('.way .rate')].every((e) => e.textContent.startsWith('0/s'))`)

			gone := strings.TrimPrefix(two.InternalURL(), "http://")
			two.Kill()
			p.Until("the host is red", `(() => {
				const rows = [...document.querySelectorAll('#hosts tbody tr')].filter((e) => e.matches('.dead'));
				const [r, g, b] = rows.length ? getComputedStyle(rows[0].cells[1]).color.match(/\d+/g) : [];
				return rows.length === 1 && rows[0].textContent.startsWith('`+gone+`') && r > 2 * g && r > 2 * b;
			})()`)
			p.Until("those who listen are told", fmt.Sprintf(`document.getElementById('news').textContent === 'Push host %s is down.'`, gone))
			p.Screenshot("page-" + module + "-dead-host.png")
			two.Start()
			p.Until("it is up again", `!document.querySelector('#hosts .dead') && document.getElementById('news').textContent.endsWith('is up again.')`)

			daemon.Stop()
			p.Until("the daemon is gone", `document.getElementById('state').dataset.state === 'lost' && document.body.matches('.gone')`)
			p.Check("the page", "http://"+address, one.PublicURL())
			p.Quiet()
		})
	}
}

// openPage opens the page of a daemon.
func openPage(chromium context.Context, t *testing.T, url string) *tab {
	t.Helper()
	p := newTab(chromium, t, url)
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(evaluate[string](p, `document.body.innerText`))
		}
	})
	p.Until("the page is live", `document.getElementById('state').dataset.state === 'live'`)
	return p
}

// stallOn puts jobs on a feed, and stalls them.
func stallOn(t *testing.T, feed *thoonk.Feed, payloads ...string) []string {
	t.Helper()
	list := make([][]byte, len(payloads))
	for i, payload := range payloads {
		list[i] = []byte(payload)
	}
	ids, err := feed.Put(t.Context(), list, thoonk.PutOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := feed.Claim(t.Context(), len(ids)); err != nil {
		t.Fatal(err)
	}
	var settlements []glue.Settlement
	for _, id := range ids {
		settlements = append(settlements, glue.Settlement{JobID: id, Verdict: glue.Stall, Reason: &glue.Reason{Pipeline: "JSONAnonHTTP", Error: "a test stalled it", Attempts: 3}})
	}
	if err := feed.Settle(t.Context(), settlements); err != nil {
		t.Fatal(err)
	}
	return ids
}

// retry retries the first job with the keyboard, first with a wrong token, and retracts the other one.
func retry(p *tab, jobs []string) {
	p.T.Helper()
	press := func(action, job string) {
		p.T.Helper()
		p.Do(chromedp.Evaluate[chromedp.Void](fmt.Sprintf(`document.querySelector('button[aria-label="%s job %s"]').focus()`, action, job)), chromedp.KeyEvent(kb.Enter))
		p.Until("it asks", `document.getElementById('ask').open`)
	}
	press("Retry", jobs[0])
	p.Until("the token has the focus", `document.activeElement.id === 'token'`)
	p.Do(chromedp.KeyEvent(strings.Repeat("x", 20)), chromedp.KeyEvent(kb.Escape))
	p.Until("the dialog is closed", `!document.getElementById('ask').open`)
	press("Retry", jobs[0])
	p.Do(chromedp.KeyEvent(strings.Repeat("x", 20)), chromedp.KeyEvent(kb.Enter))
	p.Until("it is refused", `document.getElementById('changed').textContent.includes("needs the daemon's PUSHGLUE_HTTP_TOKEN")`)
	if evaluate[int](p, `document.querySelectorAll('#stalled li').length`) != 2 {
		p.T.Error("a wrong token has changed something")
	}
	press("Retry", jobs[0])
	p.Do(chromedp.KeyEvent(operatorsToken), chromedp.KeyEvent(kb.Enter))
	p.Until("it is retried", `document.getElementById('changed').textContent.endsWith('is back on its feed.')`)
	p.Until("one is left", `document.querySelectorAll('#stalled li').length === 1`)
	press("Retract", jobs[1])
	p.Do(chromedp.Click(chromedp.CSS("#ask-yes")))
	p.Until("it is retracted", `document.getElementById('changed').textContent.endsWith('is deleted.')`)
	p.Until("none is left", `document.querySelectorAll('#stalled li').length === 0`)
	if evaluate[bool](p, `document.activeElement === document.body || localStorage.length > 0 || document.cookie !== ''`) {
		p.T.Error("the focus is lost, or the token is kept for longer than it should be")
	}
}

// accessible makes sure that who does not see, or has no mouse, finds everything.
func accessible(p *tab) {
	p.T.Helper()
	tree, err := chromedp.Call(p.Ctx, accessibility.GetFullAXTree, accessibility.GetFullAXTreeParams{})
	if err != nil {
		p.T.Fatal(err)
	}
	found := map[string][]string{} // names by role
	for _, n := range tree.Nodes {
		if n.Ignored || n.Role == nil {
			continue
		}
		role, name := text(n.Role), ""
		if n.Name != nil {
			name = text(n.Name)
		}
		found[role] = append(found[role], name)
	}
	for role, want := range map[string][]string{
		"banner": {""}, "main": {""}, "status": {"", ""},
		"region": {"Push hosts", "Push hosts", "Stalled jobs", "The map of traffic", "The path", "Last warnings and errors"},
	} {
		if got := found[role]; len(got) != len(want) || role == "region" && !slices.Equal(slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(want))) {
			p.T.Errorf("%s: %q, want %q", role, got, want)
		}
	}
	for _, role := range []string{"button", "link", "textbox", "group", "list"} {
		if slices.Contains(found[role], "") {
			p.T.Errorf("a %s has no name: %q", role, found[role])
		}
	}
	if len(found["button"]) != 4 {
		p.T.Errorf("buttons: %q", found["button"])
	}
	// From top to bottom, and each with an outline.
	for _, want := range []string{"hosts-title", "Retry", "Retract", "Retry", "Retract"} {
		p.Do(chromedp.KeyEvent(kb.Tab))
		got := evaluate[string](p, `document.activeElement.getAttribute('aria-labelledby') ?? document.activeElement.textContent`)
		if got != want || !evaluate[bool](p, `getComputedStyle(document.activeElement).outlineStyle === 'solid'`) {
			p.T.Errorf("Tab leads to %q, want %q with an outline", got, want)
		}
	}
}

func text(v *accessibility.Value) string { return strings.Trim(string(v.Value), `"`) }

// pictures are taken light, dark and on a phone, where nothing may be wider than the screen.
func pictures(p *tab, module string) {
	p.T.Helper()
	p.Screenshot("page-" + module + ".png")
	p.Media("prefers-color-scheme", "dark")
	p.Screenshot("page-" + module + "-dark.png")
	p.Media("prefers-reduced-motion", "reduce")
	p.Until("nothing moves", `document.querySelector('.flowing') && document.getAnimations().length === 0`)
	p.Media("prefers-reduced-motion", "")
	p.Phone()
	p.Until("the way goes down", `document.querySelector('.way.down')`)
	p.Screenshot("page-" + module + "-phone.png")
	p.Do(chromedp.EmulateViewport(1280, 1400))
}

// keepPutting puts comments until stop is called.
func keepPutting(t *testing.T, feed *thoonk.Feed, comments []comment) (stop func()) {
	t.Helper()
	const at = 20 // at once
	quit, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		pause := time.NewTicker(100 * time.Millisecond)
		defer pause.Stop()
		for n := 0; ; n = (n + at) % (len(comments) - at) {
			var payloads [][]byte
			for _, c := range comments[n : n+at] {
				payloads = append(payloads, []byte(c.payload))
			}
			if _, err := feed.Put(t.Context(), payloads, thoonk.PutOptions{}); err != nil {
				ended <- err
				return
			}
			select {
			case <-quit:
				ended <- nil
				return
			case <-pause.C:
			}
		}
	}()
	return func() {
		t.Helper()
		close(quit)
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

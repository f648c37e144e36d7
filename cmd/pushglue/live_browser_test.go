package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/accessibility"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"pushglue/glue"
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
	browser := startBrowser(t)
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
			p := openPage(browser, t, "http://"+address)
			p.until("two stalled jobs", `document.querySelectorAll('#stalled li').length === 2`)
			accessible(p)

			stop := keepPutting(t, feed, comments[2:])
			p.until("rates move at every joint", `(() => {
				const rates = [...document.querySelectorAll('.way .rate')];
				return rates.length === 13 && rates.every((e) => parseFloat(e.textContent) > 0);
			})()`)
			p.until("a rate at the head", `parseFloat(document.getElementById('rate').textContent) > 0`)
			p.until("hot threads and forums", `document.querySelector('#traffic [data-channel^="thread:"]') && document.querySelector('#traffic [data-channel^="forum:"]')`)
			if evaluate[bool](p, `[...document.querySelectorAll('#traffic li')].some((e) => !/^(thread|forum):/.test(e.dataset.channel))`) {
				t.Error("the map has other channels than threads and forums")
			}
			p.until("readers of a host are seen", `[...document.querySelectorAll('#hosts tbody td:nth-child(4)')].some((e) => e.textContent === '1')`)
			p.until("the sums agree", `document.getElementById('badge').dataset.state === 'good'`)
			pictures(p, module)

			retry(p, stalled)
			eventually(t, "the retried job is gone, and the retracted one", func() bool {
				entries, err := feed.Describe(t.Context(), stalled...)
				return err == nil && len(entries) == 0
			})
			stop()
			p.until("nothing flows", `[...document.querySelectorAll('.way .rate')].every((e) => e.textContent.startsWith('0/s'))`)

			gone := strings.TrimPrefix(two.InternalURL(), "http://")
			two.Kill()
			p.until("the host is red", `(() => {
				const rows = [...document.querySelectorAll('#hosts tbody tr')].filter((e) => e.matches('.dead'));
				const [r, g, b] = rows.length ? getComputedStyle(rows[0].cells[1]).color.match(/\d+/g) : [];
				return rows.length === 1 && rows[0].textContent.startsWith('`+gone+`') && r > 2 * g && r > 2 * b;
			})()`)
			p.until("those who listen are told", fmt.Sprintf(`document.getElementById('news').textContent === 'Push host %s is down.'`, gone))
			p.screenshot("page-" + module + "-dead-host.png")
			two.Start()
			p.until("it is up again", `!document.querySelector('#hosts .dead') && document.getElementById('news').textContent.endsWith('is up again.')`)

			daemon.Stop()
			p.until("the daemon is gone", `document.getElementById('state').dataset.state === 'lost' && document.body.matches('.gone')`)
			p.check("the page", "http://"+address, one.PublicURL())
			p.quiet()
		})
	}
}

// openPage opens the page of a daemon.
func openPage(browser context.Context, t *testing.T, url string) *tab {
	t.Helper()
	p := newTab(browser, t, url, false)
	if _, err := chromedp.Call(p.ctx, log.Enable, cdp.Empty{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(evaluate[string](p, `document.body.innerText`))
		}
	})
	p.until("the page is live", `document.getElementById('state').dataset.state === 'live'`)
	return p
}

// quiet makes sure that the console has no errors, such as what the page's policy forbids.
func (p *tab) quiet() {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, complaint := range p.complaints {
		p.t.Errorf("the console says: %s", complaint)
	}
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
	p.t.Helper()
	press := func(action, job string) {
		p.t.Helper()
		p.do(chromedp.Evaluate[chromedp.Void](fmt.Sprintf(`document.querySelector('button[aria-label="%s job %s"]').focus()`, action, job)), chromedp.KeyEvent(kb.Enter))
		p.until("it asks", `document.getElementById('ask').open`)
	}
	press("Retry", jobs[0])
	p.until("the token has the focus", `document.activeElement.id === 'token'`)
	p.do(chromedp.KeyEvent(strings.Repeat("x", 20)), chromedp.KeyEvent(kb.Escape))
	p.until("the dialog is closed", `!document.getElementById('ask').open`)
	press("Retry", jobs[0])
	p.do(chromedp.KeyEvent(strings.Repeat("x", 20)), chromedp.KeyEvent(kb.Enter))
	p.until("it is refused", `document.getElementById('changed').textContent.includes("needs the daemon's PUSHGLUE_HTTP_TOKEN")`)
	if evaluate[int](p, `document.querySelectorAll('#stalled li').length`) != 2 {
		p.t.Error("a wrong token has changed something")
	}
	press("Retry", jobs[0])
	p.do(chromedp.KeyEvent(operatorsToken), chromedp.KeyEvent(kb.Enter))
	p.until("it is retried", `document.getElementById('changed').textContent.endsWith('is back on its feed.')`)
	p.until("one is left", `document.querySelectorAll('#stalled li').length === 1`)
	press("Retract", jobs[1])
	p.do(chromedp.Click(chromedp.CSS("#ask-yes")))
	p.until("it is retracted", `document.getElementById('changed').textContent.endsWith('is deleted.')`)
	p.until("none is left", `document.querySelectorAll('#stalled li').length === 0`)
	if evaluate[bool](p, `document.activeElement === document.body || localStorage.length > 0 || document.cookie !== ''`) {
		p.t.Error("the focus is lost, or the token is kept for longer than it should be")
	}
}

// accessible makes sure that who does not see, or has no mouse, finds everything.
func accessible(p *tab) {
	p.t.Helper()
	tree, err := chromedp.Call(p.ctx, accessibility.GetFullAXTree, accessibility.GetFullAXTreeParams{})
	if err != nil {
		p.t.Fatal(err)
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
			p.t.Errorf("%s: %q, want %q", role, got, want)
		}
	}
	for _, role := range []string{"button", "link", "textbox", "group", "list"} {
		if slices.Contains(found[role], "") {
			p.t.Errorf("a %s has no name: %q", role, found[role])
		}
	}
	if len(found["button"]) != 4 {
		p.t.Errorf("buttons: %q", found["button"])
	}
	// From top to bottom, and each with an outline.
	for _, want := range []string{"hosts-title", "Retry", "Retract", "Retry", "Retract"} {
		p.do(chromedp.KeyEvent(kb.Tab))
		got := evaluate[string](p, `document.activeElement.getAttribute('aria-labelledby') ?? document.activeElement.textContent`)
		if got != want || !evaluate[bool](p, `getComputedStyle(document.activeElement).outlineStyle === 'solid'`) {
			p.t.Errorf("Tab leads to %q, want %q with an outline", got, want)
		}
	}
}

func text(v *accessibility.Value) string { return strings.Trim(string(v.Value), `"`) }

// pictures are taken light, dark and on a phone, where nothing may be wider than the screen.
func pictures(p *tab, module string) {
	p.t.Helper()
	p.screenshot("page-" + module + ".png")
	media := func(name, value string) {
		p.t.Helper()
		features := []*emulation.MediaFeature{{Name: name, Value: value}}
		if _, err := chromedp.Call(p.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: features}); err != nil {
			p.t.Fatal(err)
		}
	}
	media("prefers-color-scheme", "dark")
	p.screenshot("page-" + module + "-dark.png")
	media("prefers-reduced-motion", "reduce")
	p.until("nothing moves", `document.querySelector('.flowing') && document.getAnimations().length === 0`)
	media("prefers-reduced-motion", "")
	p.do(chromedp.EmulateViewport(360, 740, chromedp.EmulateMobile))
	p.until("the way goes down", `document.querySelector('.way.down')`)
	if wide := evaluate[int](p, `document.documentElement.scrollWidth`); wide != 360 {
		p.t.Errorf("on a phone the page is %d px wide", wide)
	}
	p.screenshot("page-" + module + "-phone.png")
	p.do(chromedp.EmulateViewport(1280, 1400))
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

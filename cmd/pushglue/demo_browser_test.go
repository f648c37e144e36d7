package main

import (
	"context"
	"fmt"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"pushglue/glue/gluetest/browser"
)

// TestDemoInABrowser uses the demo's page in two tabs of a real browser. One of them ignores the
// page's Content-Security-Policy, so that it is the stage sanitize which must protect it.
func TestDemoInABrowser(t *testing.T) {
	demo := startDemo(t, "--for", "1h")
	chromium := browser.Start(t)
	plain := openTab(chromium, t, demo.url)
	bare := openTab(chromium, t, demo.url, browser.BypassCSP)
	tabs := map[string]*tab{"plain": plain, "without CSP": bare}

	// A comment from one tab reaches both.
	place := evaluate[float64](plain, threadTop)
	const greeting = "Hello from one tab & <b>the other</b>"
	plain.post("Ann & <i>Bo</i>", greeting)
	for name, tab := range tabs {
		tab.Until(name+" shows the comment", `[...document.querySelectorAll('#thread .post')].some((p) =>
			p.querySelector('.meta b').textContent === 'Ann & Bo' && p.querySelector('.text').innerHTML === 'Hello from one tab &amp; <b>the other</b>')`)
	}
	plain.Until("the tab tells how long it took", `/was back here after [0-9.]+ (µs|ms|s)\.$/.test(document.getElementById('posted').textContent)`)
	plain.Until("the tab knows its own", `document.querySelector('.post.own')`)
	if now := evaluate[float64](plain, threadTop); now != place {
		t.Errorf("the note moved the thread from %g to %g", place, now)
	}

	// An attack reaches both as well, defused.
	plain.post("Mallory", `marker <script>window.pwned=1</script><img src=x onerror="window.pwned=1"><a href="javascript:window.pwned=1">link</a><b id="ledger">id</b>`)
	for name, tab := range tabs {
		tab.Until(name+" shows the comment", `[...document.querySelectorAll('#thread .text')].some((e) => e.textContent.startsWith('marker'))`)
		tab.Until(name+" has tried to load the picture", `document.querySelector('#thread img.broken')`)
		if found := evaluate[string](tab, offences); found != "" {
			t.Errorf("%s: the thread contains %s", name, found)
		}
		if evaluate[bool](tab, `'pwned' in window`) {
			t.Errorf("%s: the attack ran", name)
		}
	}
	controlTheAttack(t, plain, bare)

	// Of some comments there is nothing to see. A name with nothing below would look like a fault.
	for message, want := range map[string]string{
		`<script>alert(1)</script>`: "(no text, or none that sanitize lets through)",
		`<img src=x>`:               "(only a picture, which does not load)",
	} {
		plain.post("Nobody", message)
		plain.Until("the page says "+want, fmt.Sprintf(`[...document.querySelectorAll('#thread .post')].some((p) =>
			p.querySelector('.meta b').textContent === 'Nobody' && p.querySelector('.remark').textContent === %q)`, want))
	}
	if evaluate[bool](plain, `[...document.querySelectorAll('#thread .post')].some((p) => p.querySelector('.text').innerText.trim() && p.querySelector('.remark').textContent)`) {
		t.Error("a comment with text has a remark that it has none")
	}

	// What happened to it is there to see.
	plain.post("Mallory", `marker <img src=x onerror="window.pwned=1">`)
	plain.Until("the inspector shows what sanitize removed", `document.querySelector('#inspector h3').textContent.startsWith('sanitize job c9000000005.1')
		&& document.querySelector('.diff .removed')?.textContent.includes('onerror')
		&& !document.querySelector('.diff .added')?.textContent.includes('onerror')`)
	plain.Do(chromedp.Click(chromedp.Search(`//*[@id="way"]/button[span="encrypt"]`)))
	plain.Until("the page decrypts", `document.querySelector('.jwe') && document.querySelector('.sealed .diff')?.textContent.includes('marker')`)
	plain.Until("who has the key reads the whole comment", `[...document.querySelectorAll('.sealed .added')].map((e) => e.textContent).join().match(/"visitor:Mallory".*"visitor@example.org".*"192.0.2.1".*/)`)
	plain.Until("the last jobs are listed", `document.querySelectorAll('#jobs button').length === 12`)
	useTheKeyboard(plain)
	postInAHurry(plain)
	for name, tab := range tabs {
		tab.Until(name+": the ledger balances", `document.getElementById('badge').dataset.state === 'good'`)
		if evaluate[bool](tab, `document.querySelector('.mark.wrong') !== null`) {
			t.Errorf("%s: an account does not balance", name)
		}
	}
	if evaluate[bool](plain, `document.querySelector('.talk .account, #thread [id]') !== null || document.querySelector('.books .account') === null`) {
		t.Error("a comment took the place of a part of the page")
	}
	plain.Screenshot("demo.png")

	// The end.
	demo.stop()
	plain.Until("the tab tells that the stream is lost", `document.getElementById('state').dataset.state === 'lost'`)
	plain.Until("the numbers are of the past", `document.body.matches('.past') && /^as of .*[0-9]/.test(document.getElementById('past').innerText)
		&& document.getElementById('past-sums').innerText.includes('the stream broke off at')`)
	plain.Do(chromedp.SendKeys(chromedp.ID("message"), "too late"), chromedp.Click(chromedp.CSS("#composer button[type=submit]")))
	plain.Until("the tab tells that nobody answers", `document.getElementById('posted').textContent.startsWith('The demo does not answer.')`)
	plain.Screenshot("demo-ended.png")
	for name, tab := range tabs {
		tab.Check(name, demo.url)
	}
}

// threadTop is where the list of comments begins.
const threadTop = `document.getElementById('thread').getBoundingClientRect().top + scrollY`

// offences finds in the thread whatever could run.
const offences = `[...document.querySelectorAll('#thread .text *')].flatMap((e) => [
	...(['SCRIPT', 'IFRAME', 'OBJECT', 'EMBED', 'FORM', 'STYLE', 'LINK', 'META', 'BASE'].includes(e.tagName) ? [e.tagName] : []),
	...[...e.attributes].filter((a) => /^on/i.test(a.name) || /^\s*(javascript|data|vbscript):/i.test(a.value)).map((a) => a.name + '=' + a.value),
]).join(' ')`

// controlTheAttack makes sure that the attack would be noticed: what is not sanitized runs in the tab
// without CSP, and is stopped by it in the other.
func controlTheAttack(t *testing.T, plain, bare *tab) {
	t.Helper()
	const attack = `(() => {
		const e = document.createElement('div');
		e.hidden = true;
		e.innerHTML = '<img src=x onerror="window.control = 1">';
		e.firstChild.addEventListener('error', () => { window.tried = 1; });
		document.body.append(e);
	})()`
	for _, tab := range []*tab{plain, bare} {
		tab.Do(chromedp.Evaluate[chromedp.Void](attack))
		tab.Until("the control has failed to load", `window.tried === 1`)
	}
	if evaluate[bool](plain, `'control' in window`) {
		t.Error("the page's Content-Security-Policy lets inline scripts run")
	}
	if !evaluate[bool](bare, `'control' in window`) {
		t.Error("the tab without CSP has one: this test shows nothing about the stage sanitize")
	}
}

// useTheKeyboard walks through the list of jobs, which holds still meanwhile and goes on after that.
func useTheKeyboard(p *tab) {
	p.T.Helper()
	const place = `[...document.querySelectorAll('#jobs button')].indexOf(document.activeElement)`
	p.Do(chromedp.SendKeys(chromedp.CSS("#jobs button"), kb.Tab))
	p.Until("the list is held", `!document.getElementById('held').hidden`)
	first := evaluate[int](p, place)
	p.Do(chromedp.KeyEvent(kb.Tab))
	p.Until("the next job has the focus", fmt.Sprintf("%d > 0 && %s === %d", first, place, first+1))
	p.Do(chromedp.Evaluate[chromedp.Void](`window.newest = document.querySelector('#jobs button').dataset.job, document.activeElement.blur()`))
	p.Until("the list goes on", `document.getElementById('held').hidden && document.querySelector('#jobs button').dataset.job !== newest`)
	if evaluate[bool](p, `document.querySelector('#jobs .bar').getAttribute('aria-hidden') !== 'true'`) {
		p.T.Error("the bars are read out")
	}
}

// postInAHurry submits a comment twice, and types on before the answer comes.
func postInAHurry(p *tab) {
	p.T.Helper()
	p.Do(chromedp.Evaluate[chromedp.Void](`(() => {
		const [form, message] = ['composer', 'message'].map((id) => document.getElementById(id));
		message.value = 'once';
		form.requestSubmit();
		form.requestSubmit();
		message.value = 'typed meanwhile';
	})()`))
	const once = `[...document.querySelectorAll('#thread .own .text')].filter((e) => e.textContent === 'once').length`
	p.Until("the comment is there", once)
	p.Until("the answer is there", `document.getElementById('posted').textContent.includes('was back here')`)
	if evaluate[string](p, `document.getElementById('message').value`) != "typed meanwhile" {
		p.T.Error("what was typed is lost")
	}
	p.Do(chromedp.Evaluate[chromedp.Void](`document.getElementById('message').value = ''`))
	p.post("Ann", "after it")
	p.Until("the next comment is there", `[...document.querySelectorAll('#thread .text')].some((e) => e.textContent === 'after it')`)
	if n := evaluate[int](p, once); n != 1 {
		p.T.Errorf("the comment is there %d times", n)
	}
}

// tab is a page in a browser.
type tab struct{ *browser.Tab }

// openTab opens the demo's page and waits until its stream is open.
func openTab(chromium context.Context, t *testing.T, address string, opts ...browser.Option) *tab {
	t.Helper()
	p := newTab(chromium, t, address, opts...)
	p.Until("the stream is open", `document.getElementById('state').dataset.state === 'live'`)
	return p
}

// newTab opens the page at an address.
func newTab(chromium context.Context, t *testing.T, address string, opts ...browser.Option) *tab {
	t.Helper()
	return &tab{browser.Open(chromium, t, address, opts...)}
}

// evaluate returns the value of a JavaScript expression.
func evaluate[T any](p *tab, expression string) T {
	p.T.Helper()
	return browser.Evaluate[T](p.Tab, expression)
}

// post fills in the form and sends it.
func (p *tab) post(author, message string) {
	p.T.Helper()
	p.Do(
		chromedp.SetValue(chromedp.ID("author"), author),
		chromedp.SendKeys(chromedp.ID("message"), message),
		chromedp.Click(chromedp.CSS("#composer button[type=submit]")),
	)
	p.Until("the comment is posted", `document.getElementById('message').value === ''`)
}

// Package site holds web sites that have the pages of nginx/www to what readers expect of them, in a real browser.
package site

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/accessibility"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"pushglue/glue/gluetest/browser"
)

// Site is a running site.
type Site struct {
	URL    string   // without a slash at its end
	Thread string   // one to which nobody else writes
	Hosts  []string // origins of push hosts, if they are not the site's own
	Plain  bool     // what people write is text, not HTML

	// Stop ends the push hosts with their streams, or cuts them off. Start brings them back.
	Stop, Start func()
}

// TestThread reads and writes a thread in several tabs of different people. To one of them no event streams come through, and to another
// one no WebSocket either.
func TestThread(t *testing.T, s Site) {
	chromium := browser.Start(t)
	address := s.URL + "/thread/?thread=" + s.Thread
	open := func(name string, opts ...browser.Option) *reader {
		opts = append(opts, browser.Visitor)
		return &reader{browser.Open(chromium, t, address, opts...), name}
	}
	ann, bo := open("Ann"), open("Bo")
	noStream := browser.Blocked("*://*:*/subscribe/*")
	cat, dan := open("Cat", noStream), open("Dan", noStream, browser.Before("window.WebSocket = undefined"))
	all := readers{ann, bo, cat, dan}
	for _, r := range all {
		r.Until(r.name+"'s page is live", live)
	}
	for r, want := range map[*reader]string{ann: "eventsource", cat: "websocket or poll", dan: "poll"} {
		if got := browser.Evaluate[string](r.Tab, `document.getElementById('state').dataset.transport`); !strings.Contains(want, got) {
			t.Errorf("%s reads by %s, want %s", r.name, got, want)
		}
	}
	all.until("four read", `document.getElementById('presence').innerText.trim() === '4 reading'`)
	ann.accessible()

	writeAndChange(s, ann, bo, all)
	scrollAway(ann, bo, all)
	restart(s, ann, all)

	bo.pictures()
	bo.Do(chromedp.Navigate("about:blank"))
	readers{ann, cat, dan}.until("three read", `document.getElementById('presence').innerText.trim() === '3 reading'`)
	for _, r := range all {
		r.Check(r.name, append(s.Hosts, s.URL)...)
		r.Quiet()
	}
}

const live = `document.getElementById('state')?.dataset.state === 'live'`

// reader is a person with the page.
type reader struct {
	*browser.Tab
	name string
}

type readers []*reader

func (all readers) until(what, expression string) {
	for _, r := range all {
		r.T.Helper()
		r.Until(r.name+": "+what, expression)
	}
}

// has is whether a comment with this text is there, whose element also fulfills a condition.
func has(text, condition string) string {
	return fmt.Sprintf(`[...document.querySelectorAll('#comments article')].some((e) => e.querySelector('.text')?.textContent === %q && %s)`, text, condition)
}

// writeAndChange writes comments with the page's form, an answer, an edit and a deletion.
func writeAndChange(s Site, ann, bo *reader, all readers) {
	ann.write("Hello from Ann")
	all.until("Ann's comment is there", has("Hello from Ann", `e.querySelector('b').textContent === 'Ann'`))
	bo.Until("those who listen are told", `document.getElementById('news').textContent === 'New comment by Ann.'`)
	if browser.Evaluate[bool](bo.Tab, `[...document.querySelectorAll('#comments button')].some((e) => e.textContent !== 'Reply')`) {
		bo.T.Error("Bo may change what Ann wrote")
	}

	bo.press("Hello from Ann", "Reply")
	bo.Until("it says whom Bo answers", `document.getElementById('answering').innerText.includes('Answering Ann') && document.activeElement.id === 'message'`)
	bo.write("Hello from Bo")
	all.until("Bo's answer is below it", has("Hello from Bo", `e.parentElement.parentElement.closest('li').querySelector('.text').textContent === 'Hello from Ann'`))

	ann.press("Hello from Ann", "Edit")
	ann.Until("the text is in a field", `document.activeElement.matches('.editing textarea') && document.activeElement.value === 'Hello from Ann'`)
	ann.Do(chromedp.KeyEvent(", again"), chromedp.Click(chromedp.CSS(".editing [type=submit]")))
	all.until("the edit is there", has("Hello from Ann, again", `e.querySelector('.edited').checkVisibility()`))

	ann.Run(losesAnAnswer)
	ann.post("once 1")
	ann.Until("nobody answers", `document.getElementById('problem').textContent !== ''`)
	ann.post("")
	ann.Until("it is posted again", `document.getElementById('message').value === ''`)
	all.until("it is there", has("once 1", "true"))

	written := `a <b onclick="pwned = 1">bold</b> slip<script>pwned = 1</script>`
	slip, bold := "a bold slip", 1
	if s.Plain {
		slip, bold = written, 0
	}
	ann.write(written)
	all.until("the slip is there, and harmless", has(slip, fmt.Sprintf(`e.querySelectorAll('.text b').length === %d && !e.querySelector('[onclick], script') && !('pwned' in window)`, bold)))
	ann.press(slip, "Delete")
	ann.Until("it asks, and Keep has the focus", `document.activeElement.textContent === 'Keep'`)
	ann.press(slip, "Delete")
	all.until("the slip is gone", "!"+has(slip, "true"))
	ann.press("Hello from Ann, again", "Delete")
	ann.press("Hello from Ann, again", "Delete")
	all.until("an answered comment leaves a stub", `document.querySelector('#comments > li > article.stub')?.textContent === 'This comment was deleted.'`)
}

// losesAnAnswer has the next comment of a page reach the application, and the answer get lost.
const losesAnAnswer = `(() => {
	const real = fetch;
	window.fetch = async (resource, init) => {
		if (!String(resource).endsWith('/comments')) return real(resource, init);
		window.fetch = real;
		await real(resource, init);
		throw new TypeError('lost');
	};
})()`

// scrollAway has comments come while somebody reads older ones.
func scrollAway(ann, bo *reader, all readers) {
	bo.Do(chromedp.EmulateViewport(1280, 700))
	ann.writeMany("filling", 12)
	all.until("they are there", has("filling 12", "true"))
	bo.Until("Bo's page has followed", `document.documentElement.scrollHeight - innerHeight - scrollY < 60`)
	bo.Run(`scrollTo(0, 150)`)
	const place = `[...document.querySelectorAll('#comments article')].find((e) => e.innerText.includes('filling 3')).getBoundingClientRect().top`
	before := browser.Evaluate[float64](bo.Tab, place)
	ann.writeMany("new", 3)
	bo.Until("it says how many there are", `(() => { const e = document.getElementById('fresh'); return e.checkVisibility() && e.textContent === '3 new comments ↓' && document.title === '(3) Comments'; })()`)
	if after := browser.Evaluate[float64](bo.Tab, place); after != before {
		bo.T.Errorf("what Bo reads jumped from %g to %g", before, after)
	}
	bo.Photograph("thread-new.png")
	bo.Do(chromedp.Click(chromedp.CSS("#fresh")))
	bo.Until("they are in sight, and told no more", `!document.getElementById('fresh').checkVisibility() && document.title === 'Comments'`)
	bo.Until("the first of them has the focus", `document.activeElement.innerText.includes('new 1')`)
	bo.Do(chromedp.EmulateViewport(1280, 1400))
}

// fails makes a page's next question for the whole thread fail.
const fails = `(() => {
	const real = fetch;
	window.fetch = (resource, init) => {
		if (init?.method !== 'GET') return real(resource, init);
		window.fetch = real;
		return Promise.reject(new TypeError('refused'));
	};
})()`

// restart restarts the push hosts while comments are written, and the application does not answer at once. Each is in each tab once in
// the end.
func restart(s Site, ann *reader, all readers) {
	ann.writeMany("before", 3)
	s.Stop()
	all.until("it is known that the stream broke", "!("+live+")")
	ann.writeMany("meanwhile", 25)
	ann.press("new 3", "Delete")
	ann.press("new 3", "Delete")
	for _, r := range all {
		r.Run(fails)
	}
	s.Start()
	ann.writeMany("after", 3)
	all.until("it is live again", `document.dispatchEvent(new Event('visibilitychange')) && `+live)
	var want []string
	for _, kind := range []struct {
		name string
		n    int
	}{{"once", 1}, {"filling", 12}, {"new", 2}, {"before", 3}, {"meanwhile", 25}, {"after", 3}} {
		for i := range kind.n {
			want = append(want, fmt.Sprintf("%s %d", kind.name, i+1))
		}
	}
	all.until("the last one is there", has("after 3", "true"))
	all.until("the deleted one is gone", "!"+has("new 3", "true"))
	all.until("all are there", fmt.Sprintf(`document.querySelectorAll('#comments > li > article:not(.stub) .text').length >= %d`, len(want)))
	for _, r := range all {
		var got []string
		if err := json.Unmarshal([]byte(browser.Evaluate[string](r.Tab, `JSON.stringify([...document.querySelectorAll('#comments > li > article .text')].map((e) => e.textContent))`)), &got); err != nil {
			r.T.Fatal(err)
		}
		if !slices.Equal(got, want) {
			r.T.Errorf("%s has\n%q, want\n%q", r.name, got, want)
		}
	}
}

// write writes a comment with the form and the keyboard.
func (r *reader) write(text string) {
	r.T.Helper()
	r.post(text)
	r.Until("the comment is taken", `document.getElementById('message').value === ''`)
}

// post adds a text to what stands in the form, and posts that.
func (r *reader) post(text string) {
	r.T.Helper()
	r.Do(
		chromedp.SetValue(chromedp.ID("author"), r.name),
		chromedp.SendKeys(chromedp.ID("message"), text),
		chromedp.KeyEvent(kb.Enter, chromedp.KeyModifiers(2)), // Control
	)
}

// writeMany writes comments as the page does, without its form.
func (r *reader) writeMany(text string, n int) {
	r.T.Helper()
	r.Run(fmt.Sprintf(`(async () => {
		for (let i = 1; i <= %d; i++) {
			document.getElementById('message').value = %q + ' ' + i;
			document.getElementById('composer').requestSubmit();
			await new Promise((done) => { const t = setInterval(() => { if (!document.getElementById('message').value) { clearInterval(t); done(); } }, 2); });
		}
		window.written = %q;
	})()`, n, text, text))
	r.Until("they are taken", fmt.Sprintf(`window.written === %q`, text))
}

// press presses a button of a comment.
func (r *reader) press(comment, button string) {
	r.T.Helper()
	find := fmt.Sprintf(`[...document.querySelectorAll('#comments article')].find((e) => e.querySelector('.text')?.textContent === %q)
		?.querySelectorAll('.actions button').values().find((e) => e.textContent === %q)`, comment, button)
	r.Until("there is "+button, find)
	r.Run(find + ".click()")
}

// accessible makes sure that who does not see finds everything by its role and name.
func (r *reader) accessible() {
	r.T.Helper()
	tree, err := chromedp.Call(r.Ctx, accessibility.GetFullAXTree, accessibility.GetFullAXTreeParams{})
	if err != nil {
		r.T.Fatal(err)
	}
	found := map[string][]string{} // names by role
	for _, n := range tree.Nodes {
		if n.Ignored || n.Role == nil {
			continue
		}
		name := ""
		if n.Name != nil {
			name = strings.Trim(string(n.Name.Value), `"`)
		}
		role := strings.Trim(string(n.Role.Value), `"`)
		found[role] = append(found[role], name)
	}
	for role, want := range map[string]string{"heading": "Comments", "form": "Your comment", "textbox": "Your comment", "list": "Comments, oldest first", "link": "Write a comment", "button": "Post"} {
		if !slices.ContainsFunc(found[role], func(name string) bool { return strings.HasPrefix(name, want) }) || slices.Contains(found[role], "") {
			r.T.Errorf("%s: %q, want %q", role, found[role], want)
		}
	}
	for _, role := range []string{"banner", "main", "contentinfo", "status"} {
		if len(found[role]) != 1 {
			r.T.Errorf("%d of the role %s", len(found[role]), role)
		}
	}
}

// pictures are taken light, dark and on a phone.
func (r *reader) pictures() {
	r.T.Helper()
	r.Do(chromedp.EmulateViewport(1280, 900))
	r.Run(`scrollTo(0, 0)`)
	r.Photograph("thread.png")
	r.Media("prefers-color-scheme", "dark")
	r.Photograph("thread-dark.png")
	r.Phone()
	r.Photograph("thread-dark-phone.png")
	r.Media("prefers-color-scheme", "light")
	r.Photograph("thread-phone.png")
	r.Do(chromedp.EmulateViewport(1280, 900))
}

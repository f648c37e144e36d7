package site

import (
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"pushglue/glue/gluetest/browser"
)

// TestMap looks at the map of traffic of a site where comments are written all the time, and goes from it to a thread.
func TestMap(t *testing.T, s Site) {
	p := browser.Open(browser.Start(t), t, s.URL+"/map/")
	p.Until("forums and threads are hot", live+` && document.querySelector('.map [data-channel^="forum:"]') && document.querySelectorAll('.map [data-channel^="thread:"]').length > 1`)
	p.Until("there is a rate", `parseFloat(document.getElementById('rate').textContent) > 0`)
	p.Photograph("map.png")
	p.Media("prefers-color-scheme", "dark")
	p.Photograph("map-dark.png")
	p.Phone()
	p.Photograph("map-phone.png")

	// Rows change their places, and the focus stays.
	p.Do(chromedp.KeyEvent(kb.Tab))
	p.Until("a thread has the focus", `document.activeElement.closest('[data-channel^="thread:"]')`)
	p.Run(`window.focused = document.activeElement; window.orders = new Set(); setInterval(() => orders.add([...document.querySelectorAll('.map li')].map((e) => e.dataset.channel).join()), 100)`)
	p.Until("the order has changed", `orders.size > 2`)
	if browser.Evaluate[bool](p, `focused.isConnected && document.activeElement !== focused`) {
		t.Error("the focus is lost")
	}
	p.Run(`document.querySelector('.map a').click()`)
	p.Until("its thread is there", `location.pathname.endsWith('/thread/') && `+live+` && document.querySelector('#comments article')`)
	p.Check("the map", append(s.Hosts, s.URL)...)
	p.Quiet()
}

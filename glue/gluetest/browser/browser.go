// Package browser opens pages in a real Chromium.
package browser

import (
	"context"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"pushglue/glue/gluetest/service"
)

// patience bounds every wait. Only a broken test reaches it.
const patience = 60 * time.Second

// Start starts Chromium without a window. It ends with the test.
func Start(t *testing.T) context.Context {
	t.Helper()
	service.Need(t, "chromium")
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath("chromium"), chromedp.NoSandbox)
	ctx, stop := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(stop)
	ctx, closeBrowser := chromedp.NewContext(ctx)
	t.Cleanup(closeBrowser)
	if err := chromedp.Do(ctx); err != nil {
		t.Fatal(err)
	}
	return ctx
}

// Tab is a page in a browser.
type Tab struct {
	T   *testing.T
	Ctx context.Context

	mu         sync.Mutex
	requests   []string // URLs
	failures   []string // errors of the page's scripts
	complaints []string // errors in the console, but for answers that are errors
}

// Option changes how a tab is opened.
type Option func(*options)

type options struct {
	bypassCSP bool
	blocked   []string // patterns of URLs
	scripts   []string
	visitor   bool
}

// BypassCSP has the page's Content-Security-Policy ignored.
func BypassCSP(o *options) { o.bypassCSP = true }

// Visitor gives the tab cookies of its own, as another person's browser has, in which it is the tab that is seen.
func Visitor(o *options) { o.visitor = true }

// Blocked lets nothing through to URLs of a pattern, such as "*://*:*/subscribe/*". WebSockets come through all the same.
func Blocked(pattern string) Option {
	return func(o *options) { o.blocked = append(o.blocked, pattern) }
}

// Before runs a script before those of the page.
func Before(script string) Option {
	return func(o *options) { o.scripts = append(o.scripts, script) }
}

// Open opens the page at an address. It is closed at the end of the test.
func Open(browser context.Context, t *testing.T, address string, opts ...Option) *Tab {
	t.Helper()
	var o options
	for _, option := range opts {
		option(&o)
	}
	var own []chromedp.ContextOption
	if o.visitor {
		own = append(own, chromedp.WithNewBrowserContext())
	}
	ctx, closeTab := chromedp.NewContext(browser, own...)
	t.Cleanup(closeTab)
	p := &Tab{T: t, Ctx: ctx}
	if err := chromedp.Listen(ctx, p.note); err != nil {
		t.Fatal(err)
	}
	call(p, network.Enable, network.EnableParams{})
	call(p, page.SetBypassCSP, page.SetBypassCSPParams{Enabled: o.bypassCSP})
	call(p, log.Enable, cdp.Empty{})
	call(p, emulation.SetFocusEmulationEnabled, emulation.SetFocusEmulationEnabledParams{Enabled: o.visitor})
	if len(o.blocked) > 0 {
		var patterns []*network.BlockPattern
		for _, pattern := range o.blocked {
			patterns = append(patterns, &network.BlockPattern{URLPattern: pattern, Block: true})
		}
		call(p, network.SetBlockedURLs, network.SetBlockedURLsParams{URLPatterns: patterns})
	}
	for _, script := range o.scripts {
		call(p, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: script})
	}
	p.Do(chromedp.EmulateViewport(1280, 1400), chromedp.Navigate(address))
	return p
}

func call[P, R any](p *Tab, command cdp.Command[P, R], params P) {
	p.T.Helper()
	if _, err := chromedp.Call(p.Ctx, command, params); err != nil {
		p.T.Fatal(err)
	}
}

func (p *Tab) note(event any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		p.requests = append(p.requests, e.Request.URL)
	case *log.EventEntryAdded:
		if e.Entry.Level == log.EntryLevelError && e.Entry.Source != log.EntrySourceNetwork {
			p.complaints = append(p.complaints, e.Entry.Text)
		}
	case *runtime.EventExceptionThrown:
		p.failures = append(p.failures, e.ExceptionDetails.Text+" "+e.ExceptionDetails.Exception.Description)
	}
}

// Do runs actions, each of which must work.
func (p *Tab) Do(actions ...chromedp.Action[chromedp.Void]) {
	p.T.Helper()
	ctx, cancel := context.WithTimeout(p.Ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		p.T.Fatal(err)
	}
}

// Run runs JavaScript.
func (p *Tab) Run(script string) {
	p.T.Helper()
	p.Do(chromedp.Evaluate[chromedp.Void](script))
}

// Evaluate returns the value of a JavaScript expression.
func Evaluate[T any](p *Tab, expression string) T {
	p.T.Helper()
	value, err := evaluate[T](p, expression)
	if err != nil {
		p.T.Fatalf("%s: %v", expression, err)
	}
	return value
}

func evaluate[T any](p *Tab, expression string) (T, error) {
	ctx, cancel := context.WithTimeout(p.Ctx, patience)
	defer cancel()
	return chromedp.Run(ctx, chromedp.Evaluate[T](expression))
}

// Until waits until a JavaScript expression is true, on whatever page the tab is by then.
func (p *Tab) Until(what, expression string) {
	p.T.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		is, err := evaluate[bool](p, "Boolean("+expression+")")
		var refused *cdproto.Error
		switch {
		case is:
			return
		case err != nil && !errors.As(err, &refused): // refused while the tab goes to another page
			p.T.Fatalf("%s: %v", expression, err)
		case time.Now().After(deadline):
			p.T.Fatalf("not in %s: %s; %v", patience, what, err)
		}
	}
}

// Media has the page think that the reader prefers something, such as "prefers-color-scheme", "dark".
func (p *Tab) Media(name, value string) {
	p.T.Helper()
	call(p, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: name, Value: value}}})
}

// Phone makes the screen a phone's, on which nothing may be wider than it is.
func (p *Tab) Phone() {
	p.T.Helper()
	p.Do(chromedp.EmulateViewport(360, 740, chromedp.EmulateMobile))
	p.Until("the screen is a phone's", `innerWidth === 360`)
	if wide := Evaluate[int](p, `document.documentElement.scrollWidth`); wide != 360 {
		p.T.Errorf("on a phone the page is %d px wide", wide)
	}
}

// Screenshot keeps a picture of the whole page.
func (p *Tab) Screenshot(name string) {
	p.T.Helper()
	p.keep(name, chromedp.FullScreenshot(100))
}

// Photograph keeps a picture of what is on the screen.
func (p *Tab) Photograph(name string) {
	p.T.Helper()
	p.keep(name, chromedp.CaptureScreenshot())
}

func (p *Tab) keep(name string, take chromedp.Action[[]byte]) {
	p.T.Helper()
	ctx, cancel := context.WithTimeout(p.Ctx, patience)
	defer cancel()
	picture, err := chromedp.Run(ctx, take)
	if err != nil {
		p.T.Fatal(err)
	}
	path := filepath.Join(p.T.ArtifactDir(), name)
	if err := os.WriteFile(path, picture, 0o600); err != nil {
		p.T.Fatal(err)
	}
	p.T.Log("screenshot:", path)
}

// Requests returns the URLs that the tab has asked for.
func (p *Tab) Requests() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.requests)
}

// Check makes sure that the tab asked nobody but these origins, and that its scripts had no error.
func (p *Tab) Check(name string, origins ...string) {
	p.T.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, request := range p.requests {
		u, err := url.Parse(request)
		if err != nil || u.Scheme != "data" && !slices.Contains(origins, "http"+strings.TrimPrefix(strings.TrimPrefix(u.Scheme, "http"), "ws")+"://"+u.Host) {
			p.T.Errorf("%s asked for %s", name, request)
		}
	}
	if len(p.requests) < 10 {
		p.T.Errorf("%s made only the requests %v: is this all?", name, p.requests)
	}
	if len(p.failures) > 0 {
		p.T.Errorf("%s: errors of scripts: %s", name, strings.Join(p.failures, "\n"))
	}
}

// Quiet makes sure that the console has no errors, such as what the page's policy forbids.
func (p *Tab) Quiet() {
	p.T.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, complaint := range p.complaints {
		p.T.Errorf("the console says: %s", complaint)
	}
}

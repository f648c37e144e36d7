package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"pushglue"
	"pushglue/glue/gluetest/browser"
	"pushglue/glue/gluetest/service"
	"pushglue/glue/thoonk"
)

// readerPage reads the channel in its address with the shipped module. It keeps the messages in got, and counts the
// events that they came in, and the streams that broke.
const readerPage = `<!doctype html><link rel="icon" href="data:,"><script type="module">
import { coalesced, unpack } from './pushglue.js';
Object.assign(window, { unpack, got: [], events: 0, lost: 0, errors: [] });
console.error = (...args) => errors.push(args.join(' '));
window.source = new EventSource(new URLSearchParams(location.search).get('stream'));
for (const type of ['message', 'post_save', 'post_delete', coalesced]) {
  source.addEventListener(type, (event) => {
    events++;
    got.push(...unpack(event));
  });
}
source.onerror = () => { lost++; };
source.onopen = () => { document.body.id = 'open'; };
</script>`

// startReaderPage serves readerPage and the module.
func startReaderPage(t *testing.T) string {
	t.Helper()
	return startPage(t, readerPage)
}

// startPage serves a page and the module.
func startPage(t *testing.T, text string) string {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte(text)) // the browser left
	})
	mux.Handle("GET /pushglue.js", http.FileServerFS(pushglue.WWW()))
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.URL
}

// received is a message as unpack returns it.
type received struct {
	ID   string          `json:"id"`
	Type string          `json:"type"`
	Data json.RawMessage `json:"data"`
}

// messages returns what a reader page has got.
func (p *tab) messages() []received {
	p.T.Helper()
	var list []received
	if err := json.Unmarshal([]byte(evaluate[string](p, "JSON.stringify(got)")), &list); err != nil {
		p.T.Fatal(err)
	}
	return list
}

// openReader opens a page that reads a channel.
func openReader(t *testing.T, open func(address string) *tab, base, stream string) *tab {
	t.Helper()
	p := open(base + "/?stream=" + url.QueryEscape(stream))
	p.Until("the stream is open", `document.body.id === 'open'`)
	return p
}

// TestCoalescingInABrowser runs the daemon with the shipped coalescing pipelines between a real Redis and a real
// push host, and reads with the shipped module in a real browser.
func TestCoalescingInABrowser(t *testing.T) {
	const jobs = 1500
	chromium := browser.Start(t)
	for _, module := range []string{service.Nchan, service.PushStream} {
		t.Run(module, func(t *testing.T) {
			host := service.StartNginx(t, module)
			store := service.StartRedis(t)
			base := startReaderPage(t)
			open := func(address string) *tab { return newTab(chromium, t, address) }
			all := openReader(t, open, base, host.PublicURL()+"/subscribe/thread:17")
			posts := openReader(t, open, base, host.PublicURL()+"/subscribe/posts:17")
			secret := openReader(t, open, base, host.PublicURL()+"/subscribe/secret:17")

			payloads, want := threadJobs(jobs)
			feed, err := thoonk.NewFeed(store.Client(t), "comments", thoonk.ThoonkPy)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := feed.Put(t.Context(), payloads, thoonk.PutOptions{}); err != nil {
				t.Fatal(err)
			}
			daemon := startDaemon(t, append(goldenKeys, "REDIS_URL="+store.URL(), "PUSH_MODULE="+module, "PUSH_HOSTS="+host.InternalURL(),
				"PIPELINES=../../testdata/pipelines/good/coalesce.yml")...)
			all.Until("all messages are there", fmt.Sprintf("got.length >= %d", jobs))
			sums := daemon.Stop()

			all.checkMessages(want)
			secret.checkSecrets(want)
			posts.checkLatest(want, sums.Pipelines[2].Publish.Published)
			if p := sums.Pipelines[2].Publish; p.Replaced == 0 || p.Published+p.Replaced != jobs {
				t.Errorf("replaced: %+v", p)
			}
			if sent := sums.Hosts[0].Sent; sent > 3*jobs/10 {
				t.Errorf("%d requests for %d messages", sent, 3*jobs)
			}
			for name, p := range map[string]*tab{"all": all, "posts": posts, "secret": secret} {
				if errs := evaluate[string](p, "errors.join()"); errs != "" || evaluate[int](p, "lost") > 0 {
					t.Errorf("%s: the page had errors: %s", name, errs)
				}
			}
		})
	}
}

// threadJobs returns jobs of one thread, and what a reader of it must get: posts are written and deleted, some messages
// have no type, and some ids are numbers.
func threadJobs(n int) (payloads [][]byte, want []received) {
	types := []string{"post_save", "post_delete", ""}
	for i := range n {
		kind, id := types[i%len(types)], fmt.Sprintf(`"c%d"`, i)
		if i%5 == 0 {
			id = fmt.Sprint(i + 1)
		}
		m := received{ID: strings.Trim(id, `"`), Type: kind, Data: fmt.Appendf(nil, `{"id":%s,"post":%d,"message":"<b>\"ä\" %d</b>"}`, id, i%7, i)}
		event := ""
		if kind == "" {
			m.Type = "message"
		} else {
			event = fmt.Sprintf(`"event":%q,`, kind)
		}
		payloads = append(payloads, fmt.Appendf(nil, `{%s"thread":17,%s`, event, m.Data[1:]))
		want = append(want, m)
	}
	return payloads, want
}

// checkMessages makes sure that a page got these messages: each once, in order, unchanged, most of them together.
func (p *tab) checkMessages(want []received) {
	p.T.Helper()
	got := p.messages()
	if len(got) != len(want) {
		p.T.Errorf("got %d messages, want %d", len(got), len(want))
	}
	for i := range min(len(got), len(want)) {
		if got[i].ID != want[i].ID || got[i].Type != want[i].Type || !bytes.Equal(got[i].Data, want[i].Data) {
			p.T.Fatalf("message %d is %s %s %s, want %s %s %s", i, got[i].ID, got[i].Type, got[i].Data, want[i].ID, want[i].Type, want[i].Data)
		}
	}
	if events := evaluate[int](p, "events"); events > len(want)/10 {
		p.T.Errorf("%d messages came in %d events", len(want), events)
	}
}

// checkSecrets makes sure that a page got all messages, encrypted.
func (p *tab) checkSecrets(want []received) {
	p.T.Helper()
	p.Until("all secrets are there", fmt.Sprintf("got.length >= %d", len(want)))
	for i, m := range p.messages() {
		var jwe string
		if err := json.Unmarshal(m.Data, &jwe); err != nil {
			p.T.Fatalf("message %d is no text: %s", i, m.Data)
		}
		var plain struct{ Message string }
		if err := json.Unmarshal([]byte(decrypted(jwe)), &plain); err != nil || plain.Message != fmt.Sprintf(`<b>"ä" %d</b>`, i) {
			p.T.Fatalf("message %d is %s, %v", i, decrypted(jwe), err)
		}
	}
}

// checkLatest makes sure that a page got n of these messages, each once, in order, the last of each post among them.
func (p *tab) checkLatest(want []received, n int64) {
	p.T.Helper()
	p.Until("all posts are there", fmt.Sprintf("got.length >= %d", n))
	got := p.messages()
	last := -1
	for _, m := range got {
		i := slices.IndexFunc(want, func(w received) bool { return w.ID == m.ID })
		if i <= last || !bytes.Equal(m.Data, want[i].Data) || m.Type != want[i].Type {
			p.T.Fatalf("got %s %s behind message %d", m.ID, m.Data, last)
		}
		last = i
	}
	for _, w := range want[len(want)-7:] {
		if !slices.ContainsFunc(got, func(m received) bool { return m.ID == w.ID }) {
			p.T.Errorf("%s, the last one of its post, is lost", w.ID)
		}
	}
	if int64(len(got)) != n {
		p.T.Errorf("got %d, published %d", len(got), n)
	}
}

// TestUnpack gives the module events as a browser makes them.
func TestUnpack(t *testing.T) {
	p := newTab(browser.Start(t), t, startReaderPage(t)+"/?stream=none")
	p.Until("the module is loaded", `window.unpack`)
	for _, test := range []struct{ kind, id, data, want string }{
		{"post_save", "7", `{"id":"c7","a":1}`, `[{"id":"c7","type":"post_save","data":{"id":"c7","a":1}}]`},
		{"post_save", "1:0", `{"id":7}`, `[{"id":"7","type":"post_save","data":{"id":7}}]`},
		{"message", "1:0", `{"id":{"a":1}}`, `[{"id":"1:0","type":"message","data":{"id":{"a":1}}}]`},
		{"message", "9007199254740993", `{"id":9007199254740993}`, `[{"id":"9007199254740993","type":"message","data":{"id":9007199254740992}}]`},
		{"message", "7", `text`, `[{"id":"7","type":"message","data":"text"}]`},
		{"message", "7", `[text`, `[{"id":"7","type":"message","data":"[text"}]`},
		{"message", "7", `[1]`, `[{"id":"7","type":"message","data":[1]}]`},
		{"message", "7", `12`, `[{"id":"7","type":"message","data":"12"}]`},
		{"message", "7", `null`, `[{"id":"7","type":"message","data":"null"}]`},
		{
			"coalesced", "9", `[{"id":"8","type":"post_save","data":{"id":8}},{"id":"9","data":"text"},{"id":"10","data":"{\"a\":1}"}]`,
			`[{"id":"8","type":"post_save","data":{"id":8}},{"id":"9","type":"message","data":"text"},{"id":"10","type":"message","data":{"a":1}}]`,
		},
		{"coalesced", "9", `[{"id":"9007199254740993","data":{"id":9007199254740993}}]`, `[{"id":"9007199254740993","type":"message","data":{"id":9007199254740992}}]`},
		{"coalesced", "9", `[]`, `[]`},
		// An application's own type of this name.
		{"coalesced", "9", `{"id":"9"}`, `[{"id":"9","type":"coalesced","data":{"id":"9"}}]`},
		{"coalesced", "9", `text`, `[{"id":"9","type":"coalesced","data":"text"}]`},
	} {
		if got := p.unpack("unpack(event)", test.kind, test.id, test.data); got != test.want {
			t.Errorf("%s %s %s: got %s, want %s", test.kind, test.id, test.data, got, test.want)
		}
	}
	if errs := evaluate[string](p, "errors.join()"); errs != "" {
		t.Errorf("errors: %s", errs)
	}
	// What is broken is told, and what is not broken is read.
	for data, want := range map[string]string{
		`[{"id":"8","data":{"id":"8"}`:                                   "[] several messages are no JSON",
		`[{"id":"8","data":{}},{"id":"9"},null,7,{"data":1}]`:            `[{"id":"8","type":"message","data":{}}] 4 of 5 messages have no id or no data`,
		`[{"id":"8","data":null},{"id":9,"data":1},{"id":"9","data":1}]`: `[{"id":"8","type":"message","data":null},{"id":"9","type":"message","data":1}] 1 of 3 messages`,
	} {
		got := p.unpack("unpack(event)", "coalesced", "9", data) + " " + evaluate[string](p, "errors.splice(0).join().replace('pushglue: ', '')")
		if !strings.HasPrefix(got, want) {
			t.Errorf("%s: got %s, want %s", data, got, want)
		}
	}
	got := p.unpack("unpack(event, (text) => JSON.parse(text, (key, value) => (key === 'n' ? 'own' : value)))", "coalesced", "9", `[{"id":"8","data":{"n":1}},{"id":"9","data":"{\"n\":1}"}]`)
	if want := `[{"id":"8","type":"message","data":{"n":"own"}},{"id":"9","type":"message","data":{"n":"own"}}]`; got != want {
		t.Errorf("with a parser of its own: got %s, want %s", got, want)
	}
}

// unpack returns what a call makes of an event, as JSON.
func (p *tab) unpack(call, kind, id, data string) string {
	p.T.Helper()
	return evaluate[string](p, fmt.Sprintf(`(() => {
		const event = new MessageEvent(%q, { lastEventId: %q, data: %q });
		return JSON.stringify(%s);
	})()`, kind, id, data, call))
}

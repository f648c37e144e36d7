package demo

import (
	"context"
	"embed"
	"net"
	"net/http"
	"net/netip"
	"strings"

	"pushglue"
	"pushglue/cmd/pushglue/demo/forum"
	"pushglue/cmd/pushglue/web"
	"pushglue/glue/gluetest"
)

//go:embed page
var pageFiles embed.FS

// page is what a browser sees of the demo, all on one origin.
type page struct {
	name        string // of the host that is to listen; an address and localhost go without saying
	application *forum.Application
	threads     []forum.Thread
	host        *gluetest.PushServer
	watch       *watch
	way         way
	key         string // of the stage encrypt
	account     func(context.Context) any
}

func (p *page) handler() http.Handler {
	mux := http.NewServeMux()
	web.Handle(mux, pageFiles, "page")
	mux.Handle("/api/", p.application.Handler())
	mux.HandleFunc("GET /ledger", func(w http.ResponseWriter, r *http.Request) {
		answer(w, p.account(r.Context()))
	})
	mux.HandleFunc("GET /demo-way", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, map[string]any{"feed": feedName, "way": p.way})
	})
	mux.HandleFunc("GET /demo-threads", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, p.threads)
	})
	// The page decrypts, to show that it is possible. It may have the key because the key was made
	// for this run of the demo and encrypts nothing else. A real page gets the keys of the
	// channels that its user may read, after a login.
	mux.HandleFunc("GET /demo-keys", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, map[string]string{encryptKeyID: p.key})
	})
	mux.HandleFunc("GET /demo.yml", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = w.Write(pipelinesFile) // the client left
	})
	for _, name := range []string{"thread", "map"} {
		mux.Handle("GET /"+name+"/", http.FileServerFS(pushglue.WWW()))
	}
	mux.HandleFunc("GET /jobs/{job}", p.serveJob)
	mux.Handle("/subscribe/", p.host.Public())
	mux.Handle("/poll/", p.host.Public())
	// The policy is the second line of defence: the first is the stage sanitize. Pictures of this server are none:
	// six in a comment that name /poll/ would take all connections that a browser has to it.
	return web.Secure(sameHost(p.name, sameOrigin(mux)))
}

func (p *page) serveJob(w http.ResponseWriter, r *http.Request) {
	t := p.watch.settledJob(r.PathValue("job"))
	if t == nil {
		http.Error(w, "this job is not among those that were settled last", http.StatusNotFound)
		return
	}
	answer(w, t.details())
}

// sameHost refuses what is asked of a host that this one need not be. Else another site could give its own
// name this address (DNS rebinding), be of one origin with the page, and read and post what it likes.
// An address and localhost go without saying.
func sameHost(own string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := hostname(r.Host)
		if _, err := netip.ParseAddr(name); err != nil && !strings.EqualFold(name, "localhost") && !strings.EqualFold(name, own) {
			http.Error(w, "the demo does not go by this name: ask for an IP address, localhost, or the host in --addr", http.StatusMisdirectedRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// hostname returns the host of an address or of a Host header, which may lack the port.
func hostname(address string) string {
	if host, _, err := net.SplitHostPort(address); err == nil {
		return host
	}
	return strings.TrimSuffix(strings.TrimPrefix(address, "["), "]")
}

// sameOrigin refuses what another site makes a visitor's browser send.
func sameOrigin(next http.Handler) http.Handler {
	protection := http.NewCrossOriginProtection()
	protection.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "another site cannot post here: Origin must be this page's own", http.StatusForbidden)
	}))
	return protection.Handler(next)
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(encode(v)) // the client left
}

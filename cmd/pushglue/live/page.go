package live

import (
	"embed"
	"encoding/json"
	"net/http"
	"net/url"

	"pushglue/cmd/pushglue/web"
)

//go:embed page
var pageFiles embed.FS

// Handler answers /status, and / with the page that shows it.
func (p *Panel) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status", p.serveStatus)
	web.Handle(mux, pageFiles, "page")
	var streams []string
	if u, err := url.Parse(p.config.Stream); err == nil && u.Host != "" {
		streams = []string{u.Scheme + "://" + u.Host}
	}
	return web.Secure(mux, streams...)
}

func (p *Panel) serveStatus(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(p.Status(r.Context())) // the client left
}

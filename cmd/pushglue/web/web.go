// Package web is what the pages of pushglue have in common: where their files are, and what they may not do.
package web

import (
	"embed"
	"io/fs"
	"net/http"

	"pushglue"
)

//go:embed files
var files embed.FS

// Handle has mux serve the files in a directory of a page's own, and those that pages share.
func Handle(mux *http.ServeMux, own fs.FS, dir string) {
	for _, tree := range []fs.FS{pushglue.WWW(), sub(files, "files"), sub(own, dir)} {
		entries, err := fs.ReadDir(tree, ".")
		if err != nil {
			panic(err) // it is embedded
		}
		serve := http.FileServerFS(tree)
		for _, entry := range entries {
			switch name := entry.Name(); {
			case entry.IsDir(): // a page for readers
			case name == "index.html":
				mux.Handle("GET /{$}", serve)
			default:
				mux.Handle("GET /"+name, serve)
			}
		}
	}
}

func sub(tree fs.FS, dir string) fs.FS {
	found, err := fs.Sub(tree, dir)
	if err != nil {
		panic(err) // the directory is embedded
	}
	return found
}

// Secure lets a page run its own scripts and talk to its own server, to the origins in streams, and to nobody else.
func Secure(next http.Handler, streams ...string) http.Handler {
	talks := "'self'"
	for _, origin := range streams {
		talks += " " + origin
	}
	policy := "default-src 'none'; script-src 'self'; style-src 'self'; connect-src " + talks + "; img-src data:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Set("Content-Security-Policy", policy)
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("Referrer-Policy", "no-referrer")
		header.Set("Cache-Control", "no-cache") // what answers next at this address may be another version
		next.ServeHTTP(w, r)
	})
}

// Package web is what the pages of pushglue have in common: their style, a few modules of JavaScript, and what they may not do.
package web

import (
	"embed"
	"io/fs"
	"net/http"
)

//go:embed files
var files embed.FS

// Files returns what pages load beside their own files.
func Files() fs.FS { return sub(files, "files") }

// Handle has mux serve the files in a directory of a page's own, and those that pages share.
func Handle(mux *http.ServeMux, own fs.FS, dir string) {
	for _, tree := range []fs.FS{Files(), sub(own, dir)} {
		names, err := fs.Glob(tree, "*")
		if err != nil {
			panic(err) // the pattern is right
		}
		serve := http.FileServerFS(tree)
		for _, name := range names {
			if name == "index.html" {
				name = "{$}"
			}
			mux.Handle("GET /"+name, serve)
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

// Package pushglue embeds what the demo works on, and the pages that browsers load. The program is in cmd/pushglue, the engine in glue.
package pushglue

import (
	"embed"
	"io/fs"
)

// Comments are jobs as a web application would put them, one envelope a line.
//
//go:embed testdata/comments.jsonl
var Comments []byte

//go:embed nginx/www
var www embed.FS

// WWW returns the files of nginx/www: the JavaScript module with which a page reads messages, the pages thread/ and map/, and
// what they share.
func WWW() fs.FS {
	files, err := fs.Sub(www, "nginx/www")
	if err != nil {
		panic(err) // the directory is embedded
	}
	return files
}

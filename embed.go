// Package pushglue embeds what the demo works on, and what a page works with. The program is in cmd/pushglue, the engine in glue.
package pushglue

import _ "embed"

// Comments are jobs as a web application would put them, one envelope a line.
//
//go:embed testdata/comments.jsonl
var Comments []byte

// Client is the JavaScript module with which a page reads messages.
//
//go:embed nginx/www/pushglue.js
var Client []byte

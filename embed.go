// Package pushglue embeds what the demo works on. The program is in cmd/pushglue, the engine in glue.
package pushglue

import _ "embed"

// Comments are jobs as a web application would put them, one envelope a line.
//
//go:embed testdata/comments.jsonl
var Comments []byte

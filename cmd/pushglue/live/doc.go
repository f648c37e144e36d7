// Package live shows what the daemon does now: a Status, which is made when somebody asks for it (panel.go); the page in a browser
// (page.go) and "pushglue top" in a terminal (top.go), which read nothing else; and the map of traffic: which channels are hot (traffic.go).
//
// A Status has counters. Rates are the viewer's: it takes two of them.
package live

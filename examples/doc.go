// Package examples tests the examples in its directories: applications that put jobs, and a stage of one's own. Their jobs go through
// the real daemon and a real nginx to a reader.
package examples

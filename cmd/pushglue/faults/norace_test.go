//go:build !race

package faults

// raceArgs makes the daemon's binary what the test's is.
var raceArgs []string

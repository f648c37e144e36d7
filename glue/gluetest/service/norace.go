//go:build !race

package service

// raceArgs makes the daemon's binary what the test's is.
var raceArgs []string

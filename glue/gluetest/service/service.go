// Package service starts the real servers that tests run against: one process for each caller,
// on a free port of 127.0.0.1, with its files in the test's temporary directory.
package service

import (
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// Need skips the test unless all binaries are on the PATH or in /usr/sbin, and names the Debian
// package that brings the missing one, which is called like its binary. Under CI=true it
// fails the test instead, so that a suite never passes because it did not run.
func Need(tb testing.TB, binaries ...string) {
	tb.Helper()
	for _, binary := range binaries {
		_, err := lookPath(binary)
		need(tb, err == nil, binary+" is not installed: run apt-get install "+binary)
	}
}

// FreePort returns a TCP port of 127.0.0.1 that was free a moment ago. It is none that the system
// gives to connections, which could take it before the server does.
func FreePort(tb testing.TB) int {
	tb.Helper()
	const lowest, highest, tries = 10000, 32767, 100
	for range tries {
		port := lowest + rand.IntN(highest-lowest+1)
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err == nil {
			l.Close()
			return port
		}
	}
	tb.Fatal("find a free port: all that were tried are in use")
	return 0
}

// lookPath finds a binary as exec.LookPath does, and in /usr/sbin, where Debian puts servers
// and which is not on every user's PATH.
func lookPath(binary string) (string, error) {
	path, err := exec.LookPath(binary)
	if err == nil || strings.Contains(binary, "/") {
		return path, err
	}
	return exec.LookPath("/usr/sbin/" + binary)
}

// NeedRoot skips the test unless it runs as root, which is needed for what. Under CI=true it fails
// the test instead.
func NeedRoot(tb testing.TB, what string) {
	tb.Helper()
	need(tb, os.Geteuid() == 0, what+" needs root: run the test as root, as CI does")
}

// NeedFile skips the test unless a file matches pattern, and returns the first one; the Debian package brings
// it. Under CI=true it fails the test instead.
func NeedFile(tb testing.TB, pattern, debianPackage string) string {
	tb.Helper()
	found, err := filepath.Glob(pattern)
	if err != nil {
		tb.Fatalf("find %s: %v", pattern, err)
	}
	need(tb, len(found) > 0, pattern+" is not there: run apt-get install "+debianPackage)
	return found[0]
}

func need(tb testing.TB, ok bool, missing string) {
	tb.Helper()
	switch {
	case ok:
	case os.Getenv("CI") == "true":
		tb.Fatal(missing)
	default:
		tb.Skip(missing)
	}
}

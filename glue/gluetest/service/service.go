// Package service starts the real servers that tests run against: one process for each caller,
// on a free port of 127.0.0.1, with its files in the test's temporary directory.
package service

import (
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// packages names the Debian package of a binary where it is not the binary's own name.
var packages = map[string]string{
	"redis-cli":    "redis-tools",
	"redis-server": "redis-server",
}

// Need skips the test unless all binaries are on the PATH or in /usr/sbin. Under CI=true it
// fails the test instead, so that a suite never passes because it did not run.
func Need(tb testing.TB, binaries ...string) {
	tb.Helper()
	for _, binary := range binaries {
		if _, err := lookPath(binary); err == nil {
			continue
		}
		const text = "%s is not installed: run apt-get install %s"
		if os.Getenv("CI") == "true" {
			tb.Fatalf(text, binary, debianPackage(binary))
		}
		tb.Skipf(text, binary, debianPackage(binary))
	}
}

// FreePort returns a TCP port of 127.0.0.1 that was free a moment ago.
func FreePort(tb testing.TB) int {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatalf("find a free port: %v", err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
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

func debianPackage(binary string) string {
	if name, ok := packages[binary]; ok {
		return name
	}
	return binary
}

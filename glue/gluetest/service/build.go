package service

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// RunWithBinary builds the command pushglue, with the race detector if the tests have it, and runs the tests of a package, which find the
// path of the binary in an environment variable. It is for a TestMain, and returns the code to exit with.
func RunWithBinary(m *testing.M, variable string) int {
	code, err := runWithBinary(m, variable)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

func runWithBinary(m *testing.M, variable string) (code int, err error) {
	dir, err := os.MkdirTemp("", "pushglue-tests")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	binary, err := build(dir)
	if err != nil {
		return 0, err
	}
	if err := os.Setenv(variable, binary); err != nil {
		return 0, err
	}
	return m.Run(), nil
}

func build(dir string) (binary string, err error) {
	binary = filepath.Join(dir, "pushglue")
	args := append([]string{"build", "-o", binary}, raceArgs...)
	text, err := exec.Command("go", append(args, "pushglue/cmd/pushglue")...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build pushglue: %w\n%s", err, text)
	}
	return binary, nil
}

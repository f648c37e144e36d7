package service

import (
	"fmt"
	"os/exec"
	"path/filepath"
)

// Build builds the command pushglue in dir, with the race detector if the tests have it, and returns the path of the binary. It is for a
// TestMain.
func Build(dir string) (binary string, err error) {
	binary = filepath.Join(dir, "pushglue")
	args := append([]string{"build", "-o", binary}, raceArgs...)
	text, err := exec.Command("go", append(args, "pushglue/cmd/pushglue")...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build pushglue: %w\n%s", err, text)
	}
	return binary, nil
}

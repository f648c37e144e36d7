package monitoring

import (
	"errors"
	"fmt"
	"os"
	"testing"

	"pushglue/glue/gluetest/service"
)

// binaryVariable names the daemon's binary to tests: TestMain builds it once.
const binaryVariable = "MONITORING_PUSHGLUE"

func TestMain(m *testing.M) {
	code, err := build(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func build(m *testing.M) (code int, err error) {
	dir, err := os.MkdirTemp("", "pushglue-monitoring")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	binary, err := service.Build(dir)
	if err != nil {
		return 0, err
	}
	if err := os.Setenv(binaryVariable, binary); err != nil {
		return 0, err
	}
	return m.Run(), nil
}

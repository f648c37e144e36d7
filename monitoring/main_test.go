package monitoring

import (
	"fmt"
	"os"
	"testing"

	"pushglue/glue/gluetest/service"
)

// binaryVariable names the daemon's binary to tests: TestMain builds it once.
const binaryVariable = "MONITORING_PUSHGLUE"

func TestMain(m *testing.M) {
	code, err := service.RunWithBinary(m, binaryVariable)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

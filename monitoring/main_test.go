package monitoring

import (
	"os"
	"testing"

	"pushglue/glue/gluetest/service"
)

// binaryVariable names the daemon's binary to tests: TestMain builds it once.
const binaryVariable = "MONITORING_PUSHGLUE"

func TestMain(m *testing.M) { os.Exit(service.RunWithBinary(m, binaryVariable)) }

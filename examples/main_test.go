package examples

import (
	"os"
	"testing"
	"time"

	"pushglue/glue/gluetest/service"
)

// binaryVariable names the daemon's binary to tests: TestMain builds it once.
const binaryVariable = "EXAMPLES_PUSHGLUE"

func TestMain(m *testing.M) { os.Exit(service.RunWithBinary(m, binaryVariable)) }

// patience bounds every wait of the tests; none is expected to come near it.
const patience = 60 * time.Second

// eventually waits until done says so.
func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not in %s: %s", patience, what)
		}
	}
}

// startDaemon starts a daemon's binary between a Redis and a push host, with more settings if need be.
func startDaemon(t *testing.T, binary, pipelines string, store *service.Redis, host *service.Nginx, more ...string) {
	t.Helper()
	service.StartDaemon(t, append([]string{
		"PUSHGLUE_HTTP_ADDR=",
		"PUSHGLUE_ANONYMIZE_KEY=a key of the tests",
		"PUSHGLUE_PIPELINES=" + pipelines,
		"PUSHGLUE_REDIS_URL=" + store.URL(),
		"PUSHGLUE_PUSH_HOSTS=" + host.InternalURL(),
		"GORACE=atexit_sleep_ms=0",
	}, more...), binary, "run")
}

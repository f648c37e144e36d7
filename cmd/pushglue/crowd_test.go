//go:build performance

package main

import (
	"flag"
	"fmt"
	"testing"
	"time"

	"pushglue/cmd/pushglue/bench"
	"pushglue/cmd/pushglue/capacity"
	"pushglue/glue/gluetest/service"
)

var (
	crowdReaders = flag.Int("readers", 200_000, "readers of TestCrowd")
	crowdPause   = flag.Duration("pause", 40*time.Second, "time between two messages to all of them")
)

// TestCrowd connects more readers than a process has descriptors for, sends two messages to all of them, and compares the
// memory that they take with the formula; make crowd runs it. It fails if a reader is not there or misses anything.
func TestCrowd(t *testing.T) {
	slots, err := bench.MaxReaders()
	if err != nil {
		t.Fatal(err)
	}
	workers := *crowdReaders*5/4/slots + 1
	port := service.FreePort(t)
	s := &stack{t: t, redis: service.StartRedis(t), hosts: []*service.Nginx{service.StartNginx(t, module(),
		service.NginxFile("common/listen-public.conf", fmt.Sprintf("listen 127.0.0.1:%d default_server reuseport backlog=65535 so_keepalive=120s:30s:3;\n", port)),
		service.NginxFile("common/workers.conf", fmt.Sprintf("user root;\nworker_processes %d;\nworker_rlimit_nofile %d;\n", workers, slots*10/9)),
		service.NginxFile("common/worker-connections.conf", fmt.Sprintf("worker_connections %d;\n", slots)))}}
	// Where nginx answers only after it has served everybody that is patience, and no failure.
	s.more = []string{"PUSH_TIMEOUT=5m", "PUSH_DEADLINE=5m"}
	var r bench.SubscribeReport
	s.bench(&r, "subscribe", "--subscribe-url", fmt.Sprintf("http://127.0.0.1:%d/subscribe/", port), fmt.Sprint("--readers=", *crowdReaders),
		fmt.Sprint("--rate=", 1/crowdPause.Seconds()), fmt.Sprint("--for=", 2**crowdPause), fmt.Sprint("--wait=", 2**crowdPause))
	if r.Memory.Server == nil {
		t.Fatal(r.Memory.Missing)
	}
	plan := capacity.Default()
	plan.Module = module()
	fmt.Printf("| %s | %d | %d | %.0f | %d | %d | %.1f / %.1f | %d |\n", module(), r.Readers, workers, r.Connects, *r.Memory.Server, plan.ReaderBytes(), r.Latency.P50/1e3, r.Latency.P99/1e3, r.Lost)
}

package push_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"testing"
	"time"

	"pushglue/glue"
	"pushglue/glue/eventstream"
	"pushglue/glue/gluetest/service"
	"pushglue/glue/push"
)

// BenchmarkSkipEmpty publishes batches of messages with four channels each to a real host, by turns without and
// with skipping, while a share of the messages has one reader. It tells the time of a batch, and the CPU that
// the host spends on it. What is published stays in the host's memory for 10 s and more, so bound the
// number of batches: -benchtime 100x.
func BenchmarkSkipEmpty(b *testing.B) {
	for _, test := range []struct{ messages, read int }{{256, 0}, {256, 10}, {256, 100}, {1, 0}, {1, 100}} {
		b.Run(fmt.Sprintf("messages=%d/read=%d%%", test.messages, test.read), func(b *testing.B) {
			host := service.StartNginx(b, service.PushStream, service.NginxStore(false),
				service.NginxFile("push-stream/memory.conf", "push_stream_shared_memory_size 1024m;\n"))
			batch := benchmarkBatch(test.messages)
			for i, m := range batch {
				if i*test.read/100 < (i+1)*test.read/100 {
					listen(b, host.PublicURL(), m.Channels[1])
				}
			}
			pid := workerOf(b, host.InternalURL())
			off, on := newTurn(b, host, pid, false), newTurn(b, host, pid, true)
			for b.Loop() {
				off.publish(b, batch)
				on.publish(b, batch)
			}
			off.report(b, "off")
			on.report(b, "on")
			b.ReportMetric(0, "ns/op") // of both together, which means nothing
		})
	}
}

func benchmarkBatch(n int) []*glue.Message {
	batch := make([]*glue.Message, n)
	for i := range batch {
		body := fmt.Sprintf(`{"id":"%d","message":"%0300d"}`, i, i)
		batch[i] = to(body, fmt.Sprint("forum:", i), fmt.Sprint("thread:", i), fmt.Sprint("user:", i), fmt.Sprint("post:", i))
		batch[i].ID = fmt.Sprint(i)
	}
	return batch
}

// turn is one of the ways that are compared.
type turn struct {
	publisher  *push.Publisher
	pid        string // of the host's worker
	took, busy time.Duration
}

func newTurn(b *testing.B, host *service.Nginx, pid string, skip bool) *turn {
	b.Helper()
	p, err := push.New(push.Config{Hosts: []string{host.InternalURL()}, Module: push.PushStream, SkipEmpty: skip})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(p.Close)
	t := &turn{publisher: p, pid: pid}
	t.publish(b, benchmarkBatch(1)) // connects
	t.took, t.busy = 0, 0
	return t
}

func (t *turn) publish(b *testing.B, batch []*glue.Message) {
	b.Helper()
	outcomes := make([]error, len(batch))
	begin, before := time.Now(), cpuOf(b, t.pid)
	t.publisher.Publish(b.Context(), batch, outcomes)
	t.took += time.Since(begin)
	t.busy += cpuOf(b, t.pid) - before
	for _, err := range outcomes {
		if err != nil {
			b.Fatal(err)
		}
	}
}

func (t *turn) report(b *testing.B, name string) {
	b.ReportMetric(float64(t.took.Microseconds())/float64(b.N), name+"-µs")
	b.ReportMetric(float64(t.busy.Microseconds())/float64(b.N), name+"-host-cpu-µs")
}

// listen opens a stream that is read until the benchmark ends.
func listen(b *testing.B, url, channel string) {
	b.Helper()
	s, err := eventstream.Subscribe(b.Context(), url+"/subscribe/"+channel, "")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { s.Close() })
	go func() {
		for {
			if _, err := s.Next(); err != nil {
				return
			}
		}
	}()
}

// workerOf returns the process id of a host's one worker.
func workerOf(b *testing.B, url string) string {
	b.Helper()
	resp, err := http.Get(url + "/channels-stats")
	if err != nil {
		b.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		b.Fatal(err)
	}
	var totals struct {
		Workers []struct{ PID string } `json:"by_worker"`
	}
	if err := json.Unmarshal(text, &totals); err != nil || len(totals.Workers) != 1 {
		b.Fatalf("%v in %s", err, text)
	}
	http.DefaultClient.CloseIdleConnections()
	return totals.Workers[0].PID
}

// cpuOf returns what a process has used so far.
func cpuOf(b *testing.B, pid string) time.Duration {
	b.Helper()
	text, err := os.ReadFile("/proc/" + pid + "/schedstat")
	if err != nil {
		b.Fatal(err)
	}
	var used time.Duration // the file has nanoseconds
	if _, err := fmt.Sscan(string(text), &used); err != nil {
		b.Fatal(err)
	}
	return used
}

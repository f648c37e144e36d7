package main

import (
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"pushglue/glue/gluetest/service"
)

// spanReceiver is a collector that keeps the spans that it is sent.
type spanReceiver struct {
	*httptest.Server
	mu      sync.Mutex
	refuses bool
	spans   []*otlp.Span
	refused int
}

func startSpanReceiver(t *testing.T) *spanReceiver {
	t.Helper()
	r := &spanReceiver{}
	r.Server = httptest.NewServer(r)
	t.Cleanup(r.Close)
	return r
}

func (r *spanReceiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	body, err := io.ReadAll(req.Body)
	var got collector.ExportTraceServiceRequest
	if r.refuses || err != nil || req.URL.Path != "/v1/traces" || proto.Unmarshal(body, &got) != nil {
		r.refused++
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	for _, resource := range got.GetResourceSpans() {
		for _, scope := range resource.GetScopeSpans() {
			r.spans = append(r.spans, scope.GetSpans()...)
		}
	}
}

// named returns the spans of a trace with this name.
func (r *spanReceiver) named(trace, name string) (found []*otlp.Span) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.spans {
		if hex.EncodeToString(s.GetTraceId()) == trace && s.GetName() == name {
			found = append(found, s)
		}
	}
	return found
}

func attributeOf(s *otlp.Span, name string) string {
	for _, a := range s.GetAttributes() {
		if a.GetKey() == name {
			return a.GetValue().GetStringValue()
		}
	}
	return ""
}

// TestSpans: of three jobs one is in a trace that is sampled, one in a trace that is not, and one is poison and sampled.
func TestSpans(t *testing.T) {
	workdir(t, goodPipelines)
	store := service.StartRedis(t)
	one, two := service.StartNginx(t, service.Nchan), service.StartNginx(t, service.Nchan)
	receiver := startSpanReceiver(t)
	daemon := startDaemon(t, "REDIS_URL="+store.URL(), "PUSH_HOSTS="+one.InternalURL()+","+two.InternalURL(),
		"OTLP_ENDPOINT="+receiver.URL, "TRACE_SAMPLE=0")
	const sampled, other, poison = "4bf92f3577b34da6a3ce929d0e0e4736", "4bf92f3577b34da6a3ce929d0e0e4737", "4bf92f3577b34da6a3ce929d0e0e4738"
	putOn(t, store,
		`{"id":"m1","traceparent":"00-`+sampled+`-00f067aa0ba902b7-01"}`,
		`{"id":"m2","traceparent":"00-`+other+`-00f067aa0ba902b7-00"}`,
		`{"id":"not a token","traceparent":"00-`+poison+`-00f067aa0ba902b7-01"}`,
		`{"id":"m4"}`,
	)
	eventually(t, "the jobs' end", func() bool { return strings.Contains(daemon.Log(), "job failed") })
	daemon.Stop()

	roots := receiver.named(sampled, "job f")
	if len(roots) != 1 {
		t.Fatalf("the spans: %v", receiver.spans)
	}
	root := roots[0]
	if hex.EncodeToString(root.GetParentSpanId()) != "00f067aa0ba902b7" || attributeOf(root, "messaging.destination.name") != "f" || attributeOf(root, "pushglue.verdict") != "finish" {
		t.Errorf("the job's span: %v", root)
	}
	for name, parent := range map[string]string{"wait": "job f", "stage json": "job f", "stage route": "job f", "publish": "job f", "request": "publish", "settle": "job f"} {
		found := receiver.named(sampled, name)
		if want := map[string]int{"request": 2}[name]; len(found) != max(1, want) {
			t.Errorf("%d spans %s", len(found), name)
			continue
		}
		above := receiver.named(sampled, parent)[0]
		for _, s := range found {
			if !slices.Equal(s.GetParentSpanId(), above.GetSpanId()) || s.GetStartTimeUnixNano() < root.GetStartTimeUnixNano() || s.GetEndTimeUnixNano() > root.GetEndTimeUnixNano() ||
				s.GetStartTimeUnixNano() > s.GetEndTimeUnixNano() {
				t.Errorf("%s is not in %s: %v", name, parent, s)
			}
		}
	}
	var hosts []string
	for _, s := range receiver.named(sampled, "request") {
		hosts = append(hosts, "http://"+attributeOf(s, "server.address"))
	}
	if !slices.Contains(hosts, one.InternalURL()) || !slices.Contains(hosts, two.InternalURL()) {
		t.Errorf("requests to %q", hosts)
	}
	if failed := receiver.named(poison, "job f"); len(failed) != 1 || failed[0].GetStatus().GetCode() != otlp.Status_STATUS_CODE_ERROR || attributeOf(failed[0], "pushglue.verdict") != "stall" {
		t.Errorf("the poison job's span: %v", failed)
	}
	for _, s := range receiver.spans {
		if id := hex.EncodeToString(s.GetTraceId()); id != sampled && id != poison {
			t.Errorf("a span of a trace that is not sampled: %v", s)
		}
	}
}

// TestSpansAreLost: a collector that refuses them costs a line of the log, and no job.
func TestSpansAreLost(t *testing.T) {
	workdir(t, strings.Replace(goodPipelines, "publish: push", "publish: {file: {path: out}}", 1))
	store := service.StartRedis(t)
	receiver := startSpanReceiver(t)
	receiver.refuses = true
	daemon := startDaemon(t, "REDIS_URL="+store.URL(), "OTLP_ENDPOINT="+receiver.URL, "TRACE_SAMPLE=1", "TRACE=none")
	var payloads []string
	for i := range 1000 {
		payloads = append(payloads, fmt.Sprintf(`{"id":%d}`, i))
	}
	putOn(t, store, payloads...)
	eventually(t, "refusals", func() bool { receiver.mu.Lock(); defer receiver.mu.Unlock(); return receiver.refused > 1 })
	sums := daemon.Stop()
	if n := strings.Count(daemon.Log(), "cannot send spans; these are lost"); n != 1 || sums.Feeds[0].Finished != 1000 {
		t.Errorf("%d lines of the log, %d jobs finished", n, sums.Feeds[0].Finished)
	}
}

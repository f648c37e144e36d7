package bench

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// process is a readers' process, run by a goroutine.
type process struct {
	t      *testing.T
	stdin  *io.PipeWriter
	orders *json.Encoder
	news   chan news
	ended  chan error
}

func startProcess(t *testing.T) *process {
	t.Helper()
	in, stdin := io.Pipe()
	stdout, out := io.Pipe()
	p := &process{t: t, stdin: stdin, orders: json.NewEncoder(stdin), news: make(chan news, 1000), ended: make(chan error, 1)}
	go func() {
		defer in.Close()
		defer out.Close()
		p.ended <- ServeReaders(in, out)
	}()
	go func() {
		defer close(p.news)
		for lines := json.NewDecoder(stdout); ; {
			var n news
			if lines.Decode(&n) != nil {
				return
			}
			p.news <- n
		}
	}()
	t.Cleanup(func() { stdin.Close() })
	p.await(func(news) bool { return true }) // it is up
	return p
}

// await returns the first news that done accepts.
func (p *process) await(done func(news) bool) news {
	p.t.Helper()
	for n := range p.news {
		if done(n) {
			return n
		}
	}
	p.t.Fatal("the process has ended")
	return news{}
}

// open opens readers of a server's channels and waits until none is being opened any more.
func (p *process) open(server *httptest.Server, readers, channels int) {
	p.t.Helper()
	address := server.Listener.Addr().String()
	o := openOrder{Address: address, Host: address, Path: "/subscribe/", Channels: channels, Readers: readers, InFlight: 8}
	if err := p.orders.Encode(order{Open: &o}); err != nil {
		p.t.Fatal(err)
	}
	p.await(func(n news) bool { return n.Ready })
}

// finish returns the report, and waits until the process has ended.
func (p *process) finish(messages int, wait time.Duration) crowdReport {
	p.t.Helper()
	if err := p.orders.Encode(order{Finish: &finishOrder{Messages: messages, Wait: wait}}); err != nil {
		p.t.Fatal(err)
	}
	report := p.await(func(n news) bool { return n.Report != nil }).Report
	if err := <-p.ended; err != nil {
		p.t.Fatal(err)
	}
	return *report
}

// event is one of an event stream, with messages of these numbers.
func event(numbers ...int) string {
	var list []string
	for _, n := range numbers {
		list = append(list, fmt.Sprintf(`{"id":"%d.%d"}`, time.Now().UnixMicro(), n))
	}
	if len(list) == 1 {
		return "data: " + list[0] + "\n\n"
	}
	return "data: [" + strings.Join(list, ",") + "]\n\n"
}

// pushHost greets each reader and sends it what the script for its channel says, then waits for more.
func pushHost(t *testing.T, scripts map[string][]string) *httptest.Server {
	t.Helper()
	stopped := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for _, text := range append([]string{": hi\n\n"}, scripts[strings.TrimPrefix(r.URL.Path, "/subscribe/")]...) {
			if text == "end" {
				return
			}
			_, _ = io.WriteString(w, text) // the reader may have gone
			_ = http.NewResponseController(w).Flush()
		}
		select {
		case <-stopped:
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(server.Close)
	t.Cleanup(func() { close(stopped) })
	return server
}

// TestReadersReport has one channel for each thing that can go wrong, two readers each.
func TestReadersReport(t *testing.T) {
	host := pushHost(t, map[string][]string{
		"bench:0": {event(0), event(1, 2), event(3)},
		"bench:1": {event(0), event(2, 3)},
		"bench:2": {event(0), event(1, 3), event(2)},
		"bench:3": {event(0, 1, 2), event(1, 2), event(3)},
		"bench:4": {event(0, 1), "data: hello\n\n"},
		"bench:5": {event(0), event(3), "end"},
	})
	p := startProcess(t)
	p.open(host, 12, 6)
	p.await(func(n news) bool { return n.Deliveries == 2*(4+3+4+6+2+2) && n.Open == 10 })
	r := p.finish(6*4, 10*time.Millisecond)
	latency := NewLatency()
	if err := latency.Merge(r.Latency); err != nil || latency.h.TotalCount() != int64(r.Deliveries-r.Again) {
		t.Errorf("%d latencies, %v", latency.h.TotalCount(), err)
	}
	want := map[string]int{"connected": 12, "lost": 2 * (1 + 2 + 2), "losers": 2 * 3, "late": 2, "again": 4, "foreign": 2, "ended": 2}
	got := map[string]int{"connected": r.Connected, "lost": r.Lost, "losers": r.Losers, "late": r.Late, "again": r.Again, "foreign": r.Foreign, "ended": r.Ended["the server closed"]}
	if !maps.Equal(got, want) || len(r.Failures) != 0 || r.First == 0 || r.Last < r.First {
		t.Errorf("%+v\nwant %v", r, want)
	}
}

// TestReadersDoNotWait ends as soon as everything has come.
func TestReadersDoNotWait(t *testing.T) {
	host := pushHost(t, map[string][]string{"bench:0": {event(0, 1)}, "bench:1": {event(0)}, "bench:2": {"end"}})
	p := startProcess(t)
	p.open(host, 30, 3)
	if r := p.finish(4, time.Hour); r.Deliveries != 30 || r.Lost != 0 || r.Ended["the server closed"] != 10 {
		t.Errorf("%+v", r)
	}
}

// TestReadersTryAgain has a push host that is busy at first.
func TestReadersTryAgain(t *testing.T) {
	var asked atomic.Int32
	good := pushHost(t, nil).Config.Handler
	host := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasSuffix(r.URL.Path, ":1"):
			w.WriteHeader(http.StatusForbidden)
		case asked.Add(1) <= 2:
			w.WriteHeader(http.StatusServiceUnavailable)
		default:
			good.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(host.Close)
	p := startProcess(t)
	p.open(host, 4, 2)
	r := p.finish(0, time.Hour)
	want := map[string]int{"status 503": 2, "status 403": 2} // who may not is not tried again
	if r.Connected != 2 || !maps.Equal(r.Failures, want) {
		t.Errorf("%d connected, %v; want 2, %v", r.Connected, r.Failures, want)
	}
}

func TestReadersOfNobody(t *testing.T) {
	host := httptest.NewServer(nil)
	host.Close()
	p := startProcess(t)
	p.open(host, 3, 1)
	r := p.finish(0, time.Hour)
	if want := map[string]int{"connect: connection refused": 3 * maxAttempts}; r.Connected != 0 || !maps.Equal(r.Failures, want) {
		t.Errorf("%d connected, %v; want 0, %v", r.Connected, r.Failures, want)
	}
}

// TestReadersEndWithTheirParent closes the standard input of a process at different times.
func TestReadersEndWithTheirParent(t *testing.T) {
	host := pushHost(t, nil)
	for name, begin := range map[string]func(*process){
		"at once": func(*process) {},
		"open":    func(p *process) { p.open(host, 5, 1) },
	} {
		t.Run(name, func(t *testing.T) {
			p := startProcess(t)
			begin(p)
			p.stdin.Close()
			if err := <-p.ended; err != nil {
				t.Error(err)
			}
		})
	}
}

// TestReadersComeFromManyAddresses looks at where connections come from.
func TestReadersComeFromManyAddresses(t *testing.T) {
	sources := make(chan string, 2)
	host := httptest.NewUnstartedServer(pushHost(t, nil).Config.Handler)
	host.Config.ConnState = func(c net.Conn, state http.ConnState) {
		if state == http.StateNew {
			ip, _, _ := net.SplitHostPort(c.RemoteAddr().String())
			sources <- ip
		}
	}
	host.Start()
	t.Cleanup(host.Close)
	p := startProcess(t)
	address := host.Listener.Addr().String()
	o := openOrder{Address: address, Host: address, Path: "/", Channels: 1, First: sourcePorts - 1, Readers: 2, InFlight: 2}
	if err := p.orders.Encode(order{Open: &o}); err != nil {
		t.Fatal(err)
	}
	p.await(func(n news) bool { return n.Ready })
	got := []string{<-sources, <-sources}
	slices.Sort(got)
	if want := []string{"127.1.0.1", "127.1.0.2"}; !slices.Equal(got, want) {
		t.Errorf("readers come from %q, want %q", got, want)
	}
	p.finish(0, time.Hour)
}

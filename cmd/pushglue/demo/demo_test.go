package demo

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"pushglue/glue"
	"pushglue/glue/file"
)

// patience bounds what tests wait for.
const patience = 60 * time.Second

// TestRun runs the demo for more than a round of the script, with a visitor.
func TestRun(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	ctx, stop := context.WithTimeout(t.Context(), patience)
	defer stop()
	var out output
	ended := make(chan error)
	go func() {
		ended <- Run(ctx, Config{Addr: "127.0.0.1:0", Rate: 1000, Out: &out, Terminal: true, Log: zerolog.Nop()})
	}()
	url := out.await(ctx, t, `The demo is at (http://\S+)`)
	if answer := submit(t, url, `{"author":"Ann","message":"Hi"}`); answer != `{"post":9000000001,"id":"c9000000001.1"}` {
		t.Error(answer)
	}
	publishAsOthersDo(t, out.await(ctx, t, `push host (http://\S+)`)+"/publish?id="+firehose)
	submit(t, url, `{"author":"&`+strings.Repeat("amp;", 9)+`","message":"sanitize gives up"}`)
	out.await(ctx, t, `(?s)\r\x1b\[K[0-9]{3,} put .* received .* on the way, 1 stalled, 1 put by somebody else   the ledger balances`)
	if left, err := filepath.Glob(filepath.Join(os.TempDir(), "*", "comments.jsonl")); err != nil || len(left) != 1 {
		t.Errorf("the archive: %v, %v", left, err)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	out.await(t.Context(), t, `([0-9]+) jobs put, ([0-9]+) messages received, 1 stalled, 1 put by somebody else, and the ledger balances.\n`)
	if left, err := filepath.Glob(filepath.Join(os.TempDir(), "pushglue-demo-*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// submit puts a comment and returns the answer.
func submit(t *testing.T, url, comment string) string {
	t.Helper()
	resp, err := http.Post(url+"/api/threads/1/comments", "application/json", strings.NewReader(comment))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusCreated {
		t.Errorf("%s %v", resp.Status, err)
	}
	return string(answer)
}

// publishAsOthersDo publishes past the engine: from a shell, from another site, and by a name that this one
// gave to the address.
func publishAsOthersDo(t *testing.T, url string) {
	t.Helper()
	for _, test := range []struct {
		origin, host string
		code         int
	}{
		{"", "", http.StatusOK},
		{"http://evil.example", "", http.StatusForbidden},
		{"http://evil.example", "evil.example", http.StatusMisdirectedRequest},
	} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader("hi"))
		if err != nil {
			t.Fatal(err)
		}
		r.Host = test.host
		if test.origin != "" {
			r.Header.Set("Origin", test.origin)
		}
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != test.code {
			t.Errorf("%+v: %s", test, resp.Status)
		}
	}
}

// TestAFileBeginsAnew publishes more than a demo keeps.
func TestAFileBeginsAnew(t *testing.T) {
	path := filepath.Join(t.TempDir(), "comments.jsonl")
	p, err := file.New(file.Config{Path: path, Fsync: file.Never})
	if err != nil {
		t.Fatal(err)
	}
	f := &shortFile{p, path}
	for range 2*maxFile>>20 + 3 {
		f.Publish(t.Context(), []*glue.Message{glue.NewMessage("m", make([]byte, 1<<20))}, make([]error, 1))
	}
	if info, err := os.Stat(path); err != nil || info.Size() > maxFile+2<<20 || info.Size() == 0 {
		t.Errorf("%v, %v", info, err)
	}
	if err := p.Reopen(); err != nil {
		t.Error(err)
	}
}

// output is what Run writes.
type output struct {
	mu   sync.Mutex
	text strings.Builder
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

// await waits until the output has what pattern says, and returns its first group.
func (o *output) await(ctx context.Context, t *testing.T, pattern string) string {
	t.Helper()
	re := regexp.MustCompile(pattern)
	for ; ; time.Sleep(5 * time.Millisecond) {
		o.mu.Lock()
		text := o.text.String()
		o.mu.Unlock()
		if found := re.FindStringSubmatch(text); found != nil {
			return found[len(found)-1]
		}
		if ctx.Err() != nil {
			t.Fatalf("no %s in\n%s", pattern, text)
		}
	}
}

func TestAbort(t *testing.T) {
	abort := make(chan struct{})
	close(abort)
	err := Run(t.Context(), Config{Addr: "127.0.0.1:0", Rate: 1000, Out: io.Discard, Abort: abort, Log: zerolog.Nop()})
	if !strings.Contains(errorText(err), "aborted") {
		t.Errorf("got %v", err)
	}
}

func TestABusyAddress(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	err = Run(t.Context(), Config{Addr: taken.Addr().String(), Rate: 1, Out: io.Discard})
	want := "--addr: listen tcp " + taken.Addr().String() + ": bind: address already in use; choose another address, or 127.0.0.1:0 for any free port"
	if errorText(err) != want {
		t.Errorf("got %v", err)
	}
}

func TestBaseURL(t *testing.T) {
	for listen, want := range map[string]string{"127.0.0.1:0": `http://127\.0\.0\.1:\d+`, ":0": `http://127\.0\.0\.1:\d+`, "[::1]:0": `http://\[::1\]:\d+`} {
		l, err := net.Listen("tcp", listen)
		if err != nil {
			t.Fatal(err)
		}
		if got := baseURL(l); !regexp.MustCompile("^" + want + "$").MatchString(got) {
			t.Errorf("%s: %s", listen, got)
		}
		l.Close()
	}
}

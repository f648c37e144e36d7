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
	resp, err := http.Post(url+"/comments", jsonType, strings.NewReader(`{"author":"Ann","message":"Hi"}`))
	if err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if err != nil || resp.StatusCode != http.StatusAccepted || string(answer) != `{"id":"visitor-1"}` {
		t.Errorf("%s %s %v", resp.Status, answer, err)
	}
	out.await(ctx, t, `(?s)\r\x1b\[K[0-9]{3,} put .* received .* on the way   the ledger balances`)
	if left, err := filepath.Glob(filepath.Join(os.TempDir(), "*", "comments.jsonl")); err != nil || len(left) != 1 {
		t.Errorf("the archive: %v, %v", left, err)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	out.await(t.Context(), t, `([0-9]+) jobs put, ([0-9]+) messages received, and the ledger balances.\n`)
	if left, err := filepath.Glob(filepath.Join(os.TempDir(), "pushglue-demo-*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
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

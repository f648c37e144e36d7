package capacity

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"pushglue/glue/gluetest/service"
)

// patience bounds every wait. Only a broken test reaches it.
const patience = time.Minute

// weight is the memory of nginx and of its workers, in bytes.
type weight struct {
	own    int64 // but for what is read from files
	shared int64
}

func (w weight) minus(o weight) weight { return weight{w.own - o.own, w.shared - o.shared} }

// zone is how the shared memory of the module is named where Linux lists what a process has in memory.
const zone = "/dev/zero (deleted)"

// weigh adds up what each process has for itself, and its shares of what it shares with the others. Programs and libraries do
// not count: their shares change with every other nginx that comes or goes on the machine.
func weigh(t *testing.T, host *service.Nginx) (w weight) {
	t.Helper()
	for _, pid := range host.ProcessIDs() {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps", pid))
		if err != nil {
			t.Fatal(err)
		}
		var size *int64 // of what the mapping belongs to
		for line := range strings.Lines(string(text)) {
			fields := strings.Fields(line)
			switch {
			case !strings.HasSuffix(fields[0], ":"): // the head of a mapping
				size = w.of(line)
			case fields[0] == "Pss:" && size != nil:
				kib, err := strconv.ParseInt(fields[1], 10, 64)
				if err != nil {
					t.Fatal(err)
				}
				*size += kib << 10
			}
		}
	}
	return w
}

// of returns what a mapping adds to, by the line that Linux begins its description with, which ends with the file, if there is one.
func (w *weight) of(head string) *int64 {
	switch {
	case strings.HasSuffix(strings.TrimSpace(head), zone):
		return &w.shared
	case strings.Contains(head, "/"):
		return nil
	}
	return &w.own
}

// audience opens idle readers.
type audience struct {
	url     string // of a push host's public side
	readers int
	private bool   // a channel for each of them
	list    string // channels before the last one, with a slash behind each
	cookie  int    // bytes
	tls     *tls.Config
}

// gather opens all readers and returns when each of them is greeted. They stay until the test ends.
func (a audience) gather(t *testing.T) {
	t.Helper()
	numbers := make(chan int)
	errs := make(chan error, a.readers)
	var working sync.WaitGroup
	for range 32 {
		working.Go(func() {
			for i := range numbers {
				errs <- a.open(t, i)
			}
		})
	}
	for i := range a.readers {
		numbers <- i
	}
	close(numbers)
	working.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}

func (a audience) open(t *testing.T, i int) error {
	u, err := url.Parse(a.url)
	if err != nil {
		return err
	}
	conn, err := (&net.Dialer{Timeout: patience}).Dial("tcp", u.Host)
	if err != nil {
		return err
	}
	t.Cleanup(func() { conn.Close() })
	if a.tls != nil {
		conn = tls.Client(conn, a.tls)
	}
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	channel := "all"
	if a.private {
		channel = fmt.Sprintf("user:%d", i)
	}
	_, err = fmt.Fprintf(conn, "GET /subscribe/%s%s HTTP/1.1\r\nHost: %s\r\nAccept: text/event-stream\r\nCookie: %s\r\n\r\n", a.list, channel, u.Host, strings.Repeat("c", a.cookie))
	if err != nil {
		return err
	}
	in := bufio.NewReaderSize(conn, 512)
	resp, err := http.ReadResponse(in, nil)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("reader %d: status %d", i, resp.StatusCode)
	}
	_, err = resp.Body.Read(make([]byte, 1)) // of the greeting
	return err
}

// publish publishes messages of size bytes to each of the channels in turns, with an id and a type as pushglue does.
func publish(t *testing.T, host *service.Nginx, prefix string, channels, messages, size int) {
	t.Helper()
	body := bytes.Repeat([]byte("m"), size)
	client := &http.Client{Timeout: patience}
	defer client.CloseIdleConnections()
	for i := range messages * channels {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, fmt.Sprintf("%s/publish?id=%s:%d", host.InternalURL(), prefix, i%channels), bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"Event-Id", "Event-Type", "X-EventSource-Event"} {
			req.Header.Set(name, "post_save")
		}
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_, err = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode >= 300 {
			t.Fatalf("publish: status %d, %v", resp.StatusCode, err)
		}
	}
}

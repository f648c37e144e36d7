package service

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"pushglue/glue/eventstream"
	"pushglue/glue/gluetest/conform"
)

// eachModule runs a test against both modules.
func eachModule(t *testing.T, test func(t *testing.T, module string)) {
	t.Helper()
	for _, module := range []string{Nchan, PushStream} {
		t.Run(module, func(t *testing.T) { test(t, module) })
	}
}

func TestNginxConforms(t *testing.T) {
	eachModule(t, func(t *testing.T, module string) {
		n := StartNginx(t, module)
		conform.PushHost(t, n.PublicURL(), n.InternalURL(), module)
	})
}

func TestNginxWithoutStoreConforms(t *testing.T) {
	n := StartNginx(t, PushStream, NginxStore(false))
	conform.UnstoredPushHost(t, n.PublicURL(), n.InternalURL())
}

func TestNginxWorkers(t *testing.T) {
	eachModule(t, func(t *testing.T, module string) {
		n := StartNginx(t, module, NginxWorkers(2))
		if workers := len(strings.Split(strings.TrimSpace(childrenOf(t, n)), " ")); workers < 2 {
			t.Errorf("%d processes under nginx, want at least 2", workers)
		}
	})
}

func childrenOf(t *testing.T, n *Nginx) string {
	t.Helper()
	pid := n.process.Process.Pid
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", pid))
	if err != nil {
		t.Fatalf("list the processes under nginx: %v", err)
	}
	return string(children)
}

// The files as they are shipped are valid. Only the paths are the test's, since not every
// account may write Debian's, and the push-stream module's file.
func TestShippedNginxConfiguration(t *testing.T) {
	eachModule(t, func(t *testing.T, module string) {
		n := newNginx(t, module, nil)
		for path := range n.ownFiles() {
			switch path {
			case "common/paths.conf", "common/temp-paths.conf", "push-stream/modules.conf":
				continue
			case "common/listen-public.conf", "common/listen-internal.conf":
				if os.Geteuid() != 0 {
					continue // port 80
				}
			}
			text, err := os.ReadFile(filepath.Join(configurations(), path))
			if err != nil {
				t.Fatal(err)
			}
			n.replace(path, string(text))
		}
		out, err := n.command("-t").CombinedOutput()
		if err != nil {
			t.Fatalf("%v:\n%s", err, out)
		}
		for _, complaint := range []string{"[warn]", "[error]", "[emerg]", "[alert]"} {
			if strings.Contains(string(out), complaint) && os.Geteuid() == 0 {
				t.Errorf("nginx complains:\n%s", out)
			}
		}
	})
}

// So is the file that is in no use as shipped, with an operator's certificates.
func TestShippedNginxListensOverTLS(t *testing.T) {
	authority := NewAuthority(t)
	certificate, key := authority.Certificate("host", time.Now().Add(time.Hour))
	n := newNginx(t, Nchan, []NginxOption{NginxTLS(certificate, key, authority.File)})
	listen, err := os.ReadFile(filepath.Join(configurations(), "common", "listen-internal-tls.conf"))
	if err != nil {
		t.Fatal(err)
	}
	n.replace("common/listen-internal.conf", string(listen))
	if out, err := n.command("-t").CombinedOutput(); err != nil || strings.Contains(string(out), "[warn]") {
		t.Fatalf("%v:\n%s", err, out)
	}
}

// Every file says what it is for and where its directives are documented.
func TestShippedNginxFilesExplain(t *testing.T) {
	directive := regexp.MustCompile(`^[a-z_]+\s.*;$`)
	err := filepath.WalkDir(configurations(), func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() || filepath.Ext(path) != ".conf" {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if !strings.HasPrefix(string(text), "#") {
			t.Errorf("%s does not begin with what it is for", path)
		}
		for line := range strings.Lines(string(text)) {
			if directive.MatchString(strings.TrimSpace(line)) && !strings.Contains(string(text), "https://") && filepath.Base(path) != "nginx.conf" {
				t.Errorf("%s has directives and links no documentation", path)
				break
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestNginxInternalRefusesUnlistedAddresses(t *testing.T) {
	eachModule(t, func(t *testing.T, module string) {
		n := StartNginx(t, module)
		for address, want := range map[string]int{"127.0.0.1": http.StatusOK, "127.0.0.2": http.StatusForbidden} {
			client := clientFrom(t, address)
			for _, path := range []string{"/healthz", "/channels-stats"} {
				resp, err := client.Get(n.InternalURL() + path)
				if err != nil {
					t.Fatal(err)
				}
				resp.Body.Close()
				if resp.StatusCode != want {
					t.Errorf("GET %s from %s: status %d, want %d", path, address, resp.StatusCode, want)
				}
			}
			resp, err := client.Post(n.InternalURL()+"/publish?id=a", "text/plain", strings.NewReader("x"))
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if forbidden := resp.StatusCode == http.StatusForbidden; forbidden != (want == http.StatusForbidden) {
				t.Errorf("publish from %s: status %d", address, resp.StatusCode)
			}
		}
	})
}

// clientFrom returns a client whose connections come from address.
func clientFrom(t *testing.T, address string) *http.Client {
	t.Helper()
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}}
	transport := &http.Transport{DialContext: dialer.DialContext}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: patience}
}

// pushglue's connection outlives nginx's defaults for requests on one connection.
func TestNginxKeepsThePublishersConnection(t *testing.T) {
	eachModule(t, func(t *testing.T, module string) {
		n := StartNginx(t, module)
		conn := dial(t, n.InternalURL())
		answers := bufio.NewReader(conn)
		// A refused name costs its message only, as long as nginx leaves the connection open.
		for i := range 1500 {
			id, body := "a", "x"
			if i%100 == 0 {
				id = "bad%3Fname"
			}
			if _, err := fmt.Fprintf(conn, "POST /publish?id=%s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", id, len(body), body); err != nil {
				t.Fatalf("request %d: %v", i, err)
			}
			resp, err := http.ReadResponse(answers, nil)
			if err != nil {
				t.Fatalf("answer %d: %v", i, err)
			}
			_, _ = io.Copy(io.Discard, resp.Body) // an error shows in the next answer
			resp.Body.Close()
			if resp.Close {
				t.Fatalf("nginx closes the connection after request %d, status %d", i, resp.StatusCode)
			}
		}
	})
}

// A reload leaves publishing and new readers alone.
func TestNginxReload(t *testing.T) {
	eachModule(t, func(t *testing.T, module string) {
		n := StartNginx(t, module)
		n.Reload()
		receive(t, n)
		n.Stop()
		n.Stop()
		n.Start()
		receive(t, n)
	})
}

// receive publishes a message and requires that a reader gets it.
func receive(t *testing.T, n *Nginx) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	s, err := eventstream.Subscribe(ctx, n.PublicURL()+"/subscribe/a", "")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	resp, err := n.client.Post(n.InternalURL()+"/publish?id=a", "text/plain", strings.NewReader("x"))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if event, err := s.Next(); err != nil || event.Data != "x" {
		t.Fatalf("got %q, %v", event.Data, err)
	}
}

// A page sees nothing of the pings that keep its stream open, also when it comes back.
func TestNginxPingsAreComments(t *testing.T) {
	shipped, err := os.ReadFile(filepath.Join(configurations(), "nchan", "subscribe.conf"))
	if err != nil {
		t.Fatal(err)
	}
	n := StartNginx(t, Nchan, NginxFile("nchan/subscribe.conf", strings.Replace(string(shipped), "ping_interval 30;", "ping_interval 1;", 1)))
	for _, last := range []string{"", "1:0"} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, n.PublicURL()+"/subscribe/quiet", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Accept", "text/event-stream")
		req.Header.Set("Last-Event-ID", last)
		resp, err := n.client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		const want = ": hi\n\n:\n\n"
		got := make([]byte, len(want))
		_, err = io.ReadFull(resp.Body, got)
		resp.Body.Close()
		if err != nil || string(got) != want {
			t.Errorf("a reader that comes back from %q gets %q, %v; want %q", last, got, err, want)
		}
	}
}

func TestNginxFileReplacesAShippedFile(t *testing.T) {
	n := StartNginx(t, Nchan,
		NginxFile("common/internal-body.conf", "client_max_body_size 10; client_body_buffer_size 10;"),
		NginxFile("common/allow-internal.conf", "allow 127.0.0.1; allow 127.0.0.3; deny all;"))
	client := clientFrom(t, "127.0.0.3")
	for body, want := range map[string]int{"0123456789": http.StatusAccepted, "0123456789a": http.StatusRequestEntityTooLarge} {
		resp, err := client.Post(n.InternalURL()+"/publish?id=a", "text/plain", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("%d bytes: status %d, want %d", len(body), resp.StatusCode, want)
		}
	}
}

// WebSocket readers get messages, and nothing that they send goes anywhere.
func TestNginxWebSocket(t *testing.T) {
	eachModule(t, func(t *testing.T, module string) {
		n := StartNginx(t, module)
		conn := dial(t, n.PublicURL())
		_, err := io.WriteString(conn, "GET /ws/a HTTP/1.1\r\nHost: x\r\nOrigin: http://elsewhere.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
			"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n")
		if err != nil {
			t.Fatal(err)
		}
		frames := bufio.NewReader(conn)
		resp, err := http.ReadResponse(frames, nil)
		if err != nil {
			t.Fatal(err)
		}
		if resp.StatusCode != http.StatusSwitchingProtocols {
			t.Fatalf("status %d", resp.StatusCode)
		}
		awaitReaders(t, n, module, 1)
		receive(t, n)
		want := "\x81\x01x" // a text frame
		got := make([]byte, len(want))
		if _, err := io.ReadFull(frames, got); err != nil || string(got) != want {
			t.Errorf("got frame %q, %v; want %q", got, err, want)
		}

		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		witness, err := eventstream.Subscribe(ctx, n.PublicURL()+"/subscribe/a", "")
		if err != nil {
			t.Fatal(err)
		}
		defer witness.Close()
		// A text frame, masked with zeros. It arrives before what is published next. Nchan cuts
		// off who sends one, push-stream ignores it.
		if _, err := io.WriteString(conn, "\x81\x86\x00\x00\x00\x00forged"); err != nil {
			t.Fatal(err)
		}
		if module == Nchan {
			if opcode, err := frames.ReadByte(); err != nil || opcode != 0x88 {
				t.Errorf("the answer to what a reader sends is %#x, %v; want a close frame", opcode, err)
			}
		}
		receive(t, n)
		if event, err := witness.Next(); err != nil || event.Data != "x" {
			t.Errorf("another reader got %q, %v", event.Data, err)
		}
	})
}

func dial(t *testing.T, url string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return conn
}

// A request's body must not become the next request of its connection.
func TestNginxPublicRefusesBodies(t *testing.T) {
	const hidden = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
	requests := map[string]string{
		"POST": fmt.Sprintf("POST /subscribe/a HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", len(hidden), hidden),
		"GET":  fmt.Sprintf("GET /poll/ALL HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", len(hidden), hidden),
		"chunked": fmt.Sprintf("GET /poll/ALL HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n",
			len(hidden), hidden),
	}
	eachModule(t, func(t *testing.T, module string) {
		n := StartNginx(t, module)
		for name, request := range requests {
			conn := dial(t, n.PublicURL())
			if _, err := io.WriteString(conn, request); err != nil {
				t.Fatal(err)
			}
			answers, err := io.ReadAll(conn) // until nginx closes the connection
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if !strings.HasPrefix(string(answers), "HTTP/1.1 413 ") || strings.Count(string(answers), "HTTP/1.1 ") != 1 {
				t.Errorf("%s: answers %q", name, answers)
			}
		}
	})
}

// Nchan dies of a position that it does not know: none must get through to it, by whatever way.
func TestNginxSurvivesUnknownPositions(t *testing.T) {
	eachModule(t, func(t *testing.T, module string) {
		n := StartNginx(t, module)
		worker := childrenOf(t, n)
		for _, id := range []string{"1:", "1:0", ":", "5:[", "1:[0],1", "99999999999:0", fmt.Sprintf("%d:0", time.Now().Unix())} {
			for _, header := range []string{"Last-Event-ID", "If-None-Match", "If-Modified-Since"} {
				for _, path := range []string{"/subscribe/quiet", "/subscribe/quiet/too", "/subscribe/quiet?last_event_id=" + id} {
					ask(t, n, path, header, id)
				}
			}
		}
		receive(t, n)
		if now := childrenOf(t, n); now != worker {
			t.Errorf("the worker process was %s, is %s", worker, now)
		}
	})
}

// ask opens a stream with a header and leaves it open until the test ends; it may be refused.
func ask(t *testing.T, n *Nginx, path, header, value string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, n.PublicURL()+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", "text/event-stream")
	req.Header.Set(header, value)
	resp, err := n.client.Do(req)
	if err != nil {
		t.Fatalf("%s with %s: %s: %v", path, header, value, err)
	}
	t.Cleanup(func() { resp.Body.Close() })
}

// awaitReaders polls the statistics: a WebSocket has no greeting that would tell that it listens.
func awaitReaders(t *testing.T, n *Nginx, module string, want int) {
	t.Helper()
	field := fmt.Sprintf(`"subscribers": %d,`, want)
	if module == Nchan {
		field = fmt.Sprintf("\nsubscribers: %d\n", want)
	}
	n.await("count its readers", func() bool {
		resp, err := n.client.Get(n.InternalURL() + "/channels-stats")
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return strings.Contains(string(text), field)
	})
}

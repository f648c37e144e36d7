package service

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// edited is a file as it is shipped, but for what is replaced.
func edited(t *testing.T, path string, oldNew ...string) NginxOption {
	t.Helper()
	shipped, err := os.ReadFile(filepath.Join(configurations(), path))
	if err != nil {
		t.Fatal(err)
	}
	text := string(shipped)
	for i := 0; i < len(oldNew); i += 2 {
		if !strings.Contains(text, oldNew[i]) {
			t.Fatalf("%s has no %q", path, oldNew[i])
		}
		text = strings.ReplaceAll(text, oldNew[i], oldNew[i+1])
	}
	return NginxFile(path, text)
}

// open opens a reader, which stays until the test ends, and returns the answer.
func open(t *testing.T, client *http.Client, url string) *http.Response {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", "text/event-stream")
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	return resp
}

// An address has as many readers as it may, and a proxy as many as it wants.
func TestNginxLimitsReadersOfAnAddress(t *testing.T) {
	eachModule(t, func(t *testing.T, module string) {
		n := StartNginx(t, module,
			edited(t, "common/public-limits.conf", "limit_conn readers 10000;", "limit_conn readers 2;"),
			edited(t, "common/public-addresses.conf", "127.0.0.0/8 1;", "127.0.0.1 1;"))
		for address, third := range map[string]int{"127.0.0.2": http.StatusTooManyRequests, "127.0.0.3": http.StatusTooManyRequests, "127.0.0.1": http.StatusOK} {
			client := clientFrom(t, address)
			for i, want := range []int{http.StatusOK, http.StatusOK, third} {
				if resp := open(t, client, n.PublicURL()+"/subscribe/a"); resp.StatusCode != want {
					t.Errorf("reader %d from %s: status %d, want %d", i+1, address, resp.StatusCode, want)
				}
			}
		}
	})
}

// As shipped, private addresses are taken for proxies.
func TestShippedNginxDoesNotCountProxies(t *testing.T) {
	n := StartNginx(t, Nchan, edited(t, "common/public-limits.conf", "limit_conn readers 10000;", "limit_conn readers 1;"))
	client := clientFrom(t, "127.0.0.2")
	for i := range 3 {
		if resp := open(t, client, n.PublicURL()+"/subscribe/a"); resp.StatusCode != http.StatusOK {
			t.Errorf("reader %d: status %d", i+1, resp.StatusCode)
		}
	}
}

// Each stream of push-stream has one of the four lifetimes.
func TestNginxDrawsLifetimes(t *testing.T) {
	const readers = 150 // one lifetime of four is drawn by none of them once in 10^18 times
	n := StartNginx(t, PushStream,
		edited(t, "push-stream/cors.conf", `push_stream_allowed_origins "*";`, `push_stream_allowed_origins "*"; add_header X-Lifetime $lifetime$uri;`))
	client := clientFrom(t, "127.0.0.1")
	drawn := map[string]int{}
	for range readers {
		drawn[open(t, client, n.PublicURL()+"/subscribe/a").Header.Get("X-Lifetime")]++
	}
	for _, lifetime := range []string{"11m", "13m", "17m", "19m"} {
		if drawn[lifetime+"/eventsource-"+lifetime] == 0 {
			t.Errorf("no stream lives for %s: %v", lifetime, drawn)
		}
	}
	if len(drawn) != 4 {
		t.Errorf("there are others: %v", drawn)
	}
}

// A stream of push-stream ends when the time of its location is over, whichever it has drawn.
func TestNginxEndsStreams(t *testing.T) {
	const readers = 20
	n := StartNginx(t, PushStream, edited(t, "push-stream/subscribe.conf",
		"connection_ttl 11m", "connection_ttl 1s", "connection_ttl 13m", "connection_ttl 1s", "connection_ttl 17m", "connection_ttl 1s", "connection_ttl 19m", "connection_ttl 1s"))
	client := clientFrom(t, "127.0.0.1")
	var streams []io.Reader
	for range readers {
		streams = append(streams, open(t, client, n.PublicURL()+"/subscribe/a").Body)
	}
	for _, stream := range streams {
		if _, err := io.Copy(io.Discard, stream); err != nil {
			t.Errorf("a stream does not end: %v", err)
		}
	}
}

// The locations that a lot leads to are not there for anybody else.
func TestNginxHidesLifetimes(t *testing.T) {
	n := StartNginx(t, PushStream)
	client := clientFrom(t, "127.0.0.1")
	for _, path := range []string{"/eventsource-11m", "/websocket-19m"} {
		if resp := open(t, client, n.PublicURL()+path); resp.StatusCode != http.StatusNotFound {
			t.Errorf("GET %s: status %d", path, resp.StatusCode)
		}
	}
}

// Readers' TLS may end here, and whoever comes back does without most of the handshake.
func TestNginxTakesReadersOverTLS(t *testing.T) {
	eachModule(t, func(t *testing.T, module string) {
		authority := NewAuthority(t)
		certificate, key := authority.Certificate("host", time.Now().Add(time.Hour))
		files := edited(t, "common/public-tls.conf", "/etc/nginx/pushglue/public.pem", certificate, "/etc/nginx/pushglue/public.key", key)
		port := FreePort(t)
		n := StartNginx(t, module, files, NginxFile("common/listen-public.conf", fmt.Sprintf("listen 127.0.0.1:%d ssl;\ninclude ../common/public-tls.conf;\n", port)))

		text, err := os.ReadFile(authority.File)
		if err != nil {
			t.Fatal(err)
		}
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM(text)
		transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, ClientSessionCache: tls.NewLRUClientSessionCache(1)}}
		t.Cleanup(transport.CloseIdleConnections)
		client := &http.Client{Transport: transport}
		for i, again := range []bool{false, true} {
			resp := open(t, client, fmt.Sprintf("https://127.0.0.1:%d/subscribe/a", port))
			if _, err := resp.Body.Read(make([]byte, 1)); err != nil || resp.StatusCode != http.StatusOK || resp.TLS.DidResume != again {
				t.Errorf("reader %d: status %d, %v; resumed: %v, want %v", i+1, resp.StatusCode, err, resp.TLS.DidResume, again)
			}
		}
		checkListensOverTLS(t, n)
	})
}

// checkListensOverTLS has nginx check the shipped file that listens, which is not in use.
func checkListensOverTLS(t *testing.T, n *Nginx) {
	t.Helper()
	listen, err := os.ReadFile(filepath.Join(configurations(), "common", "listen-public-tls.conf"))
	if err != nil {
		t.Fatal(err)
	}
	n.replace("common/listen-public.conf", string(listen))
	if out, err := n.command("-t").CombinedOutput(); os.Geteuid() == 0 && (err != nil || strings.Contains(string(out), "[warn]")) {
		t.Errorf("%v:\n%s", err, out)
	}
}

package service

import (
	"bufio"
	"context"
	"crypto/md5"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"pushglue/glue/eventstream"
	"pushglue/glue/sign"
)

const privateKey = "0123456789abcdef0123456789abcdef"

// withKey gives a push host the key of private channels.
func withKey(key string) NginxOption {
	return NginxFile("common/private-key.conf", fmt.Sprintf("set $private_key %q;\n", key))
}

// signed returns "LIST?expires=…&signature=…", and its arguments alone.
func signed(t *testing.T, valid time.Duration, channels ...string) (list, arguments string) {
	t.Helper()
	signer, err := sign.New(privateKey)
	if err != nil {
		t.Fatal(err)
	}
	path, err := signer.Path(sign.Subscribe, time.Now().Add(valid), channels...)
	if err != nil {
		t.Fatal(err)
	}
	list = strings.TrimPrefix(path, "/subscribe/")
	_, arguments, _ = strings.Cut(path, "?")
	return list, arguments
}

// request is the head of a request for target, byte by byte as it is: net/http would tidy it up.
func request(method, target string) string {
	head := method + " " + target + " HTTP/1.1\r\nHost: x\r\n"
	if strings.Contains(target, "ws/") {
		return head + "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
	}
	return head + "Accept: text/event-stream\r\n\r\n"
}

// exchange sends a request and returns the answer's status, and its text as far as it comes.
func exchange(t *testing.T, n *Nginx, method, target string) (status int, text *bufio.Reader) {
	t.Helper()
	conn := dial(t, n.PublicURL())
	if _, err := io.WriteString(conn, request(method, target)); err != nil {
		t.Fatal(err)
	}
	text = bufio.NewReader(conn)
	resp, err := http.ReadResponse(text, &http.Request{Method: method})
	if err != nil {
		t.Fatalf("%s %s: %v", method, target, err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	return resp.StatusCode, bufio.NewReader(resp.Body)
}

// publish publishes to a channel on the internal side.
func publish(t *testing.T, n *Nginx, channel, body string) {
	t.Helper()
	resp, err := n.client.Post(n.InternalURL()+"/publish?id="+url.QueryEscape(channel), "text/plain", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		t.Fatalf("publish to %s: status %d", channel, resp.StatusCode)
	}
}

// trick is a list of channels in a URL by which somebody tries to read private:bob.
type trick struct {
	list              string
	pushStream, nchan int    // status; 0: it is a stream, of
	channel           string // which is another one
}

func tricks(t *testing.T) []trick {
	t.Helper()
	both := func(status int, lists ...string) (list []trick) {
		for _, l := range lists {
			list = append(list, trick{l, status, status, ""})
		}
		return list
	}
	_, bob := signed(t, time.Hour, "private:bob")
	_, ann := signed(t, time.Hour, "private:ann")
	_, pair := signed(t, time.Hour, "private:bob", "forum:news")
	_, stale := signed(t, -2*time.Second, "private:bob")
	_, staleAnn := signed(t, -2*time.Second, "private:ann")
	expires, signature, _ := strings.Cut(bob, "&")
	far := "expires=9999999999"
	all := both(
		403,
		// Nothing signed.
		"private:bob", "private:bob/", "private:bob?", "private:bob?expires=9999999999&signature=", "private:bob?"+far, "private:bob?"+signature,
		"forum:news/private:bob", "private:bob/forum:news", "forum:news/private:bob/", "private:bob?x=private:ann",
		// Other letters for the same bytes.
		"%70rivate:bob", "%70%72%69%76%61%74%65%3a%62%6F%62", "%70%72%69%76%61%74%65%3A%62%6f%62", "private%3Abob", "private%3abob", "forum:news/%70rivate:bob",
		"Private:bob", "PRIVATE:bob", "%50RIVATE:bob", "privat%45:bob",
		// Other slashes.
		"forum:news%2Fprivate:bob", "forum:news%2fprivate:bob", "forum:news%2F%70rivate%3Abob", "forum:news/x%2Fprivate:bob",
		"./private:bob", "x/../private:bob", "x/%2e%2e/private:bob", "../subscribe/private:bob", "..%2Fsubscribe/private:bob", "%2e%2e/poll/private:bob",
		// What modules cut off.
		"private:bob.b10", "private:bob.b10/", "forum:news/private:bob.b1", "private:bob%2eb10", "private:ann/private:bob?"+ann,
		// A signature for something else.
		"private:bob?"+ann, "private:bob?"+pair, "forum:news/private:bob?"+pair, "private:bob/forum:news/private:ann?"+pair,
		"private:bob/forum:news?"+bob, "private:bob/private:bob?"+bob, "private:bob.b10?"+bob, "Private:bob?"+bob, "private:bob?"+staleAnn,
		// Altered.
		"private:bob?"+far+"&"+signature, "private:bob?"+expires+"0&"+signature, "private:bob?"+bob[:len(bob)-2]+"xx", "private:bob?"+bob+"xx", "private:bob?"+bob[:len(bob)-1],
		"private:bob?expires=&"+signature, "private:bob?expires=0&"+signature, "private:bob?expires=-1&"+signature, "private:bob?"+strings.ReplaceAll(bob, "expires=", "expires=0x"),
		"private:bob?"+strings.ReplaceAll(bob, "expires=", "expires=+"), "private:bob?"+strings.ReplaceAll(bob, "expires=", "expires=%20"),
		// The first of several arguments counts.
		"private:bob?"+far+"&"+bob, "private:bob?signature=x&"+bob, "private:bob?"+stale[:len(stale)-2]+"xx&"+bob,
		"private:bob%23?"+bob,
	)
	all = append(all, both(410, "private:bob?"+stale, "private:bob?"+stale+"&"+bob)...)
	all = append(all, both(400, "private:bob%00", "%00private:bob", "%zzprivate:bob", "%1zprivate:bob", "private%:bob", "forum%0anews", "a%0a", "a%0d", "a%1f", "a%7F", "%0a")...)
	return append(all,
		trick{"private:bob//", 400, 403, ""},
		trick{"/private:bob", 400, 403, ""},
		trick{"private:bob%0a", 400, 403, ""},
		trick{"private:bob%3f", 400, 403, ""},
		trick{"private:bob#", 400, 403, ""},
		trick{"private:bob#?" + bob, 400, 403, ""},
		// nginx does not look behind a "#": push-stream would leave out the broken escape.
		trick{"a#/%1zprivate:bob", 400, 0, "a"},
		trick{"a#/pri%1zvate:bob", 400, 0, "a"},
		trick{"%2570rivate:bob", 0, 0, "%70rivate:bob"},
		trick{"a%252Fprivate:bob", 0, 0, "a%2Fprivate:bob"},
		trick{"xprivate:bob", 0, 0, "xprivate:bob"},
		trick{"private", 0, 0, "private"},
		trick{"forum:news?signature=x&expires=1", 0, 0, "forum:news"},
	)
}

// No trick opens another user's stream, by none of the three ways to read.
func TestNginxPrivateChannelsStayClosed(t *testing.T) {
	eachModule(t, func(t *testing.T, module string) {
		n := StartNginx(t, module, withKey(privateKey))
		for _, trick := range tricks(t) {
			want := trick.nchan
			if module == PushStream {
				want = trick.pushStream
			}
			if want == 0 {
				requireOther(t, n, trick)
				continue
			}
			for _, way := range []string{"/subscribe/", "/poll/", "/ws/", "http://x/subscribe/"} {
				if status, _ := exchange(t, n, http.MethodGet, way+trick.list); status != want {
					t.Errorf("GET %s%s: status %d, want %d", way, trick.list, status, want)
				}
			}
		}
		for target, want := range map[string][]int{
			"//subscribe/private:bob": {400, 403}, "/x/../subscribe/private:bob": {400, 403}, "/%73ubscribe/private:bob": {400, 403},
			"/subscribe%2Fprivate:bob": {400, 403}, "/Subscribe/private:bob": {404}, "/ws/../poll/private:bob": {403}, "/subscribe/..%2Fpublish": {404},
		} {
			status, _ := exchange(t, n, http.MethodGet, target)
			if status != want[0] && status != want[len(want)-1] {
				t.Errorf("GET %s: status %d, want one of %v", target, status, want)
			}
		}
		for _, method := range []string{"HEAD", "POST", "PUT", "DELETE", "OPTIONS", "get", "X"} {
			if status, _ := exchange(t, n, method, "/subscribe/private:bob"); status/100 != 4 {
				t.Errorf("%s: status %d", method, status)
			}
		}
	})
}

// requireOther requires that a trick leads to the stream of another channel, which gets nothing of private:bob.
func requireOther(t *testing.T, n *Nginx, trick trick) {
	t.Helper()
	status, text := exchange(t, n, http.MethodGet, "/subscribe/"+trick.list)
	if status != http.StatusOK {
		t.Errorf("GET %s: status %d, want a stream of %s", trick.list, status, trick.channel)
		return
	}
	if _, err := text.ReadString('\n'); err != nil { // the greeting
		t.Fatal(err)
	}
	publish(t, n, "private:bob", "secret")
	publish(t, n, trick.channel, "marker")
	if event, err := eventstream.NewReader(text).Next(); err != nil || event.Data != "marker" {
		t.Errorf("GET %s: got %q, %v; want what is published to %s", trick.list, event.Data, err, trick.channel)
	}
}

// As shipped there is no key, and a short one counts for none: nobody reads a private channel.
func TestNginxPrivateChannelsNeedAKey(t *testing.T) {
	eachModule(t, func(t *testing.T, module string) {
		for name, opts := range map[string][]NginxOption{
			"as shipped": nil, "empty": {withKey("")}, "short": {withKey(privateKey[:31])}, "a line of a file": {withKey(privateKey + "\n")},
		} {
			n := StartNginx(t, module, opts...)
			for _, key := range []string{"", privateKey[:31], privateKey + "\n", privateKey} {
				sum := md5.Sum([]byte(key + " 9999999999 private:bob " + key))
				target := "/subscribe/private:bob?expires=9999999999&signature=" + base64.RawURLEncoding.EncodeToString(sum[:])
				if status, _ := exchange(t, n, http.MethodGet, target); status != http.StatusForbidden {
					t.Errorf("%s: a signature with %q: status %d", name, key, status)
				}
			}
			receive(t, n) // public channels are
		}
	})
}

// Who has a signed URL reads its channels, by all ways, until it expires.
func TestNginxPrivateChannelsOpen(t *testing.T) {
	eachModule(t, func(t *testing.T, module string) {
		n := StartNginx(t, module, withKey(privateKey))
		list, arguments := signed(t, time.Hour, "private:bob", "forum:news")
		expires, signature, _ := strings.Cut(arguments, "&")
		for _, target := range []string{
			list, list + "&x=1", "private:bob/forum:news?" + signature + "&" + expires, "private:bob/forum:news/?" + arguments,
			"private:bob/forum:news?x=1&" + arguments + "&signature=x&expires=1", list + "&last_event_id=",
		} {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			s, err := eventstream.Subscribe(ctx, n.PublicURL()+"/subscribe/"+target, "")
			if err != nil {
				t.Fatalf("%s: %v", target, err)
			}
			for _, channel := range []string{"private:bob", "forum:news"} {
				publish(t, n, "private:ann", "for ann")
				publish(t, n, channel, channel)
				if event, err := s.Next(); err != nil || event.Data != channel {
					t.Errorf("%s: got %q, %v; want %q", target, event.Data, err, channel)
				}
			}
			s.Close()
			cancel()
		}
	})
}

func TestNginxPrivateChannelsByPollAndWebSocket(t *testing.T) {
	eachModule(t, func(t *testing.T, module string) {
		n := StartNginx(t, module, withKey(privateKey))
		list, _ := signed(t, time.Hour, "private:bob")
		ws, poll := dial(t, n.PublicURL()), dial(t, n.PublicURL())
		for conn, target := range map[io.Writer]string{ws: "/ws/" + list, poll: "/poll/" + list} {
			if _, err := io.WriteString(conn, request(http.MethodGet, target)); err != nil {
				t.Fatal(err)
			}
		}
		frames := bufio.NewReader(ws)
		resp, err := http.ReadResponse(frames, nil)
		if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
			t.Fatalf("the WebSocket is answered with %v, %v", resp, err)
		}
		awaitReaders(t, n, module, 2)
		publish(t, n, "private:bob", "hello")
		want := "\x81\x05hello"
		got := make([]byte, len(want))
		if _, err := io.ReadFull(frames, got); err != nil || string(got) != want {
			t.Errorf("the WebSocket got %q, %v", got, err)
		}
		resp, err = http.ReadResponse(bufio.NewReader(poll), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if body, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode != http.StatusOK || strings.TrimSpace(string(body)) != "hello" {
			t.Errorf("the poll got %d %q, %v", resp.StatusCode, body, err)
		}
	})
}

// What nginx/README.md tells those who sign in other languages opens a stream.
func TestNginxReadmeSigns(t *testing.T) {
	Need(t, "openssl")
	readme, err := os.ReadFile(configurations() + "/README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, script, found := strings.Cut(string(readme), "<!-- sign -->\n")
	script, _, ends := strings.Cut(script, "<!-- signed -->")
	if !found || !ends {
		t.Fatal("README.md has no script between <!-- sign --> and <!-- signed -->")
	}
	cmd := exec.CommandContext(t.Context(), "sh", "-eu", "-c", strings.ReplaceAll(script, "```sh", ""))
	cmd.Args[3] = strings.ReplaceAll(cmd.Args[3], "```", "")
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "PUSHGLUE_PRIVATE_KEY=" + privateKey}
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	n := StartNginx(t, Nchan, withKey(privateKey))
	s, err := eventstream.Subscribe(t.Context(), n.PublicURL()+strings.TrimSpace(string(out)), "")
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
}

// Nothing that publishes, counts readers or tells of the host answers on the public side, whatever way its
// path is written and whatever the method is.
func TestNginxInternalURLsAreNotPublic(t *testing.T) {
	eachModule(t, func(t *testing.T, module string) {
		n := StartNginx(t, module)
		witness, err := eventstream.Subscribe(t.Context(), n.PublicURL()+"/subscribe/a", "")
		if err != nil {
			t.Fatal(err)
		}
		defer witness.Close()
		for _, target := range []string{
			"/publish?id=a", "/channels-stats", "/channels-stats?id=ALL", "/healthz", "/pub?id=a", "/nchan_stub_status",
			"//publish?id=a", "/./publish?id=a", "/x/../publish?id=a", "/subscribe/../publish?id=a", "/subscribe/%2e%2e/publish?id=a", "/subscribe/..%2Fpublish?id=a",
			"/%70ublish?id=a", "/publish/?id=a", "/publish/a?id=a", "/PUBLISH?id=a", "/publish#?id=a", "http://x/publish?id=a", "/@healthy", "/subscribe", "/ws", "/poll",
		} {
			for _, method := range []string{"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"} {
				want := http.StatusNotFound
				if !slices.Contains([]string{"GET", "HEAD", "OPTIONS"}, method) {
					want = http.StatusMethodNotAllowed
				}
				if status, _ := exchange(t, n, method, target); status != want {
					t.Errorf("%s %s: status %d, want %d", method, target, status, want)
				}
			}
		}
		// Nor does a reader's URL, without a body that would get it 413.
		for _, path := range []string{"/subscribe/a", "/poll/a", "/ws/a"} {
			for _, method := range []string{"POST", "PUT", "DELETE", "PATCH"} {
				if status, _ := exchange(t, n, method, path); status != http.StatusMethodNotAllowed {
					t.Errorf("%s %s: status %d", method, path, status)
				}
			}
		}
		publish(t, n, "a", "from inside")
		if event, err := witness.Next(); err != nil || event.Data != "from inside" {
			t.Errorf("the witness got %q, %v", event.Data, err)
		}
	})
}

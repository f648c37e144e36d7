package push

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestReadAnswer(t *testing.T) {
	const ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
	for text, want := range map[string]answer{
		ok: {status: 200},
		"HTTP/1.1 202 Accepted\r\ncontent-LENGTH: 0\r\nConnection: keep-alive\r\n\r\n":                                                      {status: 202},
		"HTTP/1.1 204 No Content\r\n\r\n":                                                                                                   {status: 204},
		"HTTP/1.1 100 Continue\r\n\r\n" + ok:                                                                                                {status: 200},
		"HTTP/1.1 200\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\nA\r\n0123456789\r\n0\r\nT: x\r\n\r\n":                            {status: 200},
		"HTTP/1.1 400 Bad Request\r\nX-Nginx-PushStream-Explain: No channel id provided.\r\nContent-Length: 0\r\nConnection: close\r\n\r\n": {status: 400, explain: "No channel id provided.", last: true},
		"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n":                                                                                      {status: 200, last: true},
		"HTTP/1.1 200 OK\r\n\r\n":                                                                                                           {status: 200, last: true},
	} {
		in := bufio.NewReader(strings.NewReader(text + ok))
		got, err := readAnswer(in)
		if err != nil || got != want {
			t.Errorf("%q: got %+v, %v", text, got, err)
			continue
		}
		if want.last && !strings.Contains(text, "Length") {
			continue // it ends with the connection
		}
		if next, err := readAnswer(in); err != nil || next.status != 200 {
			t.Errorf("%q: the answer behind it is %+v, %v", text, next, err)
		}
	}
}

func TestReadAnswerRefuses(t *testing.T) {
	for _, text := range []string{
		"", "HTTP/1.1 200 OK", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\nContent-Length: 0\n\n", "HTTP/2 200\r\n\r\n", "HTTP/1.1 20 OK\r\n\r\n",
		"HTTP/1.1 2000\r\n\r\n", "HTTP/1.1 099 x\r\n\r\n", "HTTP/1.1 101 Switching Protocols\r\n\r\n", "200 OK\r\n\r\n", "<html>\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", "HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\na",
		"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\na", "HTTP/1.1 200 OK\r\nContent-Length: 9999999999\r\n\r\na",
		"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab", "HTTP/1.1 200 OK\r\nContent-Length : 0\r\n\r\n", "HTTP/1.1 200 OK\r\n: x\r\n\r\n",
		"HTTP/1.1 200 OK\r\nno colon\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\nabc", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n", "HTTP/1.1 200 OK\r\n" + strings.Repeat("a: b\r\n", 101) + "\r\n",
		"HTTP/1.1 200 OK\r\na: " + strings.Repeat("x", 1<<17) + "\r\n\r\n",
	} {
		if got, err := readAnswer(bufio.NewReaderSize(strings.NewReader(text), answerBuffer)); err == nil {
			t.Errorf("%.200q gives %+v", text, got)
		}
	}
}

// FuzzReadAnswer holds what is read against net/http: whatever is taken for an answer is one to it
// too, and ends at the same byte.
func FuzzReadAnswer(f *testing.F) {
	f.Add("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
	f.Add("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
	f.Add("HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
	f.Fuzz(func(t *testing.T, text string) {
		const mark = "HTTP/1.1 299 mark\r\nContent-Length: 0\r\n\r\n"
		in := bufio.NewReader(strings.NewReader(text + mark))
		a, err := readAnswer(in)
		if err != nil || a.last {
			return
		}
		rest, err := io.ReadAll(in)
		if err != nil {
			t.Fatal(err)
		}
		theirs := bufio.NewReader(strings.NewReader(text + mark))
		for {
			resp, err := http.ReadResponse(theirs, nil)
			if err != nil {
				t.Fatalf("%q: net/http says %v, we %+v", text, err, a)
			}
			if _, err := io.Copy(io.Discard, resp.Body); err != nil {
				t.Fatalf("%q: net/http says of the body %v, we %+v", text, err, a)
			}
			if resp.StatusCode < 200 {
				continue
			}
			if resp.StatusCode != a.status {
				t.Fatalf("%q: net/http says %d, we %+v", text, resp.StatusCode, a)
			}
			break
		}
		if theirRest, err := io.ReadAll(theirs); err != nil || !bytes.Equal(theirRest, rest) {
			t.Fatalf("%q: net/http leaves %q, we %q", text, theirRest, rest)
		}
	})
}

// FuzzNext reads a stream of answers twice: a pipe that remembers what it has read, and readAnswer, must read the same.
func FuzzNext(f *testing.F) {
	const ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
	f.Add(ok+ok+ok, 7)
	f.Add(ok+"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n{}\n"+ok, 1000)
	f.Add(ok+ok+"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"+ok, 30)
	f.Fuzz(func(t *testing.T, text string, size int) {
		if size < 1 {
			return
		}
		p := new(pipe)
		p.reader = patientReader{ctx: t.Context(), conn: &pieces{text: text, size: size}, mark: newMark(nil), timeout: time.Second}
		p.answers = bufio.NewReaderSize(&p.reader, answerBuffer)
		plain := bufio.NewReaderSize(strings.NewReader(text), answerBuffer)
		for {
			got, err := p.next()
			want, wantErr := readAnswer(plain)
			if got != want || (err == nil) != (wantErr == nil) {
				t.Fatalf("%q: got %+v, %v, want %+v, %v", text, got, err, want, wantErr)
			}
			if err != nil {
				return
			}
		}
	})
}

// pieces is a connection on which a text comes in pieces.
type pieces struct {
	net.Conn
	text string
	size int
}

func (*pieces) SetReadDeadline(time.Time) error { return nil }

func (c *pieces) Read(b []byte) (int, error) {
	if c.text == "" {
		return 0, io.EOF
	}
	n := copy(b[:min(len(b), c.size)], c.text)
	c.text = c.text[n:]
	return n, nil
}

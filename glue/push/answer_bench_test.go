package push

import (
	"bufio"
	"net"
	"testing"
	"time"
)

// sameAnswer is a connection to a host that answers the same for ever.
type sameAnswer struct {
	net.Conn
	text string
	at   int
}

func (*sameAnswer) SetReadDeadline(time.Time) error { return nil }

func (c *sameAnswer) Read(b []byte) (n int, err error) {
	for n < len(b) {
		k := copy(b[n:], c.text[c.at:])
		n, c.at = n+k, (c.at+k)%len(c.text)
	}
	return n, nil
}

// BenchmarkAnswer reads what push-stream answers: as if it were the first of its kind, and as one like the one
// before it.
func BenchmarkAnswer(b *testing.B) {
	const text = "HTTP/1.1 200 OK\r\nServer: nginx\r\nDate: Tue, 24 Nov 2026 13:53:58 GMT\r\nContent-Length: 0\r\nConnection: keep-alive\r\n" +
		"Expires: Thu, 01 Jan 1970 00:00:01 GMT\r\nCache-Control: no-cache, no-store, must-revalidate\r\n\r\n"
	for name, next := range map[string]func(*pipe) (answer, error){
		"first": func(p *pipe) (answer, error) { return readAnswer(p.answers) },
		"again": (*pipe).next,
	} {
		b.Run(name, func(b *testing.B) {
			p := new(pipe)
			p.reader = patientReader{ctx: b.Context(), conn: &sameAnswer{text: text}, mark: newMark(nil), timeout: time.Second}
			p.answers = bufio.NewReaderSize(&p.reader, answerBuffer)
			b.ReportAllocs()
			for b.Loop() {
				if a, err := next(p); err != nil || !a.accepted() {
					b.Fatal(a, err)
				}
			}
		})
	}
}

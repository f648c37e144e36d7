package push

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"pushglue/glue"
)

// answer is what a push host says to one request.
type answer struct {
	status  int
	explain string // X-Nginx-PushStream-Explain
	last    bool   // the connection ends behind it
}

func (a answer) accepted() bool { return a.status >= 200 && a.status <= 299 }

// outcome returns what an answer means for its message. What is about the message is permanent; what
// is about the host's state or configuration may pass.
func (a answer) outcome() error {
	if a.accepted() {
		return nil
	}
	err := fmt.Errorf("answers %d %s", a.status, http.StatusText(a.status))
	if a.explain != "" {
		err = fmt.Errorf("%w: %.100q", err, a.explain)
	}
	switch a.status {
	case http.StatusForbidden:
		if a.explain != "" {
			return glue.Permanent(err) // the module says that the channels are forbidden, which no check of ours let pass
		}
		return fmt.Errorf("%w: does it allow this daemon's address to publish?", err)
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge,
		http.StatusRequestURITooLong, http.StatusRequestHeaderFieldsTooLarge:
		return glue.Permanent(err)
	case http.StatusUnauthorized:
		return fmt.Errorf("%w: does it want an Authorization header, or a client certificate?", err)
	case http.StatusNotFound, http.StatusMethodNotAllowed:
		return fmt.Errorf("%w: is its URL that of the publish side?", err)
	}
	return err
}

// Limits of an answer, which nobody looks at but for its status.
const (
	maxAnswerLine = 16 << 10 // bytes of one line of the head
	maxAnswerHead = 100      // lines
	maxAnswerBody = 1 << 20  // bytes
)

var errAnswer = errors.New("answer is not HTTP/1.1")

// readAnswer reads one answer, with its body, and not a byte more. It is strict: an answer
// whose end is in doubt is an error, since what follows would be taken for the next message's.
func readAnswer(r *bufio.Reader) (answer, error) {
	for {
		a, err := readOneAnswer(r)
		if err != nil || a.status >= 200 {
			return a, err
		}
		if a.status == 101 {
			return a, errAnswer
		}
	}
}

func readOneAnswer(r *bufio.Reader) (answer, error) {
	var a answer
	line, err := readLine(r)
	if err != nil {
		return a, err
	}
	if a.status, a.last, err = parseStatus(line); err != nil {
		return a, err
	}
	length, chunked := int64(-1), false
	for n := 0; ; n++ {
		if line, err = readLine(r); err != nil {
			return a, noEOF(err)
		}
		if len(line) == 0 {
			break
		}
		if n == maxAnswerHead {
			return a, errAnswer
		}
		if err := a.header(line, &length, &chunked); err != nil {
			return a, err
		}
	}
	return a, noEOF(a.skipBody(r, length, chunked))
}

// readLine returns the next line without its end, which is CR LF. It is valid until the next read.
func readLine(r *bufio.Reader) ([]byte, error) {
	line, err := r.ReadSlice('\n')
	if err != nil {
		if errors.Is(err, io.EOF) && len(line) > 0 {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	if len(line) < 2 || line[len(line)-2] != '\r' {
		return nil, errAnswer
	}
	line = line[:len(line)-2]
	for _, c := range line {
		if c < ' ' && c != '\t' || c == 0x7f {
			return nil, errAnswer
		}
	}
	return line, nil
}

// noEOF makes an end within an answer an error of its own.
func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// parseStatus parses a status line, such as "HTTP/1.1 200 OK".
func parseStatus(line []byte) (status int, last bool, err error) {
	const prefix = "HTTP/1."
	if len(line) < len(prefix)+5 || string(line[:len(prefix)]) != prefix || line[len(prefix)+1] != ' ' {
		return 0, false, errAnswer
	}
	minor := line[len(prefix)]
	code := line[len(prefix)+2:]
	if minor != '0' && minor != '1' || len(code) > 3 && code[3] != ' ' {
		return 0, false, errAnswer
	}
	for _, c := range code[:3] {
		if c < '0' || c > '9' {
			return 0, false, errAnswer
		}
		status = status*10 + int(c-'0')
	}
	if status < 100 || status > 599 {
		return 0, false, errAnswer
	}
	return status, minor == '0', nil
}

// header takes in one line of an answer's head.
func (a *answer) header(line []byte, length *int64, chunked *bool) error {
	name, value, ok := bytes.Cut(line, []byte(":"))
	if !ok || !isToken(name) {
		return errAnswer
	}
	value = bytes.Trim(value, " \t")
	switch {
	case isName(name, "content-length"):
		n, err := strconv.ParseUint(string(value), 10, 31)
		if err != nil || value[0] == '+' || *length >= 0 && *length != int64(n) {
			return errAnswer
		}
		*length = int64(n)
	case isName(name, "transfer-encoding"):
		if *chunked || !bytes.EqualFold(value, []byte("chunked")) {
			return errAnswer
		}
		*chunked = true
	case isName(name, "connection"):
		a.last = a.last || bytes.EqualFold(value, []byte("close"))
	case isName(name, "x-nginx-pushstream-explain"):
		a.explain = string(value)
	}
	return nil
}

// inToken has the bytes that a header's name is made of.
var inToken = func() (in [256]bool) {
	for c := byte('!'); c < 0x7f; c++ {
		in[c] = strings.IndexByte(`"(),/:;<=>?@[\]{}`, c) < 0
	}
	return in
}()

// isToken reports whether a header may have this name.
func isToken(name []byte) bool {
	for _, c := range name {
		if !inToken[c] {
			return false
		}
	}
	return len(name) > 0
}

// isName compares a header's name with one in lower case.
func isName(name []byte, lower string) bool {
	if len(name) != len(lower) {
		return false
	}
	for i, c := range name {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}

// skipBody reads the answer's body, to the byte.
func (a *answer) skipBody(r *bufio.Reader, length int64, chunked bool) error {
	switch {
	case a.status < 200 || a.status == 204 || a.status == 304:
		return nil
	case chunked && length >= 0:
		return errAnswer
	case chunked:
		return skipChunks(r)
	case length < 0:
		// It ends with the connection, where nobody waits for it.
		a.last = true
		return nil
	case length > maxAnswerBody:
		return fmt.Errorf("answer has %d bytes, more than %d", length, maxAnswerBody)
	}
	_, err := r.Discard(int(length))
	return err
}

func skipChunks(r *bufio.Reader) error {
	for total := 0; ; {
		line, err := readLine(r)
		if err != nil {
			return err
		}
		size, _, _ := bytes.Cut(line, []byte(";"))
		n, err := strconv.ParseUint(string(bytes.TrimRight(size, " \t")), 16, 31)
		if err != nil {
			return errAnswer
		}
		if n == 0 {
			return skipTrailer(r)
		}
		if total += int(n); total > maxAnswerBody {
			return fmt.Errorf("answer has more than %d bytes", maxAnswerBody)
		}
		if _, err := r.Discard(int(n)); err != nil {
			return err
		}
		if line, err = readLine(r); err != nil || len(line) > 0 {
			return errors.Join(err, errAnswer)
		}
	}
}

func skipTrailer(r *bufio.Reader) error {
	for range maxAnswerHead {
		line, err := readLine(r)
		if err != nil || len(line) == 0 {
			return err
		}
	}
	return errAnswer
}

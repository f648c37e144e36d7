package bench

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// stream is the response of a push host to one EventSource reader, read in whatever pieces it comes. It keeps a
// few bytes between two pieces, and a line only where pieces split one. The zero value is a stream of which
// nothing has come.
type stream struct {
	part    []byte // of a line; of the response's head while there is none
	left    int    // bytes of the chunk that are still to come; its size while that is read
	place   place
	chunked bool
	greeted bool
}

// place is where in the response the next byte belongs.
type place uint8

const (
	inHead place = iota
	inBody
	inSize  // of a chunk, in hexadecimal
	inExtra // what may follow a chunk's size on its line
	inChunk
	afterChunk
)

// Limits of what a push host may send, so that no nonsense fills the memory.
const (
	maxHead  = 16 << 10
	maxLine  = 16 << 20
	maxChunk = 1 << 30
)

// errNoStream is the end of a response that is no event stream at all.
var errNoStream = errors.New("the stream does not begin with a comment")

// feed reads the next piece and calls got with the data of each event in it. The data is valid until got returns.
// After an error, which is io.EOF at the end of the response, the stream is not to be used again.
func (s *stream) feed(piece []byte, got func(data []byte)) error {
	if s.place == inHead {
		var err error
		if piece, err = s.head(piece); err != nil {
			return err
		}
	}
	if !s.chunked {
		return s.lines(piece, got)
	}
	for len(piece) > 0 {
		used, err := s.chunk(piece, got)
		if err != nil {
			return err
		}
		piece = piece[used:]
	}
	return nil
}

// head reads the response's head and returns what comes behind it.
func (s *stream) head(piece []byte) (body []byte, err error) {
	s.part = append(s.part, piece...)
	head, body, whole := bytes.Cut(s.part, []byte("\r\n\r\n"))
	if !whole {
		if len(s.part) > maxHead {
			return nil, fmt.Errorf("the response's head is longer than %d bytes", maxHead)
		}
		return nil, nil
	}
	s.part = nil
	status, fields, _ := strings.Cut(string(head), "\r\n")
	if err := checkStatus(status); err != nil {
		return nil, err
	}
	s.place = inBody
	for line := range strings.SplitSeq(fields, "\r\n") {
		name, value, _ := strings.Cut(line, ":")
		value = strings.ToLower(strings.TrimSpace(value))
		switch {
		case strings.EqualFold(name, "Content-Type") && !strings.HasPrefix(value, "text/event-stream"):
			return nil, fmt.Errorf("content type %q", value)
		case strings.EqualFold(name, "Transfer-Encoding") && value == "chunked":
			s.chunked, s.place = true, inSize
		}
	}
	return body, nil
}

// statusError is an answer other than 200 OK.
type statusError int

func (e statusError) Error() string { return "status " + strconv.Itoa(int(e)) }

func checkStatus(line string) error {
	version, rest, _ := strings.Cut(line, " ")
	number, _, _ := strings.Cut(rest, " ")
	code, err := strconv.Atoi(number)
	if err != nil || !strings.HasPrefix(version, "HTTP/1.") {
		return errors.New("the response is no HTTP/1")
	}
	if code != 200 {
		return statusError(code)
	}
	return nil
}

// chunk reads from a body in chunks: a part of one, or what is between two. It returns how much it has read.
func (s *stream) chunk(piece []byte, got func(data []byte)) (used int, err error) {
	switch s.place {
	case inChunk:
		used = min(s.left, len(piece))
		if s.left -= used; s.left == 0 {
			s.place = afterChunk
		}
		return used, s.lines(piece[:used], got)
	case afterChunk:
		return 1, s.chunkEnd(piece[0])
	default:
		return 1, s.chunkSize(piece[0])
	}
}

// chunkEnd reads the end of line behind a chunk.
func (s *stream) chunkEnd(c byte) error {
	switch c {
	case '\r':
	case '\n':
		s.place, s.left = inSize, 0
	default:
		return errors.New("a chunk is longer than it says")
	}
	return nil
}

// chunkSize reads the line before a chunk.
func (s *stream) chunkSize(c byte) error {
	switch {
	case c == '\n' && s.left == 0:
		return io.EOF
	case c == '\n':
		s.place = inChunk
	case s.place == inExtra:
	case c == ';' || c == '\r' || c == ' ':
		s.place = inExtra
	default:
		digit, isHex := hexDigit(c)
		if !isHex || s.left > maxChunk>>4 {
			return errors.New("a chunk has no size")
		}
		s.left = s.left<<4 | digit
	}
	return nil
}

func hexDigit(c byte) (digit int, ok bool) {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0'), true
	case 'a' <= c|0x20 && c|0x20 <= 'f':
		return int(c|0x20-'a') + 10, true
	}
	return 0, false
}

// lines reads a piece of the event stream. Both modules end lines with LF.
func (s *stream) lines(piece []byte, got func(data []byte)) error {
	for {
		end := bytes.IndexByte(piece, '\n')
		if end < 0 {
			break
		}
		line := piece[:end]
		if len(s.part) > 0 {
			s.part = append(s.part, line...)
			line = s.part
			s.part = nil // most readers need none, and there are many
		}
		if err := s.line(line, got); err != nil {
			return err
		}
		piece = piece[end+1:]
	}
	if len(s.part)+len(piece) > maxLine {
		return fmt.Errorf("a line is longer than %d bytes", maxLine)
	}
	s.part = append(s.part, piece...)
	return nil
}

// line reads one line. Of an event only the data matters: what else it says of a message stands there too.
func (s *stream) line(line []byte, got func(data []byte)) error {
	if !s.greeted {
		if !bytes.HasPrefix(line, []byte(":")) {
			return errNoStream
		}
		s.greeted = true
	}
	if data, is := bytes.CutPrefix(line, []byte("data: ")); is {
		got(data)
	}
	return nil
}

// The JSON of a bench's messages: an object that begins with its id, or, where they are coalesced, a list of such
// objects. In none of them is a list of objects, and no string contains a quote that is not escaped, so that the
// second text is between two messages and nowhere else.
const (
	oneBegins  = `{"id":"`
	nextBegins = `},` + oneBegins
)

// nextID returns the id of the first message in an event's data, and the rest in which nextID finds the next one:
// nil behind the last one. Where no message of a bench begins the id is nil.
func nextID(data []byte) (id, rest []byte) {
	isList := !bytes.HasPrefix(data, []byte("{"))
	begin := bytes.Index(data[:min(len(data), len(nextBegins))], []byte(oneBegins))
	if begin < 0 {
		return nil, nil
	}
	id, rest, _ = bytes.Cut(data[begin+len(oneBegins):], []byte(`"`))
	if !isList {
		return id, nil
	}
	next := bytes.Index(rest, []byte(nextBegins))
	if next < 0 {
		return id, nil
	}
	return id, rest[next:]
}

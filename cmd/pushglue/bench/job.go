package bench

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// A job's id is when it was put and its place among the jobs of its channel: "1763990000123456.17", microseconds
// since 1970 and a number that counts from 0. It travels in the body and, with push-stream, as the event's
// id, so that whoever sees a message knows how late it is, and whether one is missing before it.

func appendID(b []byte, put time.Time, n int) []byte {
	b = strconv.AppendInt(b, put.UnixMicro(), 10)
	b = append(b, '.')
	return strconv.AppendInt(b, int64(n), 10)
}

// ParseID returns what is in a job's id.
func ParseID(id string) (put time.Time, n int, err error) {
	micros, n, ok := parseID(id)
	if !ok {
		return time.Time{}, 0, fmt.Errorf("id %q is not of this bench", id)
	}
	return time.UnixMicro(micros), n, nil
}

// parseID returns the numbers in a job's id. It allocates nothing: readers call it for each delivery.
func parseID[T string | []byte](id T) (micros int64, n int, ok bool) {
	micros, end := digits(id, 0)
	if end == 0 || end == len(id) || id[end] != '.' {
		return 0, 0, false
	}
	place, last := digits(id, end+1)
	return micros, int(place), last == len(id) && last > end+1
}

// maxDigits of a number is what an int64 holds in any case.
const maxDigits = 18

// digits reads the number that begins at start, and returns where it ends: at start where there is none.
func digits[T string | []byte](text T, start int) (number int64, end int) {
	for end = start; end < len(text) && end < start+maxDigits && '0' <= text[end] && text[end] <= '9'; end++ {
		number = number*10 + int64(text[end]-'0')
	}
	return number, end
}

// Channel returns the name of the first channel of the jobs in a place, counted from 0.
func Channel(place int) string { return "bench:" + strconv.Itoa(place) }

// pipeline returns the pipelines file of a bench: the stages of the shipped one that most have in common.
// A message goes to so many channels.
func pipeline(feed string, channels int, coalesce string) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, `pipelines:
  - name: bench
    feed: %q
    stages:
      - json
      - anonymize: {drop: [author.email, author.ip], hash: [author.id]}
      - route: {channels: ["bench:{thread}"`, feed)
	for n := 1; n < channels; n++ {
		fmt.Fprintf(&b, `, "bench:{thread}:%d"`, n)
	}
	b.WriteString(`]}
      - format: {keep: [id, post, thread, parent, author, message, createdAt], type: "{event}"}
`)
	if coalesce != "" {
		fmt.Fprintf(&b, "    coalesce: {window: %s}\n", coalesce)
	}
	b.WriteString("    publish: push\n")
	return b.Bytes()
}

// jobs makes the jobs of a bench: comments in as many threads as there are channels, in turn.
type jobs struct {
	channels int
	padding  string // makes a payload as long as it should be
	made     int
}

// What a job can have, in bytes: about MinSize without a message, and what the shipped nginx takes.
const (
	MinSize = 240
	MaxSize = 60_000
)

func newJobs(channels, size int) *jobs {
	const words = "The bell of the number 7 has a sound that nobody had heard for three years. "
	length := max(0, size-MinSize)
	return &jobs{channels: channels, padding: strings.Repeat(words, length/len(words)+1)[:length]}
}

// next makes n payloads.
func (j *jobs) next(n int, put time.Time) [][]byte {
	payloads := make([][]byte, n)
	for i := range payloads {
		payloads[i] = j.payload(put)
	}
	return payloads
}

func (j *jobs) payload(put time.Time) []byte {
	thread, n := j.made%j.channels, j.made/j.channels
	b := make([]byte, 0, MinSize+len(j.padding)+32)
	b = append(b, `{"id":"`...)
	b = appendID(b, put, n)
	b = fmt.Appendf(b, `","event":"post_save","post":%d,"thread":%d,"parent":null,"author":{"id":%d,"username":"rosa","name":"Rosa Lind",`+
		`"email":"rosa@example.org","ip":"198.51.100.161"},"message":"%s","createdAt":"2026-03-14T05:31:07Z"}`, j.made, thread, 5000+j.made%997, j.padding)
	j.made++
	return b
}

package conform

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"pushglue/glue"
	"pushglue/glue/eventstream"
)

func (h *pushHost) testBodies(t *testing.T) {
	channel := h.channel()
	s := h.subscribe(t, "", channel)
	bodies := []string{
		`{"id":1,"message":"hello"}`,
		"grüße, 你好, Ω≈ç√",
		"emoji 👩‍👩‍👧‍👦 🇩🇪 👍🏽",
		"שלום \u202eمرحبا\u202c",
		"line\u2028separator\u2029paragraph\u0085next",
		`"quotes" 'single' back\slash \n \u0000 \\`,
		`<script>alert("&amp;")</script>`,
		"~text~ ~id~ $arg_id %s %41 %0A",
		"data: x", "id: 1", ": comment", "event: y",
		" leading and trailing ", "\ttab\t",
		"two\nlines",
		strings.Repeat("x", 60<<10),
	}
	for _, body := range bodies {
		h.publish(t, message{body: body}, channel)
		next(t, s, body)
	}
}

// nchanID is the form of Nchan's own ids on a stream of one channel.
var nchanID = regexp.MustCompile(`^\d+:\d+$`)

func (h *pushHost) testIDAndType(t *testing.T) {
	channel := h.channel()
	s := h.subscribe(t, "", channel)
	const id = `job-17:!"#$&'()*+,/;<=>?@[\]^_{|}~`
	h.publish(t, message{id: id, kind: "post_save", body: "a"}, channel)
	event := next(t, s, "a")
	if event.Type != "post_save" {
		t.Errorf("type is %q", event.Type)
	}
	if h.nchan && !nchanID.MatchString(event.ID) || !h.nchan && event.ID != id {
		t.Errorf("id is %q", event.ID)
	}
	h.publish(t, message{body: "b"}, channel)
	if event := next(t, s, "b"); event.Type != "message" {
		t.Errorf("type of a message without one is %q", event.Type)
	}
}

func (h *pushHost) testManyChannels(t *testing.T) {
	channels := []string{h.channel(), h.channel(), h.channel(), h.channel()}
	var streams []*eventstream.Subscription
	for _, channel := range channels {
		streams = append(streams, h.subscribe(t, "", channel))
	}
	h.publish(t, message{body: "to all"}, channels...)
	for i, s := range streams {
		next(t, s, "to all")
		h.publish(t, message{body: "last"}, channels[i])
		next(t, s, "last") // so the first came once
	}
}

// As many channels as a message may have, with the longest names, each byte of which is escaped.
func (h *pushHost) testMostChannels(t *testing.T) {
	channels := make([]string, glue.MaxChannels)
	for i := range channels {
		name := fmt.Sprintf("%03d", i)
		channels[i] = strings.Repeat("\"", glue.MaxChannelLen-len(name)) + name
	}
	first, last := h.subscribe(t, "", channels[0]), h.subscribe(t, "", channels[len(channels)-1])
	h.publish(t, message{body: "to 255"}, channels...)
	next(t, first, "to 255")
	next(t, last, "to 255")
}

// A message to several channels of one stream arrives once for each of them: readers must drop
// what they have seen.
func (h *pushHost) testSeveralChannels(t *testing.T) {
	a, b := h.channel(), h.channel()
	s := h.subscribe(t, "", a, b)
	h.publish(t, message{body: "to a"}, a)
	next(t, s, "to a")
	h.publish(t, message{body: "to b"}, b)
	next(t, s, "to b")
	h.publish(t, message{body: "to both"}, a, b)
	next(t, s, "to both")
	next(t, s, "to both")
}

// A pipeline of requests on one connection is published in order.
func (h *pushHost) testOrder(t *testing.T) {
	const messages = 1000
	channel := h.channel()
	s := h.subscribe(t, "", channel)

	conn := h.dialInternal(t)
	var requests bytes.Buffer
	for i := range messages {
		body := fmt.Sprintf(`{"number":%d}`, i)
		fmt.Fprintf(&requests, "POST /publish?id=%s HTTP/1.1\r\nHost: push\r\nContent-Length: %d\r\n\r\n%s", escape(channel), len(body), body)
	}
	written := make(chan error, 1)
	go func() {
		_, err := conn.Write(requests.Bytes())
		written <- err
	}()
	responses := bufio.NewReader(conn)
	for i := range messages {
		resp, err := http.ReadResponse(responses, nil)
		if err != nil {
			t.Fatalf("answer %d: %v", i, err)
		}
		_, _ = io.Copy(io.Discard, resp.Body) // an error is the next answer's too
		resp.Body.Close()
		if !h.accepted(resp.StatusCode) {
			t.Fatalf("answer %d: status %d", i, resp.StatusCode)
		}
	}
	if err := <-written; err != nil {
		t.Fatal(err)
	}
	for i := range messages {
		next(t, s, fmt.Sprintf(`{"number":%d}`, i))
	}
}

func (h *pushHost) dialInternal(t *testing.T) net.Conn {
	t.Helper()
	address, err := url.Parse(h.internal)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", address.Host)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return conn
}

func (h *pushHost) testManyReaders(t *testing.T) {
	channel := h.channel()
	var streams []*eventstream.Subscription
	for range 200 {
		streams = append(streams, h.subscribe(t, "", channel))
	}
	for i := range 5 {
		h.publish(t, message{body: fmt.Sprint(i)}, channel)
	}
	for _, s := range streams {
		for i := range 5 {
			next(t, s, fmt.Sprint(i))
		}
	}
}

package gluetest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"pushglue/glue"
)

const (
	maxBody     = 64 << 10         // of a message; 413 beyond, as with the shipped nginx configuration
	pollTimeout = 30 * time.Second // of a long poll that nothing comes for
	pingPause   = 30 * time.Second // between two comments on a stream, by which readers know that it is alive
)

// PushServer is a push host in Go, for demonstrations and tests: it answers like nginx with
// push-stream and the configuration in nginx/push-stream, WebSocket excepted. It is an
// http.Handler for all its URLs:
//
//	GET  /subscribe/CHANNEL[/CHANNEL...]   EventSource
//	GET  /poll/CHANNEL[/CHANNEL...]        long polling
//	POST /publish?id=CHANNEL[/CHANNEL...]
//	GET  /channels-stats[?id=...]
//	GET  /healthz
type PushServer struct{ pushStore }

// NewPushServer returns a push host that nobody has published to.
func NewPushServer() *PushServer {
	s := new(PushServer)
	s.channels = make(map[string]*pushChannel)
	s.maxStored = maxStored
	s.started = time.Now()
	return s
}

// Public returns the handler of the readers' URLs alone.
func (s *PushServer) Public() http.Handler { return http.HandlerFunc(s.servePublic) }

// Internal returns the handler of the publishers' and operators' URLs alone.
func (s *PushServer) Internal() http.Handler { return http.HandlerFunc(s.serveInternal) }

// ServeHTTP serves the URLs of both sides.
func (s *PushServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/publish", "/channels-stats", "/healthz":
		s.serveInternal(w, r)
	default:
		s.servePublic(w, r)
	}
}

func (s *PushServer) serveInternal(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.URL.Path == "/publish" && r.Method != http.MethodPost:
		http.Error(w, "only POST publishes", http.StatusForbidden)
	case r.URL.Path == "/publish":
		s.servePublish(w, r)
	case r.URL.Path == "/channels-stats":
		s.serveStats(w, r)
	case r.URL.Path == "/healthz":
		_, _ = fmt.Fprintf(w, "ok %d\n", os.Getpid()) // the client left
	default:
		http.NotFound(w, r)
	}
}

func (s *PushServer) servePublic(w http.ResponseWriter, r *http.Request) {
	// The path as it was sent: net/http's own is decoded, and cannot tell "/" from "%2F".
	path := r.URL.EscapedPath()
	list, stream := strings.CutPrefix(path, "/subscribe/")
	if !stream {
		var poll bool
		if list, poll = strings.CutPrefix(path, "/poll/"); !poll {
			http.NotFound(w, r)
			return
		}
	}
	header := w.Header()
	header.Set("Access-Control-Allow-Origin", "*")
	header.Set("Access-Control-Allow-Methods", "GET")
	header.Set("Access-Control-Allow-Headers", "If-Modified-Since,If-None-Match,Etag,Event-Id,Event-Type,Last-Event-Id")
	header.Set("Access-Control-Expose-Headers", "Last-Modified, Etag")
	header.Set("Cache-Control", "no-cache, no-store, must-revalidate")
	switch r.Method {
	case http.MethodOptions:
		return
	case http.MethodGet:
	default:
		header.Set("Allow", "GET")
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	requests, refused := parseChannels(strings.TrimSuffix(list, "/"))
	switch {
	case refused != nil:
		refused.write(w)
	case stream:
		s.serveStream(w, r, requests)
	default:
		s.servePoll(w, r, requests)
	}
}

// A refusal is an answer in push-stream's manner: a status, and the reason in a header.
type refusal struct {
	status  int
	explain string
}

func (f *refusal) write(w http.ResponseWriter) {
	w.Header().Set("X-Nginx-PushStream-Explain", f.explain)
	w.WriteHeader(f.status)
}

// A channelRequest is one element of a list of channels: NAME, or NAME.bN for the last N messages.
type channelRequest struct {
	name      string
	backtrack int
}

// parseChannels decodes a list of channels, then splits it, as push-stream does.
func parseChannels(escaped string) ([]channelRequest, *refusal) {
	list, err := url.PathUnescape(escaped) // unlike QueryUnescape it leaves "+" alone
	if err != nil || list == "" {
		return nil, &refusal{http.StatusBadRequest, "No channel id provided."}
	}
	var requests []channelRequest
	for name := range strings.SplitSeq(list, "/") {
		var request channelRequest
		request.name, request.backtrack = cutBacktrack(name)
		switch {
		case request.name == "ALL", strings.Contains(name, "*"):
			return nil, &refusal{http.StatusForbidden, "Channel id not authorized for this method."}
		case len(request.name) > glue.MaxChannelLen:
			return nil, &refusal{http.StatusBadRequest, "Channel id is too large."}
		case request.name == "", strings.ContainsAny(name, "?\x00"):
			return nil, &refusal{http.StatusBadRequest, "No channel id provided."}
		}
		requests = append(requests, request)
	}
	return requests, nil
}

// cutBacktrack splits "x.b10" into "x" and 10.
func cutBacktrack(name string) (string, int) {
	dot := strings.LastIndex(name, ".b")
	if dot < 0 || strings.Trim(name[dot+2:], "0123456789") != "" || dot+2 == len(name) {
		return name, 0
	}
	n, err := strconv.Atoi(name[dot+2:])
	if err != nil {
		n = maxStored // more digits than an int holds
	}
	return name[:dot], n
}

func (s *PushServer) servePublish(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody)) // closes the connection where it is more, as nginx does
	if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
		w.WriteHeader(http.StatusRequestEntityTooLarge)
		return
	}
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	requests, refused := parseChannels(rawArgument(r.URL.RawQuery, "id"))
	if refused == nil && len(body) == 0 {
		refused = &refusal{http.StatusBadRequest, "Empty post requests are not allowed."}
	}
	if refused != nil {
		refused.write(w)
		return
	}
	names := make([]string, len(requests))
	for i, request := range requests {
		names[i] = request.name
	}
	s.publish(names, pushMessage{id: r.Header.Get("Event-Id"), kind: r.Header.Get("Event-Type"), body: string(body)})
	writeJSON(w, s.details(names))
}

// rawArgument returns the first value of a query's argument as it was sent, like nginx's $arg_.
func rawArgument(query, name string) string {
	for pair := range strings.SplitSeq(query, "&") {
		if key, value, _ := strings.Cut(pair, "="); key == name {
			return value
		}
	}
	return ""
}

func (s *PushServer) serveStream(w http.ResponseWriter, r *http.Request, requests []channelRequest) {
	reader := newPushReader(http.NewResponseController(w))
	if !s.join(reader, requests, readPosition(r)) {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	defer s.leave(reader)

	w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
	_, _ = io.WriteString(w, ": \n")
	if err := reader.control.Flush(); err != nil {
		return
	}
	ping := time.NewTicker(pingPause)
	defer ping.Stop()
	for {
		select {
		case <-r.Context().Done():
			return
		case <-ping.C:
			_, _ = io.WriteString(w, ": -1\n") // Flush says whether anybody reads
		case <-reader.ready:
		}
		messages, open := s.take(reader)
		for _, m := range messages {
			_, _ = io.WriteString(w, m.event) // Flush says whether anybody reads
		}
		if err := reader.control.Flush(); err != nil || !open {
			return
		}
	}
}

func (s *PushServer) servePoll(w http.ResponseWriter, r *http.Request, requests []channelRequest) {
	reader := newPushReader(http.NewResponseController(w))
	if !s.join(reader, requests, readPosition(r)) {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	defer s.leave(reader)

	timeout := time.NewTimer(pollTimeout)
	defer timeout.Stop()
	select {
	case <-r.Context().Done():
		return
	case <-timeout.C:
	case <-reader.ready:
	}
	messages, _ := s.take(reader)
	if len(messages) == 0 {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	last := messages[len(messages)-1]
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Last-Modified", time.Unix(last.time, 0).UTC().Format(http.TimeFormat))
	w.Header().Set("Etag", fmt.Sprintf("W/%d", last.tag))
	for _, m := range messages {
		_, _ = io.WriteString(w, m.body+"\n") // the client left
	}
}

// readPosition reads where a reader continues: where the answer to its last poll said, or at the beginning if the URL says so.
func readPosition(r *http.Request) position {
	p := position{lastEventID: r.Header.Get("Last-Event-ID"), tag: -1}
	if since, err := http.ParseTime(r.Header.Get("If-Modified-Since")); err == nil {
		p.since = since.Unix()
	}
	if tag, err := strconv.Atoi(strings.TrimPrefix(r.Header.Get("If-None-Match"), "W/")); err == nil {
		p.tag = tag
	}
	if rawArgument(r.URL.RawQuery, "last_event_id") != "" {
		p.since = 1
	}
	return p
}

func (s *PushServer) serveStats(w http.ResponseWriter, r *http.Request) {
	id, err := url.PathUnescape(rawArgument(r.URL.RawQuery, "id"))
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	if id == "" {
		writeJSON(w, s.totals())
		return
	}
	names := strings.Split(id, "/")
	for i, name := range names {
		if names[i], _ = cutBacktrack(name); len(names[i]) > glue.MaxChannelLen {
			(&refusal{http.StatusBadRequest, "Channel id is too large."}).write(w)
			return
		}
	}
	details := s.details(names)
	if details == nil {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	writeJSON(w, details)
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // the client left
}

func hostname() string {
	name, err := os.Hostname()
	if err != nil {
		return "localhost"
	}
	return name
}

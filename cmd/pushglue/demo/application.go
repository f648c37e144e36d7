package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
	"unicode"
	"unicode/utf8"

	"pushglue/glue/tree"
)

// Limits of what a visitor may post.
const (
	maxAuthor  = 40       // characters
	maxMessage = 2000     // characters
	maxRequest = 32 << 10 // bytes: that many characters, even if each is escaped
)

// The forum and thread that belong to the demo's visitors, all together.
const (
	ownForum  = "demo"
	ownThread = "1"
)

// firstPost is the number of the visitors' first post, far from those of the script.
const firstPost = 9_000_000_000

// application is what stands before the feed: it takes what visitors post, and makes jobs of it.
type application struct {
	journal *journal
	threads []thread
	posts   atomic.Int64
}

// thread is one that visitors can read and post to.
type thread struct {
	Forum  string `json:"forum"`
	Thread string `json:"thread"` // a number, which may be too large for JavaScript
}

func newApplication(j *journal) *application {
	return &application{journal: j, threads: threads()}
}

// threads returns the visitors' thread, then those of the script in the order of appearance.
func threads() []thread {
	list := []thread{{ownForum, ownThread}}
	seen := map[string]bool{ownThread: true}
	for c := range firstRound() {
		envelope, err := tree.Parse(c)
		if err != nil {
			panic(err) // the comments are embedded, and tested
		}
		forum, _ := envelope.Get(tree.Path{"forum"}).Text()
		name, _ := envelope.Get(tree.Path{"thread"}).Text()
		if !seen[name] {
			seen[name] = true
			list = append(list, thread{forum, name})
		}
	}
	return list
}

// A refusal is an answer other than 202 to a post.
type refusal struct {
	status int
	text   string
}

func (r *refusal) Error() string { return r.text }

func refuse(status int, format string, args ...any) error {
	return &refusal{status, fmt.Sprintf(format, args...)}
}

// ServeHTTP takes a comment: a JSON object with author, message and, unless it is for the visitors'
// thread, thread. It answers 202 with the id of the message that the readers will get.
func (a *application) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id, err := a.post(w, r)
	refused := new(refusal)
	switch {
	case errors.As(err, &refused):
		if refused.status == http.StatusMethodNotAllowed {
			w.Header().Set("Allow", http.MethodPost)
		}
		http.Error(w, refused.text, refused.status)
	case err != nil:
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
	default:
		answer(w, http.StatusAccepted, map[string]string{"id": id})
	}
}

func (a *application) post(w http.ResponseWriter, r *http.Request) (id string, err error) {
	if r.Method != http.MethodPost {
		return "", refuse(http.StatusMethodNotAllowed, "only POST puts a comment")
	}
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return "", refuse(http.StatusUnsupportedMediaType, "a comment is JSON: Content-Type must be application/json")
	}
	p, err := readPost(http.MaxBytesReader(w, r.Body, maxRequest))
	if err != nil {
		return "", err
	}
	c, err := a.comment(p, time.Now())
	if err != nil {
		return "", err
	}
	// The job is put even if the visitor leaves: it may be on the feed already.
	return c.id, a.journal.put(context.WithoutCancel(r.Context()), c)
}

// post is what a visitor posts.
type post struct {
	author, message, thread string
}

func readPost(body io.Reader) (post, error) {
	p := post{thread: ownThread}
	text, err := io.ReadAll(body)
	if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
		return p, refuse(http.StatusRequestEntityTooLarge, "a request has at most %d bytes", maxRequest)
	}
	if err != nil {
		return p, refuse(http.StatusBadRequest, "the request ends early")
	}
	if !utf8.Valid(text) {
		return p, refuse(http.StatusBadRequest, "the request is not valid UTF-8")
	}
	var members map[string]any
	d := json.NewDecoder(strings.NewReader(string(text)))
	d.UseNumber()
	if !json.Valid(text) || d.Decode(&members) != nil || members == nil {
		return p, refuse(http.StatusBadRequest, "want one JSON object with author, message and thread")
	}
	for _, name := range slices.Sorted(maps.Keys(members)) {
		if err := p.set(name, members[name]); err != nil {
			return p, err
		}
	}
	p.author, p.message = strings.TrimSpace(p.author), strings.TrimSpace(p.message)
	switch n := utf8.RuneCountInString(p.author); {
	case n < 1 || n > maxAuthor:
		return p, refuse(http.StatusBadRequest, "author has %d characters; want 1 to %d", n, maxAuthor)
	case strings.ContainsFunc(p.author, unicode.IsControl):
		return p, refuse(http.StatusBadRequest, "author has a control character in it")
	}
	if n := utf8.RuneCountInString(p.message); n < 1 || n > maxMessage {
		return p, refuse(http.StatusBadRequest, "message has %d characters; want 1 to %d", n, maxMessage)
	}
	return p, nil
}

// set takes over a member of what a visitor posts. A thread may be a number or text, null is nothing.
func (p *post) set(name string, value any) error {
	targets := map[string]*string{"author": &p.author, "message": &p.message, "thread": &p.thread}
	target := targets[name]
	if target == nil {
		return refuse(http.StatusBadRequest, "%q is none of author, message and thread", name)
	}
	switch value := value.(type) {
	case nil:
	case string:
		*target = value
	case json.Number:
		if name != "thread" {
			return refuse(http.StatusBadRequest, "%s is a number; want text", name)
		}
		*target = value.String()
	case bool:
		return refuse(http.StatusBadRequest, "%s is true or false; want text", name)
	default:
		return refuse(http.StatusBadRequest, "%s is an object or array; want text", name)
	}
	return nil
}

// envelope is the job that an application makes of a comment.
type envelope struct {
	ID        string      `json:"id"`
	Event     string      `json:"event"`
	Post      int64       `json:"post"`
	Forum     string      `json:"forum"`
	Thread    json.Number `json:"thread"`
	Parent    *int64      `json:"parent"`
	Author    author      `json:"author"`
	Message   string      `json:"message"`
	CreatedAt time.Time   `json:"createdAt"`
}

// author is who wrote a comment. What the application knows of its users is made up here, so that
// there is something to anonymize.
type author struct {
	ID       string `json:"id"`
	Username string `json:"username"`
	Name     string `json:"name"`
	Email    string `json:"email"`
	IP       string `json:"ip"`
}

func (a *application) comment(p post, now time.Time) (comment, error) {
	for _, t := range a.threads {
		if t.Thread != p.thread {
			continue
		}
		n := a.posts.Add(1)
		e := envelope{
			ID: "visitor-" + strconv.FormatInt(n, 10), Event: "post_save", Post: firstPost + n,
			Forum: t.Forum, Thread: json.Number(t.Thread),
			Author: author{
				ID: "visitor:" + p.author, Username: "visitor", Name: p.author,
				Email: "visitor@example.org", IP: "192.0.2.1",
			},
			Message: p.message, CreatedAt: now.UTC(),
		}
		return comment{e.ID, encode(e)}, nil
	}
	return comment{}, refuse(http.StatusBadRequest, "thread %q does not exist; that of the visitors is %s", p.thread, ownThread)
}

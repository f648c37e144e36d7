// Package forum is a web application in memory: threads of comments, with the HTTP API that the pages in nginx/www use
// (docs/thread.md). It puts a job for each change, as an application with a database would.
package forum

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/rs/zerolog"

	"pushglue/glue"
	"pushglue/glue/tree"
	"pushglue/stages"
)

// Bounds of what is remembered.
const (
	mostComments = 100              // of a thread
	away         = 90 * time.Second // after which a reader who says nothing is away: timers of hidden pages run once a minute
)

// firstPost is the number of the visitors' first post, far from those of imported ones.
const firstPost = 9_000_000_000

// Put puts a job whose message has this id.
type Put func(ctx context.Context, id string, payload []byte) error

// Thread is one that visitors can read and post to.
type Thread struct {
	Forum  string `json:"forum"`
	Thread string `json:"thread"` // a number, which may be too large for JavaScript
}

// number returns the thread's number, as JSON has it.
func (t Thread) number() json.Number { return json.Number(t.Thread) }

// Config is what an Application is made of.
type Config struct {
	Put     Put
	Threads []Thread
	Hosts   []string       // origins of push hosts; none for the application's own
	Log     zerolog.Logger // what goes wrong
}

// Application answers under /api/. It is safe for concurrent use.
type Application struct {
	put      Put
	hosts    []string
	log      zerolog.Logger
	sanitize glue.Stage

	mu       sync.Mutex // while a job is put, too: jobs have the order of the changes
	threads  map[string]*thread
	comments map[string]*comment // by post
	posts    int64
}

type thread struct {
	Thread
	posts   []string             // the last ones, oldest first
	readers map[string]time.Time // by visitor: when one last said to be here
	told    int                  // how many they are, by the last job that said so
}

// comment is one that is there.
type comment struct {
	envelope
	thread  *thread
	visitor string // who wrote it; empty for nobody who is here
	key     string // of the request that wrote it; empty if it had none
	shown   shown
}

// envelope is the job that a change becomes.
type envelope struct {
	ID        string       `json:"id"`
	Event     string       `json:"event"`
	Post      json.Number  `json:"post"`
	Revision  int          `json:"revision"`
	Forum     string       `json:"forum"`
	Thread    json.Number  `json:"thread"`
	Parent    *json.Number `json:"parent"`
	Author    author       `json:"author"`
	Message   string       `json:"message,omitempty"`
	CreatedAt string       `json:"createdAt,omitempty"`
}

// author is who wrote a comment. What the application knows of its visitors is made up, so that there is something
// to anonymize.
type author struct {
	ID       string `json:"id"`
	Username string `json:"username"`
	Name     string `json:"name"`
	Email    string `json:"email"`
	IP       string `json:"ip"`
}

// presence is the job that says how many read a thread.
type presence struct {
	ID      string      `json:"id"`
	Event   string      `json:"event"`
	Forum   string      `json:"forum"`
	Thread  json.Number `json:"thread"`
	Readers int         `json:"readers"`
}

// shown is a comment as the API has it: the harmless part.
type shown struct {
	Post      json.Number  `json:"post"`
	Thread    json.Number  `json:"thread"`
	Parent    *json.Number `json:"parent"`
	Author    publicAuthor `json:"author"`
	Message   string       `json:"message"`
	CreatedAt string       `json:"createdAt"`
	Revision  int          `json:"revision"`
	Own       bool         `json:"own"`
}

type publicAuthor struct {
	Name     string `json:"name"`
	Username string `json:"username"`
}

// New returns an application with empty threads.
func New(c Config) (*Application, error) {
	sanitize, err := stages.Constructors["sanitize"](func(into any) error {
		return yaml.Unmarshal([]byte("{html: [message], text: [author.name, author.username]}"), into)
	})
	if err != nil {
		return nil, err
	}
	a := &Application{
		put: c.Put, hosts: append([]string{}, c.Hosts...), log: c.Log, sanitize: sanitize,
		threads: map[string]*thread{}, comments: map[string]*comment{},
	}
	for _, t := range c.Threads {
		a.threads[t.Thread] = &thread{Thread: t, readers: map[string]time.Time{}}
	}
	return a, nil
}

// Import puts a change that is made elsewhere, and shows it if it is one of a comment in a thread of the application.
func (a *Application) Import(ctx context.Context, id string, payload []byte) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := a.put(ctx, id, payload); err != nil {
		return err
	}
	var e struct {
		Event        string
		Post, Thread json.Number
	}
	if json.Unmarshal(payload, &e) != nil || a.threads[e.Thread.String()] == nil {
		return nil // readers may get it all the same
	}
	if e.Event == "post_delete" {
		delete(a.comments, e.Post.String())
		return nil
	}
	a.keep(ctx, a.threads[e.Thread.String()], &comment{envelope: envelope{Post: e.Post}}, payload)
	return nil
}

// keep shows a comment in the place of what it was before. One that cannot be cleaned is not shown: its job will
// stall for the same reason.
func (a *Application) keep(ctx context.Context, t *thread, c *comment, payload []byte) {
	clean, err := a.clean(ctx, payload)
	if err != nil || json.Unmarshal(clean, &c.shown) != nil {
		return
	}
	post := c.Post.String()
	c.thread = t
	if old := a.comments[post]; old != nil {
		c.shown.CreatedAt = old.shown.CreatedAt
	} else {
		t.posts = append(t.posts, post)
	}
	a.comments[post] = c
	if len(t.posts) > mostComments {
		delete(a.comments, t.posts[0])
		t.posts = t.posts[1:]
	}
}

// clean returns a comment as it may be shown: visitors may write HTML, and that of some is no joke.
func (a *Application) clean(ctx context.Context, payload []byte) ([]byte, error) {
	object, err := tree.Parse(payload)
	if err != nil {
		return nil, err
	}
	m := glue.NewMessage("", payload)
	m.SetObject(object)
	if err := a.sanitize.Process(ctx, m); err != nil {
		return nil, err
	}
	return m.Body(), nil
}

// draft is what a visitor writes.
type draft struct {
	Author  string       `json:"author"`
	Message string       `json:"message"`
	Parent  *json.Number `json:"parent"`
	Key     string       `json:"key"` // the same where it comes again
}

// post adds a visitor's comment to a thread, unless it is there.
func (a *Application) post(ctx context.Context, name, visitor string, d draft) (change, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	t, err := a.thread(name)
	if err != nil {
		return change{}, err
	}
	for _, post := range t.posts {
		if c := a.inThread(t, post); c != nil && d.Key != "" && c.key == d.Key && c.visitor == visitor {
			return change{c.Post, c.ID}, nil
		}
	}
	if d.Parent != nil && a.inThread(t, d.Parent.String()) == nil {
		return change{}, refuse(400, "The comment that this one answers is gone.")
	}
	a.posts++
	return a.save(ctx, &comment{thread: t, visitor: visitor, key: d.Key, envelope: envelope{
		Post: json.Number(strconv.FormatInt(firstPost+a.posts, 10)), Forum: t.Forum, Thread: t.number(), Parent: d.Parent,
		Author:  author{ID: "visitor:" + d.Author, Username: "visitor", Name: d.Author, Email: "visitor@example.org", IP: "192.0.2.1"},
		Message: d.Message, CreatedAt: time.Now().UTC().Format(time.RFC3339Nano),
	}})
}

// edit changes the text of a visitor's comment.
func (a *Application) edit(ctx context.Context, post, visitor string, d draft) (change, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	c, err := a.own(post, visitor)
	if err != nil {
		return change{}, err
	}
	edited := *c
	edited.Message = d.Message
	return a.save(ctx, &edited)
}

// remove deletes a visitor's comment.
func (a *Application) remove(ctx context.Context, post, visitor string) (change, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	c, err := a.own(post, visitor)
	if err != nil {
		return change{}, err
	}
	gone := *c
	gone.Message, gone.CreatedAt = "", ""
	change, _, err := a.tell(ctx, &gone, "post_delete")
	if err == nil {
		delete(a.comments, post)
	}
	return change, err
}

// change is what the API tells of a change: the comment, and the id of the message that readers get.
type change struct {
	Post json.Number `json:"post"`
	ID   string      `json:"id"`
}

// save tells of a comment and then shows it. The caller holds a.mu.
func (a *Application) save(ctx context.Context, c *comment) (change, error) {
	change, payload, err := a.tell(ctx, c, "post_save")
	if err == nil {
		a.keep(ctx, c.thread, c, payload)
	}
	return change, err
}

// tell puts the job of a change. The caller holds a.mu.
func (a *Application) tell(ctx context.Context, c *comment, event string) (change, []byte, error) {
	c.Revision++
	c.ID, c.Event = fmt.Sprintf("c%s.%d", c.Post, c.Revision), event
	payload, err := json.Marshal(c.envelope)
	if err != nil {
		return change{}, nil, err
	}
	return change{c.Post, c.ID}, payload, a.put(ctx, c.ID, payload)
}

// attend notes that a visitor reads a thread or has left it, and tells when that makes another number of readers.
func (a *Application) attend(ctx context.Context, name, visitor string, leaving bool) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	t, err := a.thread(name)
	if err != nil {
		return err
	}
	if t.readers[visitor] = time.Now(); leaving {
		delete(t.readers, visitor)
	}
	readers := t.present()
	if readers == t.told {
		return nil
	}
	p := presence{ID: fmt.Sprintf("p%s.%s", name, rand.Text()[:10]), Event: "presence", Forum: t.Forum, Thread: t.number(), Readers: readers}
	payload, err := json.Marshal(p)
	if err != nil {
		return err
	}
	if err := a.put(ctx, p.ID, payload); err != nil {
		return err
	}
	t.told = readers
	return nil
}

// present returns how many read a thread. The caller holds the application's lock.
func (t *thread) present() int {
	for visitor, seen := range t.readers {
		if time.Since(seen) > away {
			delete(t.readers, visitor)
		}
	}
	return len(t.readers)
}

// page is what the API tells of a thread.
type page struct {
	Thread   json.Number `json:"thread"`
	Forum    string      `json:"forum"`
	Hosts    []string    `json:"hosts"`
	Channels []string    `json:"channels"`
	Readers  int         `json:"readers"`
	Comments []shown     `json:"comments"`
}

// read returns a thread as a visitor may see it.
func (a *Application) read(name, visitor string) (page, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	t, err := a.thread(name)
	if err != nil {
		return page{}, err
	}
	p := page{
		Thread: t.number(), Forum: t.Forum, Hosts: a.hosts, Channels: []string{"thread:" + name}, Readers: t.present(), Comments: []shown{},
	}
	for _, post := range t.posts {
		if c := a.inThread(t, post); c != nil {
			one := c.shown
			one.Own = visitor != "" && c.visitor == visitor
			p.Comments = append(p.Comments, one)
		}
	}
	return p, nil
}

// thread returns a thread. The caller holds a.mu.
func (a *Application) thread(name string) (*thread, error) {
	if t := a.threads[name]; t != nil {
		return t, nil
	}
	return nil, refuse(404, "There is no thread %q.", name)
}

// inThread returns a comment of a thread, or nil. The caller holds a.mu.
func (a *Application) inThread(t *thread, post string) *comment {
	if c := a.comments[post]; c != nil && c.thread == t {
		return c
	}
	return nil
}

// own returns a comment that this visitor wrote. The caller holds a.mu.
func (a *Application) own(post, visitor string) (*comment, error) {
	c := a.comments[post]
	switch {
	case c == nil:
		return nil, refuse(404, "This comment is gone.")
	case visitor == "" || c.visitor != visitor:
		return nil, refuse(403, "This comment is somebody else’s.")
	}
	return c, nil
}

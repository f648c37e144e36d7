package forum

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Limits of what a visitor may send.
const (
	maxAuthor  = 40       // characters
	maxMessage = 2000     // characters
	maxRequest = 32 << 10 // bytes: that many characters, even if each is escaped
)

// A refusal is what a request did wrong, in a sentence for people.
type refusal struct {
	status int
	text   string
}

func (r *refusal) Error() string { return r.text }

func refuse(status int, format string, args ...any) error {
	return &refusal{status, fmt.Sprintf(format, args...)}
}

// Handler answers the API.
func (a *Application) Handler() http.Handler {
	mux := http.NewServeMux()
	for pattern, answer := range map[string]func(w http.ResponseWriter, r *http.Request) error{
		"GET /api/threads/{thread}":           a.serveThread,
		"POST /api/threads/{thread}/comments": a.servePost,
		"POST /api/threads/{thread}/presence": a.servePresence,
		"PATCH /api/comments/{post}":          a.serveEdit,
		"DELETE /api/comments/{post}":         a.serveRemove,
	} {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			// A job is put even if the visitor leaves: it may be on the feed already.
			err := answer(w, r.WithContext(context.WithoutCancel(r.Context())))
			refused := new(refusal)
			switch {
			case errors.As(err, &refused):
				http.Error(w, refused.text, refused.status)
			case err != nil:
				a.log.Error().Err(err).Msg("the demo's site cannot answer")
				http.Error(w, "This does not work now.", http.StatusInternalServerError)
			}
		})
	}
	return mux
}

func (a *Application) serveThread(w http.ResponseWriter, r *http.Request) error {
	page, err := a.read(r.PathValue("thread"), visitor(w, r))
	if err != nil {
		return err
	}
	return write(w, http.StatusOK, page)
}

func (a *Application) servePost(w http.ResponseWriter, r *http.Request) error {
	var d draft
	if err := read(w, r, &d, "author, message, parent and key"); err != nil {
		return err
	}
	d.Author, d.Message = strings.TrimSpace(d.Author), strings.TrimSpace(d.Message)
	switch n := utf8.RuneCountInString(d.Author); {
	case n < 1 || n > maxAuthor:
		return refuse(http.StatusBadRequest, "A name has 1 to %d characters, and not %d.", maxAuthor, n)
	case strings.ContainsFunc(d.Author, unicode.IsControl):
		return refuse(http.StatusBadRequest, "A name has no control characters.")
	}
	if err := checkMessage(d.Message); err != nil {
		return err
	}
	change, err := a.post(r.Context(), r.PathValue("thread"), visitor(w, r), d)
	if err != nil {
		return err
	}
	return write(w, http.StatusCreated, change)
}

func (a *Application) serveEdit(w http.ResponseWriter, r *http.Request) error {
	var d draft
	if err := read(w, r, &d, "message"); err != nil {
		return err
	}
	d.Message = strings.TrimSpace(d.Message)
	if err := checkMessage(d.Message); err != nil {
		return err
	}
	change, err := a.edit(r.Context(), r.PathValue("post"), known(r), d)
	if err != nil {
		return err
	}
	return write(w, http.StatusOK, change)
}

func (a *Application) serveRemove(w http.ResponseWriter, r *http.Request) error {
	change, err := a.remove(r.Context(), r.PathValue("post"), known(r))
	if err != nil {
		return err
	}
	return write(w, http.StatusOK, change)
}

func (a *Application) servePresence(w http.ResponseWriter, r *http.Request) error {
	var body struct {
		Leaving bool `json:"leaving"`
	}
	if err := read(w, r, &body, "leaving"); err != nil {
		return err
	}
	if err := a.attend(r.Context(), r.PathValue("thread"), visitor(w, r), body.Leaving); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func checkMessage(text string) error {
	if n := utf8.RuneCountInString(text); n < 1 || n > maxMessage {
		return refuse(http.StatusBadRequest, "A comment has 1 to %d characters, and not %d.", maxMessage, n)
	}
	return nil
}

// read reads a JSON object of these members.
func read(w http.ResponseWriter, r *http.Request, into any, members string) error {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return refuse(http.StatusUnsupportedMediaType, "Content-Type must be application/json.")
	}
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequest))
	if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
		return refuse(http.StatusRequestEntityTooLarge, "A request has at most %d bytes.", maxRequest)
	}
	d := json.NewDecoder(strings.NewReader(string(text)))
	d.DisallowUnknownFields()
	if err != nil || !utf8.Valid(text) || !json.Valid(text) || !strings.HasPrefix(strings.TrimSpace(string(text)), "{") || d.Decode(into) != nil {
		return refuse(http.StatusBadRequest, "Want one JSON object of %s, in UTF-8.", members)
	}
	return nil
}

func write(w http.ResponseWriter, status int, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(text) // the client left
	return nil
}

// cookie is the name of the cookie that says who a visitor is.
const cookie = "visitor"

// known returns who asks, empty for nobody who was here before.
func known(r *http.Request) string {
	c, err := r.Cookie(cookie)
	if err != nil {
		return ""
	}
	return c.Value
}

// visitor returns who asks, and gives a new one a cookie.
func visitor(w http.ResponseWriter, r *http.Request) string {
	if name := known(r); name != "" {
		return name
	}
	name := rand.Text()
	http.SetCookie(w, &http.Cookie{Name: cookie, Value: name, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: r.TLS != nil})
	return name
}

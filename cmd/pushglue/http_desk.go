package main

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"strings"

	"github.com/rs/zerolog"
)

// httpError is what the daemon answers when it does not do what it is asked for.
type httpError struct {
	Error string `json:"error"`
}

// maxOrder bounds the body of a request, in bytes.
const maxOrder = 16 << 10

// desk is what all have in common that change something over HTTP.
type desk struct {
	token string // that a change needs; empty for none
	log   zerolog.Logger
}

// admits reports whether a request has the token, if there is one, and answers it if not.
func (d desk) admits(w http.ResponseWriter, r *http.Request) bool {
	if d.token == "" {
		return true
	}
	scheme, given, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	// Digests are of one length, so that the time tells nothing about the token's.
	want, got := sha256.Sum256([]byte(d.token)), sha256.Sum256([]byte(strings.TrimSpace(given)))
	if strings.EqualFold(scheme, "Bearer") && subtle.ConstantTimeCompare(want[:], got[:]) == 1 {
		return true
	}
	w.Header().Set("WWW-Authenticate", `Bearer realm="pushglue"`)
	d.refuse(w, http.StatusUnauthorized, errors.New("this needs the daemon's PUSHGLUE_HTTP_TOKEN"))
	return false
}

// read reads an order, a JSON object like example, and answers the request if it is none.
func (d desk) read(w http.ResponseWriter, r *http.Request, order interface{ check() error }, example string) bool {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		d.refuse(w, http.StatusUnsupportedMediaType, errors.New("want Content-Type: application/json"))
		return false
	}
	decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxOrder))
	decoder.DisallowUnknownFields()
	err := decoder.Decode(order)
	if err == nil {
		err = order.check()
	}
	if _, more := decoder.Token(); err == nil && !errors.Is(more, io.EOF) {
		err = errors.New("there is more behind it")
	}
	if err != nil {
		d.refuse(w, http.StatusBadRequest, fmt.Errorf("want %s: %w", example, err))
	}
	return err == nil
}

func (d desk) refuse(w http.ResponseWriter, status int, err error) {
	d.answer(w, status, httpError{err.Error()})
}

func (d desk) answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(v); err != nil {
		d.log.Debug().Err(err).Msg("cannot answer")
	}
}

// ownHost refuses requests that name the daemon by a name of the DNS, which may be another's that leads here: a web page
// could read the answer then. own is the name in PUSHGLUE_HTTP_ADDR, if there is one.
func ownHost(own string, next http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := hostOf(r.Host)
		if net.ParseIP(name) == nil && !strings.EqualFold(name, "localhost") && (own == "" || !strings.EqualFold(name, own)) {
			desk{}.refuse(w, http.StatusMisdirectedRequest, fmt.Errorf("ask by address, or as localhost, not as %q", name))
			return
		}
		next(w, r)
	})
}

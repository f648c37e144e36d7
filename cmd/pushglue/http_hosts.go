package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"strings"

	"github.com/rs/zerolog"

	"pushglue/glue/push"
)

// hostsReport is what the daemon says of its push hosts.
type hostsReport struct {
	Hosts []push.HostReport `json:"hosts"`
}

// roleOrder is what the daemon is told about a push host.
type roleOrder struct {
	Host string    `json:"host"`
	Role push.Role `json:"role"`
}

// httpError is what the daemon answers when it does not do what it is asked for.
type httpError struct {
	Error string `json:"error"`
}

// maxOrder bounds the body of a request, in bytes.
const maxOrder = 16 << 10

// hostsDesk answers /hosts: how the push hosts stand, and which role each has.
type hostsDesk struct {
	hosts *push.Publisher // nil if there are none
	log   zerolog.Logger
}

func (d hostsDesk) show(w http.ResponseWriter, r *http.Request) {
	report := hostsReport{Hosts: []push.HostReport{}}
	if d.hosts != nil {
		report.Hosts = d.hosts.Survey(r.Context())
	}
	d.answer(w, http.StatusOK, report)
}

// change takes a roleOrder, from this machine alone: nobody is asked for a password. A web page that somebody looks at on this
// machine cannot send one, because a browser asks before it sends JSON elsewhere, and is not answered.
func (d hostsDesk) change(w http.ResponseWriter, r *http.Request) {
	if !isFromHere(r) {
		d.refuse(w, http.StatusForbidden, errors.New("roles are changed from the daemon's own machine"))
		return
	}
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		d.refuse(w, http.StatusUnsupportedMediaType, errors.New("want Content-Type: application/json"))
		return
	}
	order, err := readOrder(http.MaxBytesReader(w, r.Body, maxOrder))
	switch {
	case err != nil:
		d.refuse(w, http.StatusBadRequest, err)
		return
	case d.hosts == nil:
		d.refuse(w, http.StatusNotFound, fmt.Errorf("%w: no pipeline publishes to push hosts", push.ErrUnknownHost))
		return
	}
	switch err := d.hosts.SetRole(order.Host, order.Role); {
	case errors.Is(err, push.ErrUnknownHost):
		d.refuse(w, http.StatusNotFound, err)
	case err != nil:
		d.refuse(w, http.StatusBadRequest, err)
	default:
		d.show(w, r)
	}
}

// isFromHere reports whether this machine asks, and no proxy on it for somebody else that says so, as few do by themselves.
func isFromHere(r *http.Request) bool {
	if r.Header.Get("X-Forwarded-For") != "" || r.Header.Get("Forwarded") != "" || r.Header.Get("Via") != "" {
		return false
	}
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return false
	}
	here, _ := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
	return from.Addr().Unmap().IsLoopback() || here != nil && here.AddrPort().Addr().Unmap() == from.Addr().Unmap()
}

func readOrder(body io.Reader) (roleOrder, error) {
	var order roleOrder
	decoder := json.NewDecoder(body)
	decoder.DisallowUnknownFields()
	err := decoder.Decode(&order)
	if err == nil && decoder.More() {
		err = errors.New("there is more behind it")
	}
	if err != nil || order.Host == "" {
		return order, errors.Join(errors.New(`want {"host": "10.0.0.1:9080", "role": "in, drain or out"}`), err)
	}
	_, err = push.ParseRole(string(order.Role))
	return order, err
}

func (d hostsDesk) refuse(w http.ResponseWriter, status int, err error) {
	d.answer(w, status, httpError{err.Error()})
}

func (d hostsDesk) answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(v); err != nil {
		d.log.Debug().Err(err).Msg("cannot answer /hosts")
	}
}

// ownHost refuses requests that name the daemon by a name of the DNS, which may be another's that leads here: a web page
// could read the answer then. own is the name in PUSHGLUE_HTTP_ADDR, if there is one.
func ownHost(own string, next http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := hostOf(r.Host)
		if net.ParseIP(name) == nil && !strings.EqualFold(name, "localhost") && (own == "" || !strings.EqualFold(name, own)) {
			hostsDesk{}.refuse(w, http.StatusMisdirectedRequest, fmt.Errorf("ask by address, or as localhost, not as %q", name))
			return
		}
		next(w, r)
	})
}

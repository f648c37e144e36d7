package main

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"

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

func (o *roleOrder) check() error {
	if o.Host == "" {
		return errors.New("host is missing")
	}
	_, err := push.ParseRole(string(o.Role))
	return err
}

// hostsDesk answers /hosts: how the push hosts stand, and which role each has.
type hostsDesk struct {
	desk
	hosts *push.Publisher // nil if there are none
}

func (d hostsDesk) show(w http.ResponseWriter, r *http.Request) {
	report := hostsReport{Hosts: []push.HostReport{}}
	if d.hosts != nil {
		report.Hosts = d.hosts.Survey(r.Context())
	}
	d.answer(w, http.StatusOK, report)
}

// change takes a roleOrder, from this machine alone, and with the token if there is one. A web page that somebody looks at on this
// machine cannot send one, because a browser asks before it sends JSON elsewhere, and is not answered.
func (d hostsDesk) change(w http.ResponseWriter, r *http.Request) {
	if !isFromHere(r) {
		d.refuse(w, http.StatusForbidden, errors.New("roles are changed from the daemon's own machine"))
		return
	}
	var order roleOrder
	if !d.admits(w, r) || !d.read(w, r, &order, `{"host": "10.0.0.1:9080", "role": "in, drain or out"}`) {
		return
	}
	if d.hosts == nil {
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

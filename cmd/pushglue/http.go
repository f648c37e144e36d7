package main

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"pushglue/cmd/pushglue/live"
	"pushglue/glue"
	"pushglue/glue/metrics"
	"pushglue/glue/push"
	"pushglue/glue/thoonk"
)

// server is the daemon's own HTTP; the zero value is none.
type server struct{ http *http.Server }

// serve listens at addr and answers until close. An empty addr is no server.
func serve(addr string, h http.Handler, log zerolog.Logger) (server, error) {
	if addr == "" {
		return server{}, nil
	}
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return server{}, fmt.Errorf("PUSHGLUE_HTTP_ADDR: %w; choose another address, or an empty one for none", err)
	}
	if ip := listener.Addr().(*net.TCPAddr).IP; !ip.IsLoopback() {
		log.Warn().Stringer("address", listener.Addr()).Msg("the daemon's HTTP can be reached from elsewhere: whoever looks is asked for no password, and is told names, counts, and errors of the log")
	}
	s := server{&http.Server{Handler: h, ReadTimeout: 5 * time.Second, WriteTimeout: 30 * time.Second, IdleTimeout: time.Minute}}
	go func() {
		if err := s.http.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			log.Error().Err(err).Msg("the daemon's HTTP ended")
		}
	}()
	return s, nil
}

func (s server) close() {
	if s.http != nil {
		s.http.Close()
	}
}

// answers is what the daemon's HTTP answers with.
type answers struct {
	own     string // the name in PUSHGLUE_HTTP_ADDR, if there is one
	token   string // that changes need; empty for none
	ledger  *glue.Ledger
	traces  *glue.Traces
	feeds   []*thoonk.Feed
	hosts   *push.Publisher // nil if there are none
	numbers *measuring
	panel   *live.Panel
	log     zerolog.Logger
}

// handler answers /livez while the process lives, /readyz if it can work, /metrics for Prometheus, /ledger with its sums, /hosts (http_hosts.go), /jobs
// (http_jobs.go), /trace (http_trace.go), and / with the page and what it shows.
func (a answers) handler() http.Handler {
	mux, own := http.NewServeMux(), desk{a.token, a.log}
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, "ok")
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		reasons := a.numbers.unready()
		if len(reasons) > 0 {
			w.WriteHeader(http.StatusServiceUnavailable)
			fmt.Fprintln(w, strings.Join(reasons, "\n"))
			return
		}
		fmt.Fprintln(w, "ok")
	})
	mux.HandleFunc("GET /ledger", func(w http.ResponseWriter, _ *http.Request) {
		own.answer(w, http.StatusOK, a.ledger.Sums())
	})
	mux.Handle("GET /metrics", metrics.Handler(a.numbers.registry))
	hosts := hostsDesk{own, a.hosts}
	mux.Handle("GET /hosts", ownHost(a.own, hosts.show))
	mux.Handle("POST /hosts", ownHost(a.own, hosts.change))
	mux.Handle("POST /jobs", ownHost(a.own, jobsDesk{own, a.feeds}.change))
	mux.Handle("GET /trace", ownHost(a.own, traceDesk{own, a.traces}.show))
	mux.Handle("GET /", ownHost(a.own, a.panel.Handler().ServeHTTP))
	return mux
}

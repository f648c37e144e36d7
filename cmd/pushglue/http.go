package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"pushglue/glue"
	"pushglue/glue/metrics"
	"pushglue/glue/push"
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
		log.Warn().Stringer("address", listener.Addr()).Msg("the daemon's HTTP can be reached from elsewhere: it asks for no password, and tells names and counts")
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

// handler of a server that is called own answers /livez while the process lives, /readyz if it can work, /metrics for Prometheus, /ledger with its sums, and
// /hosts (http_hosts.go).
func handler(own string, ledger *glue.Ledger, hosts *push.Publisher, numbers *measuring, log zerolog.Logger) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, "ok")
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		reasons := numbers.unready()
		if len(reasons) > 0 {
			w.WriteHeader(http.StatusServiceUnavailable)
			fmt.Fprintln(w, strings.Join(reasons, "\n"))
			return
		}
		fmt.Fprintln(w, "ok")
	})
	mux.HandleFunc("GET /ledger", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if err := json.NewEncoder(w).Encode(ledger.Sums()); err != nil {
			log.Debug().Err(err).Msg("cannot answer /ledger")
		}
	})
	mux.Handle("GET /metrics", metrics.Handler(numbers.registry))
	desk := hostsDesk{hosts, log}
	mux.Handle("GET /hosts", ownHost(own, desk.show))
	mux.Handle("POST /hosts", ownHost(own, desk.change))
	return mux
}

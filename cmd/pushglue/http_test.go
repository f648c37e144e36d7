package main

import (
	"net/http"
	"strings"
	"testing"

	"github.com/rs/zerolog"
)

// TestHTTPWarnsWhereOthersReachIt listens at addresses of this machine alone and of all networks.
func TestHTTPWarnsWhereOthersReachIt(t *testing.T) {
	for address, warns := range map[string]bool{"127.0.0.1:0": false, "localhost:0": false, "0.0.0.0:0": true, ":0": true} {
		var log strings.Builder
		s, err := serve(address, http.NotFoundHandler(), zerolog.New(&log))
		if err != nil {
			t.Fatal(err)
		}
		s.close()
		if strings.Contains(log.String(), "can be reached from elsewhere") != warns {
			t.Errorf("%s: the log is %q", address, log.String())
		}
	}
}

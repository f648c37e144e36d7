package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"pushglue/glue/gluetest"
	"pushglue/glue/gluetest/service"
)

// pushHost is a push host of whatever kind, for browsers and for publishers.
type pushHost struct {
	public, internal string
	websocket        bool
}

// startPushHosts returns how to start each kind of push host.
func startPushHosts() map[string]func(t *testing.T) pushHost {
	nginx := func(module string) func(t *testing.T) pushHost {
		return func(t *testing.T) pushHost {
			host := service.StartNginx(t, module, service.NginxFile("common/private-key.conf", "set $private_key "+signatureKey+";\n"))
			return pushHost{host.PublicURL(), host.InternalURL(), true}
		}
	}
	return map[string]func(t *testing.T) pushHost{
		service.Nchan:      nginx(service.Nchan),
		service.PushStream: nginx(service.PushStream),
		"embedded": func(t *testing.T) pushHost {
			push := gluetest.NewPushServer()
			server := httptest.NewServer(push)
			t.Cleanup(func() {
				push.Close()
				server.Close()
			})
			return pushHost{server.URL, server.URL, false}
		},
	}
}

const signatureKey = "0123456789abcdef0123456789abcdef"

// publish publishes one message, whichever module the host has.
func (h pushHost) publish(t *testing.T, channel, kind, id, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, h.internal+"/publish?id="+url.QueryEscape(channel), strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Event-Id", id)
	if kind != "" {
		req.Header.Set("Event-Type", kind)
		req.Header.Set("X-EventSource-Event", kind)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		t.Fatalf("publish: status %d", resp.StatusCode)
	}
}

// say publishes messages with the ids from first to last to a channel.
func (h pushHost) say(t *testing.T, channel string, first, last int) {
	t.Helper()
	for i := first; i <= last; i++ {
		id := fmt.Sprintf("%s.%d", channel, i)
		h.publish(t, channel, "post_save", id, fmt.Sprintf(`{"id":%q,"event":"post_save","n":%d}`, id, i))
	}
}

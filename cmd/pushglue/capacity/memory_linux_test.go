package capacity

import (
	"crypto/tls"
	"crypto/x509"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"pushglue/glue/gluetest/service"
)

var crowd = flag.Int("crowd", 3000, "readers of a test that weighs nginx; 0 weighs nothing")

// within is how far the formula may be from what was measured, in hundredths.
const within = 20

// compare holds what a formula says against what was measured.
func compare(t *testing.T, what string, formula, measured int64) {
	t.Helper()
	t.Logf("%s: %d bytes by the formula, %d measured", what, formula, measured)
	if off := formula - measured; max(off, -off)*100 > measured*within {
		t.Errorf("%s: %d bytes by the formula, and %d measured, which is more than %d %% off", what, formula, measured, within)
	}
}

func eachModule(t *testing.T, test func(t *testing.T, module string)) {
	t.Helper()
	if *crowd == 0 {
		t.Log("-crowd 0: nothing is weighed")
		return
	}
	for _, module := range []string{Nchan, PushStream} {
		t.Run(module, func(t *testing.T) { test(t, module) })
	}
}

// startHost starts nginx with room for the crowd in each worker.
func startHost(t *testing.T, module string, workers int, more ...service.NginxOption) *service.Nginx {
	t.Helper()
	account := ""
	if os.Geteuid() == 0 {
		account = "user root; "
	}
	slots := *crowd*16/15 + 1024
	return service.StartNginx(t, module, append([]service.NginxOption{
		service.NginxFile("common/worker-connections.conf", fmt.Sprintf("worker_connections %d;\n", slots)),
		service.NginxFile("common/workers.conf", fmt.Sprintf("%sworker_processes %d; worker_rlimit_nofile %d;\n", account, workers, slots+100)),
	}, more...)...)
}

// TestReaderMemory opens idle readers and weighs what nginx has for each.
func TestReaderMemory(t *testing.T) {
	eachModule(t, func(t *testing.T, module string) {
		for name, test := range map[string]struct {
			audience audience
			header   int
		}{
			"small header": {audience{}, 100},
			"browser":      {audience{cookie: 700}, 800},
			"large header": {audience{cookie: 1500}, 1600},
			"channel each": {audience{private: true}, 100},
			"long list":    {audience{list: "forum:" + strings.Repeat("f", 40) + "/thread:12345/"}, 200},
		} {
			t.Run(name, func(t *testing.T) {
				host := startHost(t, module, 1)
				test.audience.url = host.PublicURL()
				grown := grow(t, host, test.audience)
				plan := Plan{Module: module, Readers: *crowd, Channels: 1, HeaderSize: test.header, ChannelLength: len("user:1000")}
				formula := int64(plan.ReaderBytes())
				if test.audience.private {
					plan.Channels = *crowd
					if module == Nchan {
						formula += int64(plan.ChannelBytes(1))
					}
					compare(t, "shared memory of a channel", int64(plan.ChannelZoneBytes(1)), grown.shared/int64(*crowd))
				}
				compare(t, "nginx, a reader", formula, grown.own/int64(*crowd))
			})
		}
	})
}

// grow returns by how much nginx grows while an audience comes, whose first reader has come already.
func grow(t *testing.T, host *service.Nginx, a audience) weight {
	t.Helper()
	first := a
	first.readers, a.readers = 1, *crowd
	first.gather(t)
	before := weigh(t, host)
	a.gather(t)
	return weigh(t, host).minus(before)
}

// TestTLSReaderMemory has readers' TLS end at nginx.
func TestTLSReaderMemory(t *testing.T) {
	eachModule(t, func(t *testing.T, module string) {
		authority := service.NewAuthority(t)
		certificate, key := authority.Certificate("host", time.Now().Add(time.Hour))
		port := service.FreePort(t)
		host := startHost(t, module, 1, service.NginxFile("common/listen-public.conf",
			fmt.Sprintf("listen 127.0.0.1:%d default_server ssl;\nssl_certificate %s;\nssl_certificate_key %s;\n", port, certificate, key)))
		pem, err := os.ReadFile(authority.File)
		if err != nil {
			t.Fatal(err)
		}
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM(pem)
		grown := grow(t, host, audience{url: fmt.Sprintf("https://127.0.0.1:%d", port), tls: &tls.Config{RootCAs: pool, ServerName: "127.0.0.1"}})
		plan := Plan{Module: module, HeaderSize: 100, TLS: true}
		compare(t, "nginx, a reader over TLS", int64(plan.ReaderBytes()), grown.own/int64(*crowd))
	})
}

// TestStoredMemory publishes messages that are stored, of sizes on both sides of a power of two.
func TestStoredMemory(t *testing.T) {
	const channels, messages = 100, 10
	eachModule(t, func(t *testing.T, module string) {
		host := startHost(t, module, 1)
		publish(t, host, "warm", 10, 1, 10)
		for _, size := range []int{100, 300, 500, 520, 1500} {
			before := weigh(t, host)
			publish(t, host, fmt.Sprintf("size:%d", size), channels, messages, size)
			grown := weigh(t, host).minus(before)
			plan := Plan{Module: module, Readers: 1, Channels: channels, ChannelLength: 12, MessageSize: size, Rate: channels * messages, TTL: time.Second, Stored: messages}
			compare(t, fmt.Sprintf("%d stored messages of %d bytes", channels*messages, size), plan.zone(0)-trash(plan), grown.shared)
		}
	})
}

// trash returns what a plan has for what has left its channel, which nothing here has.
func trash(p Plan) int64 {
	if p.Module == Nchan {
		return 0
	}
	return int64(p.Rate) * pushTrash * int64(p.MessageBytes())
}

// TestTrash publishes more than is stored: push-stream keeps what has left its channel for a while, Nchan does not.
func TestTrash(t *testing.T) {
	const channels, messages, stored, size = 10, 200, 20, 300
	eachModule(t, func(t *testing.T, module string) {
		host := startHost(t, module, 1)
		publish(t, host, "warm", 10, 1, 10)
		before := weigh(t, host)
		publish(t, host, "much", channels, messages, size)
		kept := stored
		if module == PushStream {
			kept = messages
		}
		plan := Plan{Module: module, MessageSize: size}
		compare(t, "messages of which most have left their channel", int64(channels*kept*plan.MessageBytes()), weigh(t, host).minus(before).shared)
	})
}

// TestSlotMemory has nginx with few and with many worker_connections.
func TestSlotMemory(t *testing.T) {
	const workers, few, many = 2, 4096, 36_864
	eachModule(t, func(t *testing.T, module string) {
		own := func(slots int) int64 {
			host := startHost(t, module, workers, service.NginxFile("common/worker-connections.conf", fmt.Sprintf("worker_connections %d;\n", slots)))
			return settled(t, host).own
		}
		compare(t, "slots", workers*(SlotBytes(many)-SlotBytes(few)), own(many)-own(few))
	})
}

// settled weighs nginx when all workers have made their slots: when it grows no more.
func settled(t *testing.T, host *service.Nginx) weight {
	t.Helper()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(patience)
	for before := weigh(t, host); ; {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("nginx grows for %s", patience)
		}
		now := weigh(t, host)
		if now == before {
			return now
		}
		before = now
	}
}

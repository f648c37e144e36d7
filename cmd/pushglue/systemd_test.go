package main

import (
	"net"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"pushglue/glue/gluetest/service"
)

// TestSystemd has the daemon tell a supervisor's socket that it runs, lives and stops.
func TestSystemd(t *testing.T) {
	store := service.StartRedis(t)
	workdir(t, "pipelines: [{name: p, feed: f, stages: [json], publish: {file: {path: out.jsonl}}}]\n")
	path := filepath.Join(t.TempDir(), "notify")
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	told := make(chan string, 1000)
	go func() {
		defer close(told)
		for text := make([]byte, 64); ; {
			n, err := socket.Read(text)
			if err != nil {
				return
			}
			told <- string(text[:n])
		}
	}()
	daemon := startDaemonIn(t, append(environment("REDIS_URL="+store.URL()), "NOTIFY_SOCKET="+path, "WATCHDOG_USEC=300000", "PUSHGLUE_DRAIN=27s"))
	next := func() string {
		select {
		case text := <-told:
			return text
		case <-time.After(patience):
			t.Fatal("nothing is told")
		}
		return ""
	}
	for i, want := range []string{"READY=1", "WATCHDOG=1", "WATCHDOG=1", "WATCHDOG=1"} {
		if got := next(); got != want {
			t.Errorf("message %d is %s, want %s", i, got, want)
		}
	}
	daemon.Stop()
	got := next()
	for got == "WATCHDOG=1" {
		got = next()
	}
	if want := "STOPPING=1\nEXTEND_TIMEOUT_USEC=77000000"; got != want {
		t.Errorf("at last it told %q, want %q", got, want)
	}
}

// TestTheWatchdogIsFedByTheEngine has a part of the engine hang: nothing is told until it answers.
func TestTheWatchdogIsFedByTheEngine(t *testing.T) {
	t.Setenv("WATCHDOG_USEC", "3000000")
	synctest.Test(t, func(t *testing.T) {
		told := 0
		s := &supervisor{zerolog.Nop(), func(string) error { told++; return nil }}
		var part sync.Mutex
		release := make(chan struct{})
		stop := s.feed(func() {
			part.Lock()
			defer part.Unlock()
			<-release
		})
		defer stop()
		time.Sleep(time.Hour)
		synctest.Wait()
		if told != 0 {
			t.Errorf("told %d times that the engine lives", told)
		}
		close(release)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if told < 10 {
			t.Errorf("told %d times in 10 s", told)
		}
	})
}

package faults

import (
	"os"
	"strconv"
	"testing"

	"pushglue/glue/gluetest/service"
)

// clock is the clock of one process, which libfaketime reads from a file. That of the machine stays as it is.
type clock struct{ path string }

// under returns a command under which a process has this clock.
func (c *clock) under(r *round) []string {
	r.Helper()
	library := service.NeedFile(r.T, "/usr/lib/*/faketime/libfaketimeMT.so.1", "libfaketime")
	// Redis comes with jemalloc, which asks for the time before libfaketime can tell it; libc has another malloc.
	c.path = r.write("clock", "+0")
	return []string{"env", "LD_PRELOAD=" + library + " libc.so.6", "FAKETIME_TIMESTAMP_FILE=" + c.path, "FAKETIME_NO_CACHE=1", "DONT_FAKE_MONOTONIC=1"}
}

// step sets the clock to so many seconds before or behind the machine's.
func (c *clock) step(r *round, seconds int) {
	r.Helper()
	text := strconv.Itoa(seconds)
	if seconds >= 0 {
		text = "+" + text
	}
	// A process reads it at any time: it must not find it empty.
	if err := os.WriteFile(c.path+".new", []byte(text), 0o600); err != nil {
		r.Fatal(err)
	}
	if err := os.Rename(c.path+".new", c.path); err != nil {
		r.Fatal(err)
	}
}

// steps lets the clock go back and forth by an hour.
func (c *clock) steps(r *round) {
	for range r.times(2, 10) {
		for _, seconds := range []int{3600, 0, -3600, 0} {
			c.step(r, seconds)
			r.progress(100 + r.rng.IntN(400))
		}
	}
}

// TestClock lets the clock of one process go wrong.
func TestClock(t *testing.T) {
	t.Parallel()
	run(t, func() scenario {
		var store clock
		return scenario{
			name: "clock of redis",
			setUp: func(r *round) {
				r.redis = r.startRedis(store.under(r))
			},
			fault: func(r *round) {
				before := r.time()
				store.step(r, 3600)
				if after := r.time(); after.Sub(before).Minutes() < 59 {
					r.Fatalf("the clock of Redis does not follow: %s, then %s", before, after)
				}
				store.steps(r)
			},
		}
	})
	run(t, func() scenario {
		var killed clock
		return scenario{
			name: "clock of redis goes back and the daemon is killed", crash: true,
			setUp: func(r *round) {
				r.redis = r.startRedis(killed.under(r))
			},
			fault: func(r *round) {
				killed.step(r, 3600)
				r.progress(200)
				r.killDaemon()
				killed.step(r, 0)
				r.startDaemon()
				r.progress(500)
			},
		}
	})
	run(t, func() scenario {
		var host clock
		return scenario{
			name: "clock of a host", hosts: 1,
			setUp: func(r *round) {
				r.startHosts(service.NginxUnder(host.under(r)...))
				r.startHosts()
			},
			fault: func(r *round) { host.steps(r) },
		}
	})
}

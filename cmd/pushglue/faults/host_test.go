package faults

import (
	"strconv"
	"testing"
	"time"

	"pushglue/glue/gluetest/service"
)

// TestHost restarts, reloads, kills and pauses push hosts.
func TestHost(t *testing.T) {
	t.Parallel()
	run(t, func() scenario {
		return scenario{
			name: "host restarted", resets: true,
			fault: func(r *round) {
				for range r.times(2, 10) {
					r.progress(200 + r.rng.IntN(1000))
					host := r.anyHost()
					host.Stop()
					r.hold(time.Duration(r.rng.IntN(1500)) * time.Millisecond)
					host.Start()
				}
				r.progress(200)
			},
		}
	})
	run(t, func() scenario {
		return scenario{
			name: "host reloaded", resets: true,
			fault: func(r *round) {
				for range r.times(2, 10) {
					r.progress(200 + r.rng.IntN(1000))
					r.anyHost().Reload()
				}
				r.progress(200)
			},
		}
	})
	run(t, func() scenario {
		return scenario{
			name: "host killed", resets: true,
			fault: func(r *round) {
				for range r.times(2, 10) {
					r.progress(200 + r.rng.IntN(1000))
					host := r.anyHost()
					host.Kill()
					r.hold(time.Duration(r.rng.IntN(1500)) * time.Millisecond)
					host.Start()
				}
				r.progress(200)
			},
		}
	})
	run(t, func() scenario {
		return scenario{
			name: "host paused",
			fault: func(r *round) {
				for range r.times(1, 5) {
					r.progress(200 + r.rng.IntN(1000))
					host := r.anyHost()
					host.Pause()
					r.hold(3 * time.Second) // the daemon gives up after one
					host.Continue()
				}
				r.progress(200)
			},
		}
	})
	run(t, func() scenario {
		return scenario{
			name: "host dead", once: true,
			setUp: func(r *round) {
				r.startHosts()
				r.urls = append(r.urls, "http://127.0.0.1:"+strconv.Itoa(service.FreePort(r.T)))
			},
			hosts: 1,
			fault: func(r *round) { r.progress(1000) },
		}
	})
}

func (r *round) anyHost() *service.Nginx { return r.hosts[r.rng.IntN(len(r.hosts))] }

package faults

import (
	"testing"
	"time"
)

// standby has the daemons keep the order by all means: nothing may come late.
var standby = []string{"STANDBY=true", "PUSH_TIMEOUT=10s"}

// TestStandby ends the active one of two daemons, of which the other one takes over.
func TestStandby(t *testing.T) {
	t.Parallel()
	run(t, func() scenario {
		return scenario{
			name: "standby killed", crash: true, settings: standby,
			fault: func(r *round) {
				r.startDaemon()
				for range r.times(1, 10) {
					r.progress(200 + r.rng.IntN(1000))
					r.kill(0)
					r.startDaemon()
					r.progress(200)
				}
			},
		}
	})
	run(t, func() scenario {
		return scenario{
			name: "standby, redis killed", settings: standby, redis: safe, rate: 800,
			fault: func(r *round) {
				r.startDaemon()
				for range r.times(2, 10) {
					r.progress(200 + r.rng.IntN(1000))
					r.press(func() {})
					r.noticed(troubled, r.redis.Kill)
					r.redis.Start()
				}
				r.progress(200)
			},
		}
	})
	run(t, func() scenario {
		return scenario{
			name: "standby stopped", settings: append([]string{"PUSH_DEADLINE=500ms"}, standby...),
			fault: func(r *round) {
				r.startDaemon()
				for range r.times(2, 10) {
					r.progress(200 + r.rng.IntN(1000))
					r.stopBehindHost()
					r.startDaemon()
					r.progress(200)
				}
			},
		}
	})
}

// stopBehindHost stops the active daemon while it owes a push host that hangs what the other one has got.
func (r *round) stopBehindHost() {
	r.Helper()
	host := r.anyHost()
	host.Pause()
	r.progress(500) // on the other one, which does not wait for longer than the deadline
	done := make(chan struct{})
	time.AfterFunc(time.Duration(1000+r.rng.IntN(2000))*time.Millisecond, func() { host.Continue(); close(done) })
	r.account(r.daemons[0])
	r.sums = append(r.sums, r.daemons[0].Stop())
	r.daemons = r.daemons[1:]
	<-done
}

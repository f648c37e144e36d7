package faults

import "testing"

// TestDaemon kills, stops and restarts the daemon under load.
func TestDaemon(t *testing.T) {
	t.Parallel()
	run(t, func() scenario {
		return scenario{
			name: "undisturbed", once: true,
			fault: func(*round) {},
		}
	})
	run(t, func() scenario {
		return scenario{
			name: "restarted", once: true,
			fault: func(r *round) {
				for range r.times(2, 10) {
					r.progress(200 + r.rng.IntN(1000))
					r.stopDaemons()
					r.startDaemon()
				}
				r.progress(200)
			},
		}
	})
	run(t, func() scenario {
		return scenario{
			name: "killed", crash: true,
			fault: func(r *round) {
				for range r.times(3, 50) {
					r.progress(200 + r.rng.IntN(1500))
					r.killDaemon()
					r.startDaemon()
					if r.rng.IntN(4) > 0 { // else the next one is killed as well
						r.recovered()
					}
				}
				r.progress(200)
			},
			check: (*round).checkLost,
		}
	})
}

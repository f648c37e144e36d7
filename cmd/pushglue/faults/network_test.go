package faults

import (
	"strings"
	"testing"
	"time"
)

// network puts a proxy before each part: between the daemon and Redis, the daemon and each push host, and the
// readers and each push host.
type network struct {
	store          *proxy
	hosts, readers []*proxy
}

func (n *network) setUp(r *round) {
	r.redis = r.startRedis(nil, r.scenario.redis...)
	r.scenario.answersLost, r.scenario.retried = true, true
	n.store = startProxy(r, r.redis.Addr)
	r.redisURL = "redis://" + n.store.addr()
	r.startHosts()
	for i := range r.hosts {
		host, reader := startProxy(r, strings.TrimPrefix(r.urls[i], "http://")), startProxy(r, strings.TrimPrefix(r.public[i], "http://"))
		n.hosts, n.readers = append(n.hosts, host), append(n.readers, reader)
		r.urls[i], r.public[i] = "http://"+host.addr(), "http://"+reader.addr()
	}
}

func (n *network) all() []*proxy { return append(append([]*proxy{n.store}, n.hosts...), n.readers...) }

// any returns one of the proxies.
func (n *network) any(r *round) *proxy {
	list := n.all()
	return list[r.rng.IntN(len(list))]
}

// TestNetwork delays, cuts and silences connections.
func TestNetwork(t *testing.T) {
	t.Parallel()
	run(t, func() scenario {
		var slow network
		return scenario{
			// Nothing is lost, so nobody may give up, however slow the machine is as well.
			name: "network slow", once: true, settings: []string{"LEASE=10s", "PUSH_TIMEOUT=10s", "RETRY_BUDGET=10s"},
			setUp: func(r *round) {
				slow.setUp(r)
				r.scenario.answersLost, r.scenario.retried = false, false
			},
			fault: func(r *round) {
				for range r.times(4, 20) {
					for _, p := range slow.all() {
						p.delay.Store(int64(r.rng.IntN(100)) * int64(time.Millisecond))
					}
					r.progress(200 + r.rng.IntN(500))
				}
			},
		}
	})
	run(t, func() scenario {
		var broken network
		return scenario{
			name: "network cut", setUp: broken.setUp,
			fault: func(r *round) {
				for range r.times(8, 50) {
					r.progress(100 + r.rng.IntN(500))
					p := broken.any(r)
					p.refusing.Store(true)
					p.cut()
					r.hold(time.Duration(r.rng.IntN(1000)) * time.Millisecond)
					p.refusing.Store(false)
				}
				r.progress(200)
			},
		}
	})
	run(t, func() scenario {
		var silent network
		return scenario{
			// Nobody tells a reader that its stream is half-open: it has to notice by itself.
			name: "network half-open", setUp: silent.setUp, watchdog: 5 * time.Second,
			fault: func(r *round) {
				for range r.times(4, 20) {
					r.progress(100 + r.rng.IntN(500))
					silent.any(r).silence()
					r.hold(time.Duration(1+r.rng.IntN(4)) * time.Second)
				}
				r.progress(200)
			},
		}
	})
}

package monitoring

import (
	"strings"
	"testing"
	"time"

	"pushglue/glue/gluetest/service"
)

// minute is one of Prometheus's time, in scrapes.
const minute = 4

// cause is a fault, and the alerts that it causes, and no others.
type cause struct {
	settings []string
	options  []service.NginxOption
	do       func(s *site)
	alerts   []string
}

var causes = map[string]cause{
	"nothing": {do: func(s *site) { s.watch(15*minute, s.load) }},
	"a daemon that ends again and again, and then for good": {
		do: func(s *site) {
			for range 3 {
				s.daemon.Kill()
				s.startDaemon()
				s.watch(minute, s.load)
			}
			s.daemon.Kill()
			s.watch(2*minute, nothing)
		},
		alerts: []string{"PushglueRestarts", "PushglueDown"},
	},
	"Redis is away": {
		do: func(s *site) {
			s.store.Stop()
			s.await("Redis is down", func() bool { return s.last("pushglue_feed_up") == 0 })
			s.watch(2*minute, nothing)
		},
		alerts: []string{"PushglueRedisDown"},
	},
	"jobs that cannot work": {
		do: func(s *site) {
			tooLong := strings.Repeat("long ", 14_000) // for a push host
			s.watch(12*minute, func() {
				s.load()
				s.put++
				s.raw(0, "this is no JSON", true)
				s.job(0, tooLong)
			})
		},
		alerts: []string{"PushglueJobsFail", "PushglueJobsStalled", "PushglueHostRefuses"},
	},
	"all push hosts are down": {
		do: func(s *site) {
			s.one.Stop()
			s.two.Stop()
			s.watch(10*minute, func() {
				for range 100 {
					s.job(2*time.Minute, "")
				}
			})
		},
		alerts: []string{"PushglueHostDown", "PushglueQueueOld", "PushglueQueueGrows"},
	},
	"jobs come late": {
		do:     func(s *site) { s.watch(12*minute, func() { s.job(20*time.Second, "") }) },
		alerts: []string{"PushglueSlow"},
	},
	"a push host dies, and its readers with it": {
		settings: []string{"REPLAY_MESSAGES=10"},
		do: func(s *site) {
			s.two.Kill()
			s.watch(10*minute, s.load)
		},
		alerts: []string{"PushglueHostDown", "PushglueHostMisses", "PushglueReadersDrop"},
	},
	"a push host hangs": {
		settings: []string{"PUSH_DEADLINE=20ms", "PUSH_TIMEOUT=1h"},
		do: func(s *site) {
			s.two.Pause()
			s.watch(6*minute, s.load)
			s.two.Continue()
		},
		alerts: []string{"PushglueHostBehind"},
	},
	"a push host has no statistics": {
		options: []service.NginxOption{service.NginxFile("nchan/stats.conf", "")},
		do:      func(s *site) { s.watch(6*minute, s.load) },
		alerts:  []string{"PushglueHostNotReady"},
	},
	"a push host's memory is full": {
		do: func(s *site) {
			long := strings.Repeat("long ", 12_000)
			s.await("nine tenths are full", func() bool {
				s.job(0, long)
				used := s.last("pushglue_host_shared_memory_bytes", name(s.two))
				return used > 0.9*s.last("pushglue_host_shared_memory_limit_bytes", name(s.two))
			})
			s.watch(3*minute, nothing)
		},
		alerts: []string{"PushglueHostMemoryFull"},
	},
	"a job is lost": {
		do: func(s *site) {
			s.put++
			s.raw(0, "{}", false)
			s.watch(3*minute, s.load)
		},
		alerts: []string{"PushglueCountsDisagree"},
	},
}

// TestCauses runs a daemon, causes something, and asks which alerts Prometheus would have raised: before, none.
func TestCauses(t *testing.T) {
	for what, c := range causes {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			s := startSite(t, service.Nchan, c.settings, c.options...)
			s.read(s.one, 20)
			s.read(s.two, 120)
			s.watch(5*minute, s.load)
			before := s.now()
			c.do(s)
			s.check(t, fired(before), fired(s.now(), c.alerts...))
		})
	}
}

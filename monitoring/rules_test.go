package monitoring

import (
	"os"
	"slices"
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
		options: []service.NginxOption{service.NginxFile("nchan/memory.conf", "nchan_shared_memory_size 8m;\n")},
		do: func(s *site) {
			long := strings.Repeat("long ", 12_000)
			s.await("nine tenths are full", func() bool {
				for range 5 {
					s.job(0, long)
				}
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
			const quiet = "forum:quiet" // that there are readers is enough
			s.read(s.one, quiet, 20)
			s.read(s.two, quiet, 120)
			s.watch(5*minute, s.load)
			before := s.now()
			c.do(s)
			s.check(t, fired(before), fired(s.now(), c.alerts...))
		})
	}
}

// byNumbers are the alerts whose cause no test can make: they fire in rules_test.yml alone.
var byNumbers = []string{
	"PushglueHostTrashGrows", // a worker of nginx hangs for minutes, on a module that CI does not have
	"PushglueWorkersUneven",  // a thousand readers, and a kernel that gives most of them to one worker
}

// TestEachAlert holds the rules against what people need of them, and against the tests.
func TestEachAlert(t *testing.T) {
	guide, err := os.ReadFile("../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	fires, silent := alertsByNumbers(t)
	caused := slices.Clone(byNumbers)
	for _, c := range causes {
		caused = append(caused, c.alerts...)
	}
	for _, r := range readRules(t) {
		if s := r.Labels["severity"]; s != "critical" && s != "warning" {
			t.Errorf("%s has the severity %q", r.Alert, s)
		}
		if r.Annotations["summary"] == "" || r.Annotations["description"] == "" {
			t.Errorf("%s does not say what is wrong, and what to do", r.Alert)
		}
		if r.Annotations["runbook"] != "docs/operations.md#"+strings.ToLower(r.Alert) || !strings.Contains(string(guide), "\n### "+r.Alert+"\n") {
			t.Errorf("%s leads to no section of docs/operations.md", r.Alert)
		}
		if !slices.Contains(fires, r.Alert) || !slices.Contains(silent, r.Alert) {
			t.Errorf("rules_test.yml does not show %s firing and silent", r.Alert)
		}
		if !slices.Contains(caused, r.Alert) {
			t.Errorf("no test causes %s", r.Alert)
		}
	}
}

// alertsByNumbers returns the alerts that fire in rules_test.yml, and those that do not.
func alertsByNumbers(t *testing.T) (fires, silent []string) {
	t.Helper()
	var file struct {
		Tests []struct {
			Alerts []struct {
				Name     string `yaml:"alertname"`
				Expected []any  `yaml:"exp_alerts"`
			} `yaml:"alert_rule_test"`
		} `yaml:"tests"`
	}
	readYAML(t, "prometheus/rules_test.yml", &file)
	for _, test := range file.Tests {
		for _, a := range test.Alerts {
			if len(a.Expected) > 0 {
				fires = append(fires, a.Name)
			} else {
				silent = append(silent, a.Name)
			}
		}
	}
	return fires, silent
}

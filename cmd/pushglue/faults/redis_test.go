package faults

import (
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"pushglue/glue/gluetest/service"
)

// safe makes Redis answer only when it has written to the disk.
var safe = []string{"--appendonly", "yes", "--appendfsync", "always"}

// troubled is what the daemon logs when Redis does not do what it is asked.
const troubled = "trying again until it works"

// TestRedis kills, restarts and pauses Redis, and makes it refuse.
func TestRedis(t *testing.T) {
	t.Parallel()
	run(t, func() scenario {
		return scenario{
			name: "redis killed", redis: safe, answersLost: true, rate: 800,
			fault: func(r *round) {
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
			name: "redis paused", redis: safe, answersLost: true, rate: 800,
			fault: func(r *round) {
				for range r.times(1, 3) {
					r.progress(200 + r.rng.IntN(1000))
					r.noticed(troubled, func() { r.press(r.redis.Pause) })
					r.hold(time.Duration(r.times(4, 5)) * time.Second) // so long that a claim is given up, too
					r.redis.Continue()
				}
				r.progress(200)
			},
			check: (*round).checkLost,
		}
	})
	run(t, func() scenario {
		return scenario{
			name: "redis without scripts", once: true,
			fault: func(r *round) {
				for range r.times(5, 50) {
					r.progress(50 + r.rng.IntN(200))
					r.command("SCRIPT", "FLUSH")
				}
				r.refused("NOSCRIPT")
				r.progress(200)
			},
		}
	})
	run(t, func() scenario {
		return scenario{
			name: "redis read-only", once: true, redis: safe,
			fault: func(r *round) {
				for range r.times(2, 10) {
					r.progress(100 + r.rng.IntN(1000))
					r.noticed(troubled, func() { r.command("REPLICAOF", "127.0.0.1", strconv.Itoa(service.FreePort(r.T))) })
					r.refused("READONLY")
					r.command("REPLICAOF", "NO", "ONE")
				}
				r.progress(200)
			},
		}
	})
	run(t, func() scenario {
		return scenario{
			name: "redis full", once: true,
			fault: func(r *round) {
				for range r.times(2, 10) {
					r.progress(100 + r.rng.IntN(1000))
					r.command("CONFIG", "SET", "maxmemory", "1")
					r.refused("OOM")
					r.command("CONFIG", "SET", "maxmemory", "0")
				}
				r.progress(200)
			},
		}
	})
	run(t, func() scenario {
		return scenario{
			// Redis answers LOADING for seconds: it takes a millisecond for each command of its file.
			name: "redis loading", once: true, answersLost: true, redis: append([]string{"--key-load-delay", "1000", "--loading-process-events-interval-bytes", "1024"}, safe...),
			fault: func(r *round) {
				for range r.times(1, 3) {
					r.progress(2000)
					r.noticed(troubled, r.redis.Kill)
					r.redis.Start()
					r.refused("LOADING")
					r.shorten()
				}
				r.progress(200)
			},
		}
	})
}

// shorten makes Redis write its file anew, with what there is now, so that the next load takes no longer.
func (r *round) shorten() {
	r.Helper()
	r.command("BGREWRITEAOF")
	r.eventually("the file of Redis is written anew", func() bool {
		text, err := r.rdb.Info(r.Context(), "persistence").Result()
		return err == nil && strings.Contains(text, "aof_rewrite_in_progress:0") && strings.Contains(text, "aof_rewrite_scheduled:0")
	})
}

func (r *round) command(args ...any) {
	r.Helper()
	if err := r.rdb.Do(r.Context(), args...).Err(); err != nil {
		r.Fatalf("%v: %v", args, err)
	}
}

var errorCount = regexp.MustCompile(`errorstat_([A-Z]+):count=(\d+)`)

// refused waits until Redis has given such an answer.
func (r *round) refused(code string) {
	r.Helper()
	r.eventually("Redis answers "+code, func() bool {
		text, err := r.rdb.Info(r.Context(), "errorstats").Result()
		if err != nil {
			return false
		}
		for _, found := range errorCount.FindAllStringSubmatch(text, -1) {
			if found[1] == code && found[2] != "0" {
				return true
			}
		}
		return false
	})
}

func (r *round) time() time.Time {
	r.Helper()
	now, err := r.rdb.Time(r.Context()).Result()
	if err != nil {
		r.Fatal(err)
	}
	return now
}

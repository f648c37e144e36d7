package faults

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"pushglue/glue/gluetest/service"
)

// sentinels watch two Redis servers, one of which is the master.
type sentinels struct {
	addrs   []string
	servers []*service.Redis

	connections atomic.Int64 // that the producer has made
}

const masterName = "faults"

func (s *sentinels) setUp(r *round) {
	for range 2 {
		s.servers = append(s.servers, r.startRedis(nil, append([]string{"--repl-diskless-sync-delay", "0"}, safe...)...))
	}
	r.redis = s.servers[0]
	replica := client(r.T, s.servers[1].Addr)
	if err := replica.Do(r.Context(), "replicaof", "127.0.0.1", port(s.servers[0].Addr)).Err(); err != nil {
		r.Fatal(err)
	}
	r.eventually("the replica has a master", func() bool {
		text, err := replica.Info(r.Context(), "replication").Result()
		return err == nil && strings.Contains(text, "master_link_status:up")
	})
	for range 3 {
		s.addrs = append(s.addrs, startSentinel(r, s.servers[0].Addr))
	}
	r.redisURL = fmt.Sprintf("redis://%s?master_name=%s&addr=%s&addr=%s", s.addrs[0], masterName, s.addrs[1], s.addrs[2])
	r.awaitSentinels(s)

	rdb := redis.NewFailoverClient(&redis.FailoverOptions{
		MasterName: masterName, SentinelAddrs: s.addrs, MaxRetries: -1, ReadTimeout: 2 * time.Second,
		PoolSize: 1, // WAIT is about what was written over the same connection
		OnConnect: func(context.Context, *redis.Conn) error {
			s.connections.Add(1)
			return nil
		},
	})
	r.Cleanup(func() { rdb.Close() })
	r.rdb = rdb
}

func port(addr string) string { return addr[strings.LastIndex(addr, ":")+1:] }

// startSentinel starts a Sentinel that watches the master at an address, and returns its own.
func startSentinel(r *round, master string) (addr string) {
	r.Helper()
	own := strconv.Itoa(service.FreePort(r.T))
	// It writes what it learns into its configuration.
	path := r.write("sentinel.conf", fmt.Sprintf(`bind 127.0.0.1
port %s
sentinel monitor %s 127.0.0.1 %s 2
sentinel down-after-milliseconds %[2]s 1000
sentinel failover-timeout %[2]s 5000
`, own, masterName, port(master)))
	cmd := exec.Command("redis-server", path, "--sentinel")
	if err := cmd.Start(); err != nil {
		r.Fatalf("start a Sentinel: %v", err)
	}
	exited := make(chan struct{})
	go func() {
		_ = cmd.Wait() // it is killed
		close(exited)
	}()
	r.Cleanup(func() {
		if err := cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
			r.Error(err)
		}
		<-exited
	})
	return net.JoinHostPort("127.0.0.1", own)
}

// sentinel returns a client of one of them.
func (r *round) sentinel(addr string) *redis.SentinelClient {
	c := redis.NewSentinelClient(&redis.Options{Addr: addr})
	r.Cleanup(func() { _ = c.Close() })
	return c
}

// awaitSentinels waits until all of them know of each other and of the replica.
func (r *round) awaitSentinels(s *sentinels) {
	r.Helper()
	for _, addr := range s.addrs {
		sentinel := r.sentinel(addr)
		r.eventually("the Sentinels are ready", func() bool {
			master, err := sentinel.Master(r.Context(), masterName).Result()
			return err == nil && master["num-slaves"] == "1" && master["num-other-sentinels"] == "2" && master["flags"] == "master"
		})
	}
}

// failOver kills the master, waits for another one, and starts the old one, which becomes the replica.
func (s *sentinels) failOver(r *round) {
	r.Helper()
	sentinel := r.sentinel(s.addrs[0])
	master := func() string {
		addr, err := sentinel.GetMasterAddrByName(r.Context(), masterName).Result()
		if err != nil || len(addr) != 2 {
			return ""
		}
		return net.JoinHostPort(addr[0], addr[1])
	}
	old := master()
	for _, server := range s.servers {
		if server.Addr != old {
			continue
		}
		r.noticed(troubled, server.Kill)
		r.eventually("Sentinel names another master", func() bool { now := master(); return now != "" && now != old })
		server.Start()
	}
	r.awaitSentinels(s)
}

// confirm makes sure that what was put is on the replica too: Redis answers before it is, and a failover forgets what is
// not. It is unsure if the connection was not the same all the time.
func (s *sentinels) confirm(r *round) func(context.Context) error {
	var before int64
	return func(ctx context.Context) error {
		replicas, err := r.rdb.Do(ctx, "WAIT", 1, 1000).Int()
		made := s.connections.Load()
		same := made == before
		before = made
		if err == nil && (replicas < 1 || !same) {
			err = errors.New("the replica may not have it")
		}
		return err
	}
}

// TestSentinel has Redis fail over to its replica.
func TestSentinel(t *testing.T) {
	t.Parallel()
	run(t, func() scenario {
		var s sentinels
		return scenario{
			name: "redis fails over", forgets: true, setUp: s.setUp,
			jobs: 600, // each waits for the replica
			fault: func(r *round) {
				r.anyOrder = true
				for range r.times(1, 5) {
					r.progress(200 + r.rng.IntN(1000))
					s.failOver(r)
				}
				r.progress(200)
			},
			confirm: s.confirm,
		}
	})
}

package thoonk_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/alicebob/miniredis/v2/server"
	"github.com/redis/go-redis/v9"

	"pushglue/glue"
	"pushglue/glue/gluetest/service"
	"pushglue/glue/thoonk"
)

func TestOpenSingle(t *testing.T) {
	tests := []struct {
		url  string
		want redis.Options
	}{
		{"redis://localhost", redis.Options{Network: "tcp", Addr: "localhost:6379"}},
		{"redis://", redis.Options{Network: "tcp", Addr: "localhost:6379"}},
		{"redis://[::1]:7000/3", redis.Options{Network: "tcp", Addr: "[::1]:7000", DB: 3}},
		{"redis://:p%40ss@h:1", redis.Options{Network: "tcp", Addr: "h:1", Password: "p@ss"}},
		{"redis://glue:pw@h:1/0?cluster=false&pool_size=7&read_timeout=3s", redis.Options{Network: "tcp", Addr: "h:1", Username: "glue", Password: "pw", PoolSize: 7, ReadTimeout: 3 * time.Second}},
		{"unix:///run/redis.sock?db=2", redis.Options{Network: "unix", Addr: "/run/redis.sock", DB: 2}},
		{"unix://glue:pw@/run/redis.sock", redis.Options{Network: "unix", Addr: "/run/redis.sock", Username: "glue", Password: "pw"}},
	}
	for _, test := range tests {
		client, ok := open(t, test.url).(*redis.Client)
		if !ok {
			t.Errorf("%s: the client is no redis.Client", test.url)
			continue
		}
		got := client.Options()
		if got.Network != test.want.Network || got.Addr != test.want.Addr || got.DB != test.want.DB ||
			got.Username != test.want.Username || got.Password != test.want.Password || got.TLSConfig != nil {
			t.Errorf("%s: options are %+v", test.url, got)
		}
		if test.want.PoolSize != 0 && (got.PoolSize != test.want.PoolSize || got.ReadTimeout != test.want.ReadTimeout) {
			t.Errorf("%s: pool of %d, read timeout %v", test.url, got.PoolSize, got.ReadTimeout)
		}
		if !got.ContextTimeoutEnabled {
			t.Errorf("%s: deadlines of contexts count for nothing", test.url)
		}
	}
}

func TestOpenTLS(t *testing.T) {
	tests := []struct {
		url        string
		serverName string
		trust      bool
	}{
		{"rediss://h:1", "h", false},
		{"rediss://h:1?skip_verify=true", "h", true},
		{"rediss://h:1?cluster=true", "h", false},
		{"rediss://h:1?cluster=true&skip_verify=true", "h", true},
		{"rediss://h:1?master_name=m", "h", false},
	}
	for _, test := range tests {
		config := tlsConfig(t, open(t, test.url))
		if config == nil || config.ServerName != test.serverName || config.InsecureSkipVerify != test.trust || config.MinVersion != tls.VersionTLS12 {
			t.Errorf("%s: TLS is %+v", test.url, config)
		}
	}
}

func tlsConfig(t *testing.T, rdb redis.UniversalClient) *tls.Config {
	t.Helper()
	switch client := rdb.(type) {
	case *redis.Client:
		return client.Options().TLSConfig
	case *redis.ClusterClient:
		return client.Options().TLSConfig
	}
	t.Fatalf("client is a %T", rdb)
	return nil
}

func TestOpenCluster(t *testing.T) {
	client, ok := open(t, "redis://glue:pw@h:1/0?cluster=true&addr=h2:2&addr=h3:3&max_redirects=5").(*redis.ClusterClient)
	if !ok {
		t.Fatal("the client is no redis.ClusterClient")
	}
	o := client.Options()
	if want := []string{"h:1", "h2:2", "h3:3"}; !slices.Equal(o.Addrs, want) {
		t.Errorf("nodes are %q, want %q", o.Addrs, want)
	}
	if o.Username != "glue" || o.Password != "pw" || o.MaxRedirects != 5 || !o.ContextTimeoutEnabled {
		t.Errorf("options are %+v", o)
	}
}

// TestOpenSentinel looks at what the client says to the Sentinels and to the master they name.
func TestOpenSentinel(t *testing.T) {
	master := miniredis.RunT(t)
	master.RequireUserAuth("glue", "pw")
	host, port, _ := net.SplitHostPort(master.Addr())
	var mu sync.Mutex
	var asked []string
	sentinel := fakeServer(t, func(c *server.Peer, command string, args ...string) bool {
		mu.Lock()
		defer mu.Unlock()
		asked = append(asked, command+" "+strings.Join(args, " "))
		switch {
		case command == "SENTINEL" && args[0] == "get-master-addr-by-name":
			c.WriteStrings([]string{host, port})
		case command == "SENTINEL":
			c.WriteLen(0)
		case command == "AUTH":
			c.WriteOK()
		default:
			c.WriteError("ERR unknown command")
		}
		return true
	})

	rdb := open(t, "redis://glue:pw@127.0.0.1:1?master_name=main&addr="+sentinel+"&sentinel_username=watch&sentinel_password=s%40crt")
	if err := rdb.Ping(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	defer mu.Unlock()
	log := strings.Join(asked, "\n")
	for _, want := range []string{"AUTH watch s@crt", "SENTINEL get-master-addr-by-name main"} {
		if !strings.Contains(log, want) {
			t.Errorf("the Sentinel was not told %q but\n%s", want, log)
		}
	}
	if strings.Contains(log, "pw") {
		t.Errorf("the Sentinel was told the master's password:\n%s", log)
	}
}

// fakeServer starts a server that answers by what hook writes, and returns its address.
func fakeServer(t *testing.T, hook server.Hook) string {
	t.Helper()
	s, err := server.NewServer("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.SetPreHook(hook)
	t.Cleanup(s.Close)
	return s.Addr().String()
}

func TestOpenRefuses(t *testing.T) {
	const (
		noURL = "read Redis URL: it is no URL; it has the form redis://[user[:password]@]host[:port][/db], rediss:// for TLS, or unix://[user[:password]@]/path/to/redis.sock; write / ? # [ ] @ % in a password as %2F %3F %23 %5B %5D %40 %25"
		other = "read Redis URL: its scheme is none of redis, rediss and unix; it has the form redis://[user[:password]@]host[:port][/db], rediss:// for TLS, or unix://[user[:password]@]/path/to/redis.sock"
		addr  = "read Redis URL: addr is for several nodes of a cluster (cluster=true) or several Sentinels (master_name=NAME)"
		both  = "read Redis URL: cluster and master_name exclude each other: a cluster has no Sentinels"
		unix  = "read Redis URL: cluster and master_name need host names, not a unix socket"
		db    = "read Redis URL: a Redis Cluster has the database 0 only"
	)
	tests := []struct{ url, want string }{
		{"", noURL},
		{"localhost:6379", noURL},
		{"secret@localhost", noURL},
		{":secret@localhost", noURL},
		{"http://user:secret@localhost", other},
		{"//user:secret@localhost", noURL},
		{"redis:localhost", noURL},
		{"redis://user:sec/ret@localhost", noURL},
		{"redis://:1/secret@localhost", noURL},
		{"redis://:1?secret@localhost", noURL},
		{"redis://:1?secret=1@localhost", noURL},
		{"redis://:1#secret@localhost", noURL},
		{"redis://user:secr%zzet@localhost", noURL},
		{"redis://user:secret@local host", noURL},
		{"redis://user:secret@localhost?db=%zz", noURL},
		{"redis://user:secret@localhost?a;b", noURL},
		{"redis://user:secret@localhost/x", `read Redis URL: redis: invalid database number: "x"`},
		{"redis://user:secret@localhost/1/2", "read Redis URL: redis: invalid URL path: /1/2"},
		{"redis://user:secret@localhost?pool=1", "read Redis URL: redis: unexpected option: pool"},
		{"redis://user:secret@localhost?pool_size=x", `read Redis URL: redis: invalid pool_size number: strconv.Atoi: parsing "x": invalid syntax`},
		{"redis://user:secret@localhost?addr=h:1", addr},
		{"redis://user:secret@localhost?cluster=maybe", "read Redis URL: cluster is true or false"},
		{"redis://user:secret@localhost?cluster=1&master_name=m", both},
		{"redis://user:secret@localhost/2?cluster=true", db},
		{"redis://user:secret@localhost?cluster=true&addr=h", "read Redis URL: redis: unable to parse addr param: h"},
		{"redis://user:secret@localhost?cluster=true&skip_verify=perhaps", "read Redis URL: skip_verify is true or false"},
		{"redis://user:secret@localhost?cluster=true&pool=1", "read Redis URL: redis: unexpected option: pool"},
		{"redis://user:secret@localhost?master_name=m&password=secret", "read Redis URL: password stands before the host, not among the parameters"},
		{"redis://user:secret@localhost?master_name=m&route_randomly=true", "read Redis URL: feeds live on the master: route_by_latency, route_randomly and replica_only are of no use"},
		{"redis://user:secret@localhost?master_name=m&sentinel_password=secret&pool=1", "read Redis URL: redis: unexpected option: pool"},
		{"unix://user:secret@", "read Redis URL: redis: empty unix socket path"},
		{"unix:///run/redis.sock?cluster=true", unix},
		{"unix:///run/redis.sock?master_name=m", unix},
	}
	for _, test := range tests {
		rdb, err := thoonk.Open(test.url)
		if err == nil {
			rdb.Close()
		}
		if got := errorText(err); got != test.want {
			t.Errorf("%s: error is\n%s\nwant\n%s", test.url, got, test.want)
		}
		if strings.Contains(errorText(err), "secret") {
			t.Errorf("%s: the error tells the password: %v", test.url, err)
		}
	}
}

func TestConnectionRefused(t *testing.T) {
	rdb := open(t, "redis://user:secret@127.0.0.1:1?max_retries=-1")
	feed := newFeed(t, rdb)
	_, claimErr := feed.Claim(t.Context(), 1)
	_, checkErr := thoonk.Check(t.Context(), rdb)
	errs := map[string]error{
		`claim from feed "comments": `: claimErr,
		`wait for feed "comments": `:   feed.Wait(t.Context()),
		`settle feed "comments": `:     feed.Settle(t.Context(), []glue.Settlement{{JobID: "x", Verdict: glue.Finish}}),
		"check Redis: ":                checkErr,
	}
	for prefix, err := range errs {
		if !errors.Is(err, syscall.ECONNREFUSED) || !strings.HasPrefix(err.Error(), prefix) || strings.Contains(err.Error(), "secret") {
			t.Errorf("error is %v, want %sconnection refused", err, prefix)
		}
	}
}

func newFeed(t *testing.T, rdb redis.UniversalClient) *thoonk.Feed {
	t.Helper()
	feed, err := thoonk.NewFeed(rdb, "comments", thoonk.ThoonkPy)
	if err != nil {
		t.Fatal(err)
	}
	return feed
}

// TestRestart finds jobs, claims and verdicts as they were, and scripts that Redis has forgotten.
func TestRestart(t *testing.T) {
	t.Parallel()
	daemon := service.StartRedis(t, "--appendonly", "yes", "--appendfsync", "always")
	feed := newFeed(t, open(t, daemon.URL()))
	if _, err := feed.Put(t.Context(), [][]byte{[]byte("a"), []byte("b"), []byte("c")}, thoonk.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	jobs, err := feed.Claim(t.Context(), 2)
	if err != nil {
		t.Fatal(err)
	}
	daemon.Kill()
	if _, err := feed.Claim(t.Context(), 1); err == nil {
		t.Error("claimed a job of a dead server")
	}
	verdicts := []glue.Settlement{{JobID: jobs[0].ID, Verdict: glue.Finish}, {JobID: jobs[1].ID, Verdict: glue.Cancel}}
	if err := feed.Settle(t.Context(), verdicts); err == nil {
		t.Error("settled on a dead server")
	}

	daemon.Start()
	if err := feed.Settle(t.Context(), verdicts); err != nil {
		t.Error(err)
	}
	want := thoonk.Counts{Queued: 2, Cancelled: 1, Put: 3, Finished: 1}
	if got, err := feed.Counts(t.Context()); err != nil || got != want {
		t.Errorf("counts are %+v, %v, want %+v", got, err, want)
	}
	daemon.Kill()
	daemon.Start()
	jobs, err = feed.Claim(t.Context(), 9)
	if err != nil || len(jobs) != 2 || string(jobs[0].Payload) != "c" || jobs[1].Cancelled != 1 {
		t.Errorf("claimed %+v, %v, want c, then b", jobs, err)
	}
}

// TestWaitOnSlowReads waits longer than the connection's read timeout.
func TestWaitOnSlowReads(t *testing.T) {
	t.Parallel()
	feed := newFeed(t, open(t, service.StartRedis(t).URL()+"?read_timeout=100ms&max_retries=-1"))
	if err := feed.Wait(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestWaitDeadline(t *testing.T) {
	t.Parallel()
	feed := newFeed(t, open(t, service.StartRedis(t).URL()))
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	for {
		err := feed.Wait(ctx)
		if err == nil {
			continue
		}
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error is %v, want context.DeadlineExceeded", err)
		}
		return
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	const (
		noVersion = "the version of Redis is unknown (%); feeds need 6.2 or later"
		noPolicy  = "the maxmemory-policy of Redis is unknown (%); it should be noeviction, or a full Redis throws jobs away"
		noField   = "the maxmemory-policy of Redis is unknown; it should be noeviction, or a full Redis throws jobs away"
		evicting  = "the maxmemory-policy of Redis is allkeys-lru: a full Redis throws jobs away; set it to noeviction"
		denied    = "NOPERM this user has no permissions to run the 'info' command"
	)
	says := func(format, words string) string { return strings.Replace(format, "%", words, 1) }
	const good = "# Memory\r\nused_memory:1\r\nmaxmemory_policy:noeviction\r\n"
	tests := []struct {
		name, server, memory string // what INFO says; an error begins with -
		warnings             []string
		err                  string
	}{
		{"good", "# Server\r\nredis_version:6.2.0\r\nredis_mode:standalone\r\n", good, nil, ""},
		{"newer", "redis_version:8.0.1\r\n", good, nil, ""},
		{"too old", "redis_version:6.0.16\r\n", good, nil, "check Redis: version 6.0.16 of Redis is too old: feeds need 6.2 or later; upgrade the server, or name another one"},
		{"much too old", "redis_version:2.8\r\n", good, nil, "check Redis: version 2.8 of Redis is too old: feeds need 6.2 or later; upgrade the server, or name another one"},
		{"no Redis", "redis_version:unstable\r\n", good, nil, `check Redis: the server's version "unstable" is none of Redis; feeds need Redis 6.2 or later`},
		{"a Sentinel", "redis_version:7.0.0\r\nredis_mode:sentinel\r\n", good, nil, "check Redis: this is a Sentinel, not a Redis that it watches; add master_name=NAME to the URL"},
		{"evicting", "redis_version:7.0.0\r\n", "maxmemory_policy:allkeys-lru\r\n", []string{evicting}, ""},
		{"no policy", "redis_version:7.0.0\r\n", "used_memory:1\r\n", []string{noField}, ""},
		{"no permission", "-" + denied, "-" + denied, []string{says(noVersion, denied), says(noPolicy, denied)}, ""},
		{"no INFO", "-ERR unknown command", "-ERR unknown command", []string{says(noVersion, "ERR unknown command"), says(noPolicy, "ERR unknown command")}, ""},
		{"no password", "-NOAUTH Authentication required.", "", nil, "check Redis: NOAUTH Authentication required."},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			address := fakeServer(t, func(c *server.Peer, command string, args ...string) bool {
				answers := map[string]string{"server": test.server, "memory": test.memory}
				switch {
				case command == "PING":
					c.WriteInline("PONG")
				case command != "INFO":
					c.WriteError("ERR unknown command")
				case strings.HasPrefix(answers[args[0]], "-"):
					c.WriteError(answers[args[0]][1:])
				default:
					c.WriteBulk(answers[args[0]])
				}
				return true
			})
			warnings, err := thoonk.Check(t.Context(), open(t, "redis://"+address))
			if !slices.Equal(warnings, test.warnings) || errorText(err) != test.err {
				t.Errorf("got %q, %v\nwant %q, %s", warnings, err, test.warnings, test.err)
			}
		})
	}
}

func TestCheckServers(t *testing.T) {
	t.Parallel()
	evicting := service.StartRedis(t, "--maxmemory-policy", "volatile-ttl")
	cluster := startCluster(t)
	locked := service.StartRedis(t, "--requirepass", "secret")
	tests := []struct {
		name, url string
		warnings  []string
		err       string
	}{
		{"evicting", evicting.URL(), []string{"the maxmemory-policy of Redis is volatile-ttl: a full Redis throws jobs away; set it to noeviction"}, ""},
		{"database", evicting.URL() + "/99", nil, "check Redis: ERR DB index is out of range"},
		{"cluster", cluster.URL() + "?cluster=true", nil, ""},
		{"locked", locked.URL(), nil, "check Redis: NOAUTH Authentication required."},
		{"opened", "redis://:secret@" + locked.Addr, nil, ""},
		{"wrong password", "redis://:wrong@" + locked.Addr, nil, "check Redis: WRONGPASS invalid username-password pair or user is disabled."},
		{"miniredis", "redis://" + miniredis.RunT(t).Addr(), []string{
			"the version of Redis is unknown (section (server) is not supported); feeds need 6.2 or later",
			"the maxmemory-policy of Redis is unknown (section (memory) is not supported); it should be noeviction, or a full Redis throws jobs away",
		}, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			warnings, err := thoonk.Check(t.Context(), open(t, test.url))
			if !slices.Equal(warnings, test.warnings) || errorText(err) != test.err {
				t.Errorf("got %q, %v\nwant %q, %s", warnings, err, test.warnings, test.err)
			}
		})
	}
}

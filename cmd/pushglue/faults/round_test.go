package faults

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"pushglue/glue"
	"pushglue/glue/gluetest/conform"
	"pushglue/glue/gluetest/service"
	"pushglue/glue/thoonk"
)

// patience bounds every wait. The longest is that of readers after a reload of push-stream, whose old workers keep
// their streams for a minute and give them nothing.
const patience = 90 * time.Second

// feeds are those of every round.
var feeds = []string{"orders", "comments"}

// round is one run of a scenario: its parts, and what they are held against.
type round struct {
	*testing.T
	scenario scenario
	module   string
	rng      *rand.Rand

	redis    *service.Redis
	redisURL string                // as the daemon has it
	rdb      redis.UniversalClient // of producer and test
	hosts    []*service.Nginx      // those with readers
	urls     []string              // of the push hosts, as the daemon has them
	public   []string              // URLs of the hosts with readers, as these have them
	under    []string              // the command under which daemons run
	address  string                // where daemons answer, without a port

	pipelines string
	stages    map[string][]string // of each pipeline, in order
	daemons   []*daemon           // those that run
	producer  *producer
	readers   *readers
	sums      []glue.Sums     // of daemons that have stopped
	last      []shown         // by daemons just before they ended
	excused   map[string]bool // ids of messages that readers need not get

	spoil   int // one job of so many is poison; 0 for none
	poisons []poison
	refuser string // the push host that refuses some; empty for all of them

	losses   []loss // of one goroutine at a time
	anyOrder bool   // messages have none
	counts   *counts
	endWatch func() // nil if nobody watches claims
}

// inFlight is how many jobs of a feed a daemon has at most.
const inFlight = 256

// batch is how many jobs of a feed it claims at once.
const batch = 64

// newRound starts Redis and the push hosts.
func newRound(t *testing.T, s scenario, module string) *round {
	r := &round{T: t, scenario: s, module: module, address: "127.0.0.1", rng: newRand(t.Name()), stages: map[string][]string{}, excused: map[string]bool{}}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("repeat it with: make faults SEED=%d RUN='%s'", *seedFlag, t.Name())
		}
	})
	if s.setUp != nil {
		s.setUp(r)
	}
	if r.redis == nil {
		r.redis = r.startRedis(s.under, s.redis...)
	}
	if r.redisURL == "" {
		r.redisURL = r.redis.URL()
	}
	if r.rdb == nil {
		r.rdb = client(t, r.redis.Addr)
	}
	if r.hosts == nil {
		r.startHosts()
	}
	if r.pipelines == "" {
		r.pipelines = r.writePipelines()
	}
	return r
}

// startRedis starts a Redis that tells of changes to hashes, for counts.
func (r *round) startRedis(under []string, args ...string) *service.Redis {
	r.Helper()
	return service.StartRedisUnder(r.T, under, append([]string{"--notify-keyspace-events", "Kh"}, args...)...)
}

// client returns a client that does nothing twice, so that what it counts is what was done.
func client(t *testing.T, addr string) *redis.Client {
	rdb := redis.NewClient(&redis.Options{Addr: addr, MaxRetries: -1, ReadTimeout: 2 * time.Second})
	t.Cleanup(func() { rdb.Close() })
	return rdb
}

func (r *round) startHosts(options ...service.NginxOption) {
	r.Helper()
	n := r.scenario.hosts
	if n == 0 {
		n = 2
	}
	for range n {
		host := service.StartNginx(r.T, r.module, append(append(r.hostOptions(), r.scenario.nginx...), options...)...)
		r.hosts = append(r.hosts, host)
		r.urls = append(r.urls, host.InternalURL())
		r.public = append(r.public, host.PublicURL())
	}
}

// stored is how many messages of a channel the hosts keep: all of a round.
const stored = 100_000

// hostOptions let a host keep all that is published, so that what a reader misses was lost on the way.
func (r *round) hostOptions() []service.NginxOption {
	if r.module == service.PushStream {
		return []service.NginxOption{
			service.NginxFile("push-stream/memory.conf", "push_stream_shared_memory_size 512m;\n"),
			service.NginxFile("push-stream/store.conf", fmt.Sprintf("push_stream_message_ttl 30m;\npush_stream_max_messages_stored_per_channel %d;\npush_stream_channel_inactivity_time 30m;\n", stored)),
		}
	}
	return []service.NginxOption{
		service.NginxFile("nchan/memory.conf", "nchan_shared_memory_size 512m;\n"),
		service.NginxFile("nchan/store.conf", fmt.Sprintf("nchan_message_timeout 30m;\nnchan_message_buffer_length %d;\n", stored)),
	}
}

// writePipelines writes the pipelines file, with a pipeline for each feed, and returns its path.
func (r *round) writePipelines() string {
	r.Helper()
	var text strings.Builder
	fmt.Fprintln(&text, "pipelines:")
	for _, feed := range feeds {
		r.stages[feed] = []string{"json", "route"}
		fmt.Fprintf(&text, "  - {name: %s, feed: %[1]s, stages: [json, route: {channels: [\"{feed}\", \"{feed}:{thread}\"], missing: fail}], publish: push}\n", feed)
	}
	return r.write("pipelines.yml", text.String())
}

func (r *round) write(name, text string) (path string) {
	r.Helper()
	path = filepath.Join(r.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		r.Fatal(err)
	}
	return path
}

// start starts readers, a daemon and the producer.
func (r *round) start() {
	r.Helper()
	r.producer = newProducer(r)
	if r.scenario.confirm != nil {
		r.producer.confirm = r.scenario.confirm(r)
	}
	r.readers = startReaders(r)
	r.counts = startCounts(r)
	if r.scenario.answersLost {
		r.endWatch = r.startWatch()
	}
	r.startDaemon()
	r.producer.start()
}

// lease is that of the rounds' daemons.
const lease = time.Second

// startDaemon starts another daemon.
func (r *round) startDaemon() {
	r.Helper()
	address := net.JoinHostPort(r.address, strconv.Itoa(service.FreePort(r.T)))
	env := []string{"PATH=" + os.Getenv("PATH"), "GORACE=atexit_sleep_ms=0"}
	for _, s := range append([]string{
		"REDIS_URL=" + r.redisURL, "PIPELINES=" + r.pipelines, "PUSH_MODULE=" + r.module, "PUSH_HOSTS=" + strings.Join(r.urls, ","),
		"PUSH_TIMEOUT=1s", "LEASE=" + lease.String(), "RETRY_BUDGET=1s", fmt.Sprint("BATCH=", batch), fmt.Sprint("IN_FLIGHT=", inFlight), "HTTP_ADDR=" + address, "METRICS_INTERVAL=200ms",
	}, r.settings()...) {
		env = append(env, "PUSHGLUE_"+s)
	}
	d := service.StartDaemon(r.T, env, append(append([]string(nil), r.under...), os.Getenv(binaryVariable), "run")...)
	r.daemons = append(r.daemons, &daemon{d, "http://" + address})
}

// settings are those of the scenario's daemons alone.
func (r *round) settings() []string {
	if r.scenario.answersLost {
		return append([]string{"LEASE=" + longLease.String()}, r.scenario.settings...)
	}
	return r.scenario.settings
}

// killDaemon kills one of the daemons that run.
func (r *round) killDaemon() {
	r.Helper()
	r.kill(r.rng.IntN(len(r.daemons)))
	r.lose()
}

// kill kills a daemon, half of the times while all push hosts hang, so that somebody is certain to have jobs in hand.
func (r *round) kill(daemon int) {
	r.Helper()
	hang := r.rng.IntN(2) == 0
	if hang {
		r.allHosts((*service.Nginx).Pause)
		r.eventually("a job is claimed", r.anyClaimed)
	}
	r.account(r.daemons[daemon])
	r.daemons[daemon].Kill()
	r.daemons = slices.Delete(r.daemons, daemon, daemon+1)
	if hang {
		r.allHosts((*service.Nginx).Continue)
	}
}

func (r *round) allHosts(do func(*service.Nginx)) {
	for _, host := range r.hosts {
		do(host)
	}
}

// times returns how often a fault happens in the short form, and in the long one.
func (r *round) times(short, long int) int {
	if *longFlag {
		return long
	}
	return short
}

// progress waits until the readers have received so many more messages.
func (r *round) progress(events int) {
	r.Helper()
	until := r.readers.count() + events
	r.eventually(fmt.Sprintf("%d more messages are received", events), func() bool { return r.readers.count() >= until })
}

// hold keeps a fault up for a time. Nothing tells when a fault that changes nothing has lasted long enough.
func (r *round) hold(d time.Duration) {
	r.Helper()
	select {
	case <-time.After(d):
	case <-r.Context().Done():
	}
}

// inTime waits until done says so, and tells whether it did within patience.
func inTime(done func() bool) bool {
	for deadline := time.Now().Add(patience); !done(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			return false
		}
	}
	return true
}

// eventually is inTime, or the end of the round.
func (r *round) eventually(what string, done func() bool) {
	r.Helper()
	if !inTime(done) {
		r.Fatalf("not in %s: %s", patience, what)
	}
}

// noticed does something and waits until a daemon logs that text about it: the proof that a fault has
// reached it.
func (r *round) noticed(text string, do func()) {
	r.Helper()
	count := func() (n int) {
		for _, d := range r.daemons {
			n += strings.Count(d.Log(), text)
		}
		return n
	}
	before := count()
	do()
	r.eventually("the daemon logs "+text, func() bool { return count() > before })
}

// census reads a feed; ok is false while Redis does not answer.
func (r *round) census(feed string) (c conform.Census, ok bool) {
	c, err := conform.TakeCensus(r.Context(), r.rdb, thoonk.ThoonkPy, feed)
	return c, err == nil
}

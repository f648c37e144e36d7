package monitoring

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"pushglue/glue/eventstream"
	"pushglue/glue/gluetest/service"
)

// pace is how often the test's daemons are scraped, and how often they ask Redis and the push hosts.
const pace = 25 * time.Millisecond

// patience bounds every wait. Only a broken test reaches it.
const patience = 60 * time.Second

const pipelines = `pipelines:
  - name: comments
    feed: comments
    stages: [json, route: {channels: ["forum:{forum}", "thread:{thread}"]}]
    publish: push
`

// site is a daemon with what belongs to it, and what Prometheus has of it.
type site struct {
	*testing.T
	recording

	store    *service.Redis
	rdb      *redis.Client
	one, two *service.Nginx
	daemon   *service.Daemon
	env      []string
	address  string
	put      int
}

// startSite starts all of it. Options are those of both push hosts.
func startSite(t *testing.T, module string, settings []string, options ...service.NginxOption) *site {
	t.Helper()
	s := &site{T: t, store: service.StartRedis(t), one: service.StartNginx(t, module, options...), two: service.StartNginx(t, module, options...)}
	s.rdb = s.store.Client(t)
	s.address = net.JoinHostPort("127.0.0.1", strconv.Itoa(service.FreePort(t)))
	path := filepath.Join(t.TempDir(), "pipelines.yml")
	if err := os.WriteFile(path, []byte(pipelines), 0o600); err != nil {
		t.Fatal(err)
	}
	s.env = []string{"PATH=" + os.Getenv("PATH"), "GORACE=atexit_sleep_ms=0"}
	for _, setting := range append([]string{
		"REDIS_URL=" + s.store.URL(), "PUSH_MODULE=" + module, "PUSH_HOSTS=" + s.one.InternalURL() + "," + s.two.InternalURL(),
		"PIPELINES=" + path, "HTTP_ADDR=" + s.address, "METRICS_INTERVAL=" + pace.String(),
	}, settings...) {
		s.env = append(s.env, "PUSHGLUE_"+setting)
	}
	s.startDaemon()
	return s
}

func (s *site) startDaemon() {
	s.Helper()
	s.daemon = service.StartDaemon(s, s.env, os.Getenv(binaryVariable), "run")
}

// watch scrapes so many times, each time after do.
func (s *site) watch(scrapes int, do func()) {
	s.Helper()
	tick := time.NewTicker(pace)
	defer tick.Stop()
	for range scrapes {
		do()
		<-tick.C
		s.scrape(s.T, s.address)
	}
}

// await scrapes until the last scrape says so.
func (s *site) await(what string, done func() bool) {
	s.Helper()
	for deadline := time.Now().Add(patience); !done(); s.watch(1, nothing) {
		if time.Now().After(deadline) {
			s.Fatalf("not within %v: %s", patience, what)
		}
	}
}

func nothing() {}

// load puts a few jobs.
func (s *site) load() {
	for range 10 {
		s.job(0, "")
	}
}

// job puts one as thoonk.py does, that long ago, with something in its message.
func (s *site) job(age time.Duration, text string) {
	s.Helper()
	s.put++
	s.raw(age, fmt.Sprintf(`{"id":"c%d","forum":"f%d","thread":%d,"message":%q}`, s.put, s.put%3, s.put, text), true)
}

// raw puts a payload, or only notes it, as a worker of thoonk.py leaves it that dies between the two steps of its claim.
func (s *site) raw(age time.Duration, payload string, queued bool) {
	s.Helper()
	ctx, id := s.Context(), fmt.Sprintf("%032x", s.put)
	_, err := s.rdb.TxPipelined(ctx, func(tx redis.Pipeliner) error {
		if queued {
			tx.LPush(ctx, "feed.ids:comments", id)
		}
		tx.Incr(ctx, "feed.publishes:comments")
		tx.HSet(ctx, "feed.items:comments", id, payload)
		tx.ZAdd(ctx, "feed.published:comments", redis.Z{Score: float64(time.Now().Add(-age).UnixMilli()), Member: id})
		return nil
	})
	if err != nil {
		s.Fatalf("put a job: %v", err)
	}
}

// read opens so many streams of a channel at a push host, and reads what comes.
func (s *site) read(host *service.Nginx, channel string, readers int) {
	s.Helper()
	for range readers {
		stream, err := eventstream.Subscribe(s.Context(), host.PublicURL()+"/subscribe/"+channel, "")
		if err != nil {
			s.Fatal(err)
		}
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			for {
				if _, err := stream.Next(); err != nil {
					return // the push host or the test has ended it
				}
			}
		}()
		s.Cleanup(func() { stream.Close(); <-ended })
	}
}

// name returns the label of a push host.
func name(host *service.Nginx) string {
	return `host="` + strings.TrimPrefix(host.InternalURL(), "http://") + `"`
}

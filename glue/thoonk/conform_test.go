package thoonk_test

import (
	"net/url"
	"strconv"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"go.uber.org/goleak"

	"pushglue/glue/gluetest/conform"
	"pushglue/glue/gluetest/service"
	"pushglue/glue/thoonk"
)

func TestMain(m *testing.M) {
	logging.Disable() // servers that do not answer are what some tests want
	goleak.VerifyTestMain(m)
}

// conformBoth runs the suite in both dialects, on clients of a URL.
func conformBoth(t *testing.T, rawURL string) {
	for _, d := range []thoonk.Dialect{thoonk.ThoonkPy, thoonk.ThoonkJS} {
		t.Run(d.String(), func(t *testing.T) {
			conform.Feed(t, func(tb testing.TB) redis.UniversalClient { return open(tb, rawURL) }, d)
		})
	}
}

func open(tb testing.TB, rawURL string) redis.UniversalClient {
	tb.Helper()
	rdb, err := thoonk.Open(rawURL)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { rdb.Close() })
	return rdb
}

// patient has clients wait: miniredis takes seconds for long lists under the race detector.
const patient = "?read_timeout=60s"

// TestMiniredis is in the dialect of the demo alone, which it is for.
func TestMiniredis(t *testing.T) {
	t.Parallel()
	rawURL := "redis://" + miniredis.RunT(t).Addr() + patient
	conform.ShortFeed(t, func(tb testing.TB) redis.UniversalClient { return open(tb, rawURL) }, thoonk.ThoonkPy)
}

func TestRedis(t *testing.T) {
	t.Parallel()
	conformBoth(t, service.StartRedis(t).URL()+patient)
}

func TestRESP2(t *testing.T) {
	t.Parallel()
	rawURL := service.StartRedis(t).URL() + patient + "&protocol=2"
	conform.Feed(t, func(tb testing.TB) redis.UniversalClient { return open(tb, rawURL) }, thoonk.ThoonkPy)
}

// TestACL gives the user what the package's documentation says, and a password that needs escapes.
func TestACL(t *testing.T) {
	t.Parallel()
	const password = "p@ss/w:rd?#%"
	server := service.StartRedis(t, "--appendonly", "yes")
	rules := []any{
		"ACL", "SETUSER", "glue", "on", ">" + password,
		"~feeds", "~feed.*", "~jobs", "~job.*", "&newfeed", "&feed.*", "&job.finish:*", "&event.job.finish:*",
		"+@read", "+@write", "+@scripting", "+@pubsub", "+@transaction", "+@connection", "+time", "-@dangerous", "+info",
	}
	admin := server.Client(t)
	for _, rule := range [][]any{rules, {"ACL", "SETUSER", "default", "off"}} {
		if err := admin.Do(t.Context(), rule...).Err(); err != nil {
			t.Fatal(err)
		}
	}
	u := url.URL{Scheme: "unix", User: url.UserPassword("glue", password), Path: server.Socket}
	conformBoth(t, u.String())
	if warnings, err := thoonk.Check(t.Context(), open(t, u.String())); err != nil || len(warnings) > 0 {
		t.Errorf("check: %q, %v", warnings, err)
	}
}

func TestCluster(t *testing.T) {
	t.Parallel()
	conformBoth(t, startCluster(t).URL()+"?cluster=true")
}

// startCluster starts a Redis Cluster of one node.
func startCluster(t *testing.T) *service.Redis {
	t.Helper()
	// The bus is 10000 above the port by default, where the system's own connections are.
	bus := strconv.Itoa(service.FreePort(t))
	server := service.StartRedis(t, "--cluster-enabled", "yes", "--cluster-port", bus)
	rdb := server.Client(t)
	if err := rdb.ClusterAddSlotsRange(t.Context(), 0, 16383).Err(); err != nil {
		t.Fatal(err)
	}
	// A node takes a moment to find that all slots are served.
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for rdb.Set(t.Context(), "ready", 1, 0).Err() != nil {
		select {
		case <-tick.C:
		case <-t.Context().Done():
			t.Fatal("the cluster does not get ready")
		}
	}
	return server
}

func TestClusterNeedsHashTag(t *testing.T) {
	rdb := open(t, "redis://localhost?cluster=true")
	for name, want := range map[string]string{
		"comments":      `feed "comments" on a Redis Cluster needs a hash tag, such as "{comments}", to keep its keys in one slot`,
		"{}comments":    `feed "{}comments" on a Redis Cluster needs a hash tag, such as "{{}comments}", to keep its keys in one slot`,
		"}{":            `feed "}{" on a Redis Cluster needs a hash tag, such as "{}{}", to keep its keys in one slot`,
		"{comments}":    "",
		"a{b}c":         "",
		"forum:{x}:new": "",
	} {
		_, err := thoonk.NewFeed(rdb, name, thoonk.ThoonkPy)
		if got := errorText(err); got != want {
			t.Errorf("%s: error is %q, want %q", name, got, want)
		}
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

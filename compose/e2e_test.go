//go:build e2e

package compose

import (
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pushglue/glue/gluetest/site"
)

// monitoring is for machines that cannot get one of the two images.
var monitoring = flag.String("monitoring", "prometheus,grafana", "services of the profile monitoring that are tested")

// TestE2E brings the whole system up as a developer does, uses it, restarts its parts, and takes it down.
func TestE2E(t *testing.T) {
	s := up(t)
	for _, part := range []struct {
		name string
		test func(*testing.T, *stack)
	}{
		{"containers may do no more than they need", testHardened},
		{"only the network's own may publish", testWhoMayPublish},
		{"a thread in several tabs", testThread}, // to which nobody has written yet
		{"comments come to readers of both push hosts", testComments},
		{"those with the key get whole comments", testSecure},
		{"a push host that was restarted gets what it has forgotten", testPushHostRestarts},
		{"nothing is lost while the daemon is away and Redis restarts", testDaemonAndRedisRestart},
		{"monitoring", testMonitoring},
	} {
		t.Run(part.name, func(t *testing.T) { part.test(t, s) })
	}
	s.down(t)
	s.leavesNothing(t)
}

func testHardened(t *testing.T, s *stack) {
	for _, c := range s.containers(t) {
		name, host := c.Config.Labels[serviceLabel], c.HostConfig
		if user, _, _ := strings.Cut(c.Config.User, ":"); user == "" || user == "0" || user == "root" {
			t.Errorf("%s runs as user %q", name, c.Config.User)
		}
		if !host.ReadonlyRootfs || !slices.Equal(host.CapDrop, []string{"ALL"}) || !slices.Contains(host.SecurityOpt, "no-new-privileges:true") {
			t.Errorf("%s: read-only %v, dropped %v, %v", name, host.ReadonlyRootfs, host.CapDrop, host.SecurityOpt)
		}
		if host.Memory == 0 || host.PidsLimit == nil || *host.PidsLimit <= 0 {
			t.Errorf("%s has no limit of memory, or none of processes", name)
		}
		for port, bindings := range host.PortBindings {
			for _, b := range bindings {
				if b.HostIP != "127.0.0.1" || port == "9080/tcp" || port == "6379/tcp" {
					t.Errorf("%s: %s is open to %q", name, port, b.HostIP)
				}
			}
		}
	}
}

// testWhoMayPublish asks from outside of the network. An engine in a virtual machine of its own does not even let it come there.
func testWhoMayPublish(t *testing.T, s *stack) {
	client := http.Client{Timeout: 5 * time.Second}
	for _, c := range s.containers(t) {
		if !strings.HasPrefix(c.Config.Labels[serviceLabel], "push") {
			continue
		}
		for _, network := range c.NetworkSettings.Networks {
			resp, err := client.Post("http://"+network.IPAddress+":9080/publish?id=thread:1", "text/plain", strings.NewReader("forged"))
			if err != nil {
				t.Logf("nobody comes there: %v", err)
				continue
			}
			resp.Body.Close()
			if resp.StatusCode != http.StatusForbidden {
				t.Errorf("who publishes from outside gets %s", resp.Status)
			}
		}
	}
	for _, origin := range s.pushHosts() {
		for _, path := range []string{"/publish?id=thread:1", "/channels-stats", "/healthz"} {
			resp, err := client.Post(origin+path, "text/plain", strings.NewReader("forged"))
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if resp.StatusCode < 400 {
				t.Errorf("POST %s on the readers' port: %s", path, resp.Status)
			}
		}
	}
}

func testThread(t *testing.T, s *stack) {
	hosts := func(command string) func() {
		return func() { s.compose(t, command, "push1", "push2") }
	}
	site.TestThread(t, site.Site{URL: s.url("WEB_PORT"), Thread: "1", Hosts: s.pushHosts(), Plain: true, Stop: hosts("stop"), Start: hosts("start")})
}

func testComments(t *testing.T, s *stack) {
	ann := newVisitor(t, s)
	readers := s.listenOnBoth(t, "thread:1")
	first := ann.write("A first comment")
	for _, r := range readers {
		m := r.until(first, 1)
		if m.Message != "A first comment" || m.Author["name"] != "Ann" || m.Author["ip"] != nil {
			t.Errorf("%+v", m)
		}
	}
	ann.do(http.MethodPatch, fmt.Sprintf("/api/comments/%d", first), `{"message": "A better one"}`)
	for _, r := range readers {
		if m := r.until(first, 2); m.Message != "A better one" {
			t.Errorf("%+v", m)
		}
	}
	ann.do(http.MethodDelete, fmt.Sprintf("/api/comments/%d", first), "")
	for _, r := range readers {
		if m := r.until(first, 3); m.Type != "post_delete" {
			t.Errorf("%+v", m)
		}
	}
}

func testSecure(t *testing.T, s *stack) {
	readers := s.listenOnBoth(t, "secure:demo")
	newVisitor(t, s).write("A comment with an address")
	for _, r := range readers {
		data := r.next().Data
		if strings.Count(data, ".") != 4 || strings.Contains(data, "comment") {
			t.Errorf("this is no JWE: %s", data)
		}
	}
}

func testPushHostRestarts(t *testing.T, s *stack) {
	ann := newVisitor(t, s)
	readers := s.listenOnBoth(t, "thread:1")
	before := ann.write("Before the restart")
	for _, r := range readers {
		r.until(before, 1)
	}
	health := []string{"exec", "-T", "push1", "grep", "return 200", "/run/pushglue/common/health.conf"}
	start := s.compose(t, health...)
	s.compose(t, "restart", "push1")
	if again := s.compose(t, health...); again == start { // process ids alone may be others by chance
		t.Errorf("each start answers %s", start)
	}
	forgotten := s.listen(t, s.pushHosts()[0], "thread:1", "whatever")
	forgotten.until(before, 1)
	after := ann.write("After the restart")
	forgotten.until(after, 1)
	readers[1].until(after, 1)
}

func testDaemonAndRedisRestart(t *testing.T, s *stack) {
	ann := newVisitor(t, s)
	readers := s.listenOnBoth(t, "thread:1")
	s.compose(t, "stop", "daemon")
	posts := []int{ann.write("Nobody works"), ann.write("Nobody works yet")}
	eventually(t, "the jobs are in Redis", func() bool {
		n, err := strconv.Atoi(strings.TrimSpace(s.compose(t, "exec", "-T", "redis", "redis-cli", "llen", "feed.ids:comments")))
		return err == nil && n >= len(posts)
	})
	s.compose(t, "restart", "redis")
	s.compose(t, "start", "daemon")
	for _, r := range readers {
		for _, post := range posts {
			r.until(post, 1)
		}
	}
}

func testMonitoring(t *testing.T, s *stack) {
	services := strings.Split(*monitoring, ",")
	s.compose(t, append([]string{"--profile", "monitoring", "up", "-d"}, services...)...)
	testHardened(t, s)
	if slices.Contains(services, "prometheus") {
		eventually(t, "Prometheus has asked the daemon", func() bool {
			return strings.Contains(s.get("PROMETHEUS_PORT", "/api/v1/query?query=up"), `"instance":"daemon:9070","job":"pushglue"},"value":[`) &&
				strings.Contains(s.get("PROMETHEUS_PORT", "/api/v1/query?query=up"), `"1"]`)
		})
		if rules := s.get("PROMETHEUS_PORT", "/api/v1/rules"); !strings.Contains(rules, "PushglueHostDown") {
			t.Errorf("the rules are %s", rules)
		}
	}
	if slices.Contains(services, "grafana") {
		eventually(t, "Grafana has the dashboard", func() bool {
			var found []struct{ Title string }
			return json.Unmarshal([]byte(s.get("GRAFANA_PORT", "/api/search?type=dash-db")), &found) == nil && len(found) == 1
		})
	}
}

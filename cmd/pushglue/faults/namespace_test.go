package faults

import (
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"pushglue/glue/gluetest/service"
)

// namespace is a network namespace for the daemon, with a cable of its own to each of the other parts, which
// stay where the test is.
type namespace struct {
	r      *round
	name   string
	cables []string // their near ends
}

// namespaceCount tells the namespaces of one process apart.
var namespaceCount atomic.Int32

// namespacePrefix begins the name of each namespace. The process id follows.
const namespacePrefix = "pushglue-faults-"

func newNamespace(r *round) *namespace {
	r.Helper()
	service.NeedRoot(r.T, "a network namespace")
	service.Need(r.T, "ip", "tc")
	removeStale(r)
	n := &namespace{r: r, name: fmt.Sprintf("%s%d-%d", namespacePrefix, os.Getpid(), namespaceCount.Add(1))}
	n.ip("netns", "add", n.name)
	r.Cleanup(func() { n.ip("netns", "del", n.name) }) // and with it, both ends of its cables
	return n
}

// removeStale removes the namespaces of processes that have ended without doing it.
func removeStale(r *round) {
	r.Helper()
	entries, _ := os.ReadDir("/run/netns") // none if there was never one
	for _, entry := range entries {
		var pid, number int
		if n, _ := fmt.Sscanf(entry.Name(), namespacePrefix+"%d-%d", &pid, &number); n == 2 && syscall.Kill(pid, 0) != nil {
			_ = exec.Command("ip", "netns", "del", entry.Name()).Run() // another test can be faster
		}
	}
}

func (n *namespace) ip(args ...string) { n.r.Helper(); n.r.execute("ip", args...) }

func (r *round) execute(command string, args ...string) string {
	r.Helper()
	text, err := exec.Command(command, args...).CombinedOutput()
	if err != nil {
		r.Errorf("%s %s: %v: %s", command, strings.Join(args, " "), err, text)
	}
	return string(text)
}

// cable leads from the namespace, where it has the address far, to near, which is one of this machine from now on. Such
// addresses are kept for measurements like this (RFC 2544), so that they are nobody else's.
func (n *namespace) cable() (near, far string) {
	n.r.Helper()
	i := len(n.cables)
	end := fmt.Sprintf("pgf%d.%d", service.FreePort(n.r.T), i)
	network := fmt.Sprintf("198.18.%d", n.r.rng.IntN(64)*4+i)
	n.cables = append(n.cables, end)
	n.ip("link", "add", end, "type", "veth", "peer", "name", fmt.Sprint("cable", i), "netns", n.name)
	n.ip("addr", "add", network+".1/24", "dev", end)
	n.ip("link", "set", end, "up")
	n.ip("-n", n.name, "addr", "add", network+".2/24", "dev", fmt.Sprint("cable", i))
	n.ip("-n", n.name, "link", "set", fmt.Sprint("cable", i), "up")
	return network + ".1", network + ".2"
}

// setUp puts the daemon into the namespace.
func (n *namespace) setUp(r *round) {
	*n = *newNamespace(r)
	r.under = []string{"ip", "netns", "exec", n.name}
	r.scenario.answersLost, r.scenario.retried = true, true
	address, far := n.cable()
	r.address = far
	r.redis = r.startRedis(nil, append([]string{"--bind", "127.0.0.1 " + address, "--protected-mode", "no"}, r.scenario.redis...)...)
	_, port, _ := strings.Cut(r.redis.Addr, ":")
	r.redisURL = "redis://" + address + ":" + port
	for range 2 {
		address, _ := n.cable()
		r.startHosts(service.NginxAddress(address))
		i := len(r.urls) - 1
		r.urls[i] = strings.Replace(r.urls[i], "127.0.0.1", address, 1)
	}
}

// unplug takes one of the cables out for a time. Nobody is told; what is sent gets lost.
func (n *namespace) unplug(d time.Duration) {
	n.r.Helper()
	i := n.r.rng.IntN(len(n.cables))
	n.ip("link", "set", n.cables[i], "down")
	n.r.hold(d)
	n.ip("link", "set", n.cables[i], "up")
}

// narrow makes the cables lose packets: what comes faster than they carry it, beyond a few packets, and
// it comes in bursts.
func (n *namespace) narrow() {
	n.r.Helper()
	for i, cable := range n.cables {
		limits := []string{"root", "tbf", "rate", "5mbit", "burst", "1600", "limit", "3200"}
		n.r.execute("tc", append([]string{"qdisc", "add", "dev", cable}, limits...)...)
		n.r.execute("tc", append([]string{"-n", n.name, "qdisc", "add", "dev", fmt.Sprint("cable", i)}, limits...)...)
	}
}

var droppedPackets = regexp.MustCompile(`dropped ([1-9]\d*),`)

// lost tells whether the cables have lost any packets.
func (n *namespace) lost() bool {
	n.r.Helper()
	for _, cable := range n.cables {
		if droppedPackets.MatchString(n.r.execute("tc", "-s", "qdisc", "show", "dev", cable)) {
			return true
		}
	}
	return false
}

// TestCable has the daemon in a network namespace, from which packets get lost without a word.
func TestCable(t *testing.T) {
	t.Parallel()
	run(t, func() scenario {
		var unplugged namespace
		return scenario{
			name: "cable unplugged", hosts: 1, setUp: unplugged.setUp,
			fault: func(r *round) {
				for range r.times(2, 10) {
					r.progress(200 + r.rng.IntN(1000))
					unplugged.unplug(time.Duration(1+r.rng.IntN(5)) * time.Second)
				}
				r.progress(200)
			},
		}
	})
	run(t, func() scenario {
		var narrow namespace
		return scenario{
			name: "cable lossy", hosts: 1, setUp: narrow.setUp,
			fault: func(r *round) {
				narrow.narrow()
				r.eventually("packets get lost", narrow.lost)
				r.progress(r.times(2000, 20_000))
			},
		}
	})
}

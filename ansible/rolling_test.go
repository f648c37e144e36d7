package ansible_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"regexp"
	"testing"
	"time"

	"pushglue/glue"
	"pushglue/glue/eventstream"
	"pushglue/glue/thoonk"
)

const (
	crowdReaders  = 5000
	crowdChannels = 20
	crowdRate     = 500 // readers a second that a restart may send away
)

// testRollingRestart restarts all push hosts under a crowd of readers while a producer goes on.
func testRollingRestart(t *testing.T, l *lab, first *machine, inventory string) {
	var hosts []string
	for _, m := range l.machines {
		hosts = append(hosts, m.address+":80")
	}
	c := startCrowd(t, crowdReaders, crowdChannels, 5, 2*time.Second, hosts...)
	before, ledger := l.nginx(t), first.ledger(t)
	p := startProducer(t, producerURL(first))

	started := time.Now()
	l.mustPlay(t, "-i", inventory, "rolling-restart.yml",
		"-e", fmt.Sprintf("rolling_restart_readers_per_second=%d", crowdRate),
		"-e", "rolling_restart_back_percent=5", "-e", "rolling_restart_back_time=60", "-e", "rolling_restart_back_required=true")
	took := time.Since(started)

	last := p.end(t)
	c.awaitLast(t, last)
	for i, lost := range c.lost(last) {
		t.Error(lost)
		if i == 10 {
			break
		}
	}
	ended, most := c.busiest()
	t.Logf("%d messages to each of %d readers; restarting %d hosts took %s and ended %d streams, at most %d in two seconds",
		last, crowdReaders, len(hosts), took.Round(time.Second), ended, most)
	if ended < crowdReaders {
		t.Errorf("hosts ended %d streams; each of %d readers was at a host that was restarted", ended, crowdReaders)
	}
	// Readers notice with the delay of a busy machine, up to a second of it. All of a host's at once would be more.
	if most > 3*crowdRate {
		t.Errorf("%d streams ended within two seconds, of %d a second that are allowed", most, crowdRate)
	}
	for name, id := range l.nginx(t) {
		if id == before[name] {
			t.Errorf("nginx on %s was not restarted", name)
		}
	}
	checkLedger(t, ledger, first.ledger(t), last*crowdChannels)
}

// nginx returns nginx's main process on each machine.
func (l *lab) nginx(t *testing.T) map[string]string {
	t.Helper()
	ids := map[string]string{}
	for _, m := range l.machines {
		ids[m.name] = m.run("systemctl show --value --property MainPID nginx")
	}
	return ids
}

// ledger returns the ledger of the daemon of a machine, which must balance.
func (m *machine) ledger(t *testing.T) glue.Sums {
	t.Helper()
	const ask = `python3 -c 'import urllib.request as r; print(r.urlopen("http://127.0.0.1:9070/ledger").read().decode())'`
	var sums glue.Sums
	if err := json.Unmarshal([]byte(m.run(ask)), &sums); err != nil {
		t.Fatal(err)
	}
	if err := sums.Balance(); err != nil {
		t.Error(err)
	}
	return sums
}

// checkLedger compares two ledgers of a daemon between which so many jobs were published.
func checkLedger(t *testing.T, before, after glue.Sums, published int) {
	t.Helper()
	was, is := before.Feeds[0], after.Feeds[0]
	if is.Finished-was.Finished != int64(published) || is.InFlight+is.Stalled+is.Cancelled > 0 {
		t.Errorf("the ledger says %+v, and said %+v, and %d jobs were put", is, was, published)
	}
	for i, h := range after.Hosts {
		if h.Missed > before.Hosts[i].Missed {
			t.Errorf("host %s missed %d messages", h.Name, h.Missed-before.Hosts[i].Missed)
		}
	}
}

// producer puts a job for each channel of the crowd, again and again.
type producer struct {
	stop chan struct{}
	done chan producerResult
}

type producerResult struct {
	last int // number of the last message of each channel
	err  error
}

func startProducer(t *testing.T, url string) *producer {
	t.Helper()
	rdb, err := thoonk.Open(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { rdb.Close() })
	feed, err := thoonk.NewFeed(rdb, "crowd", thoonk.ThoonkPy)
	if err != nil {
		t.Fatal(err)
	}
	p := &producer{make(chan struct{}), make(chan producerResult, 1)}
	go func() {
		ticker := time.NewTicker(time.Second / crowdChannels)
		defer ticker.Stop()
		for n := 0; ; n++ {
			channel := n % crowdChannels
			if channel == 0 {
				select {
				case <-p.stop:
					p.done <- producerResult{last: n / crowdChannels}
					return
				default:
				}
			}
			<-ticker.C
			payload := fmt.Appendf(nil, `{"id":"%d.%d","event":"post_save","channel":%d}`, channel, n/crowdChannels+1, channel)
			if _, err := feed.Put(t.Context(), [][]byte{payload}, thoonk.PutOptions{}); err != nil {
				p.done <- producerResult{err: err}
				return
			}
		}
	}()
	return p
}

// end returns the number of the last message of each channel.
func (p *producer) end(t *testing.T) int {
	t.Helper()
	close(p.stop)
	r := <-p.done
	if r.err != nil {
		t.Fatal(r.err)
	}
	return r.last
}

// testRollingRestartLeavesSmallHosts wants no host touched whose nginx has little memory.
func testRollingRestartLeavesSmallHosts(t *testing.T, l *lab, inventory string) {
	before := l.nginx(t)
	l.mustPlay(t, "-i", inventory, "rolling-restart.yml", "-e", "rolling_restart_above=6g")
	if after := l.nginx(t); !maps.Equal(before, after) {
		t.Errorf("nginx was %v, and is %v", before, after)
	}
}

// testRollingRestartStops has a host not start again. That one stays out of service, the other one is left alone, and cannot be restarted
// as long as it is the only one; then the host is mended and put back. A daemon that ends in between leaves a host that is named, too.
func testRollingRestartStops(t *testing.T, l *lab, inventory string) {
	first, second := l.machines[0], l.machines[1]
	before := l.nginx(t)
	first.write("/etc/systemd/system/nginx.service.d/zz-broken.conf", "[Service]\nExecStartPre=/bin/false\n")
	first.run("systemctl daemon-reload")
	l.mustStop(t, "push1 does not answer at http://127.0.0.1:9080/healthz: it refuses readers", "-i", inventory, "rolling-restart.yml")
	l.mustStop(t, "Nothing has been changed. The daemon on push1 must know http://"+second.address+":9080", "-i", inventory, "rolling-restart.yml", "--limit", second.name)
	if after := l.nginx(t); after[second.name] != before[second.name] {
		t.Errorf("nginx on %s was restarted", second.name)
	}
	if conn, err := net.Dial("tcp", first.address+":80"); err == nil {
		conn.Close()
		t.Error("a host that is out of service takes a reader")
	}

	first.run("rm /etc/systemd/system/nginx.service.d/zz-broken.conf; systemctl daemon-reload; systemctl reset-failed nginx; systemctl start nginx")
	if conn, err := net.Dial("tcp", first.address+":80"); err == nil {
		conn.Close()
		t.Error("a host that is well but out of service takes a reader")
	}
	l.mustPlay(t, "-i", inventory, "drain.yml", "-e", "host="+first.name, "-e", "back=true")
	l.mustPlay(t, "-i", inventory, "verify.yml")

	// And a daemon that ends while a host is out of service.
	first.write("/etc/systemd/system/nginx.service.d/zz-deadly.conf", "[Service]\nExecStartPre=+/bin/systemctl stop --no-block pushglue\n")
	first.run("systemctl daemon-reload")
	l.mustStop(t, "push1 is well, but not back in service: it refuses readers. See why pushglue hosts fails on push1", "-i", inventory, "rolling-restart.yml")
	first.run("rm /etc/systemd/system/nginx.service.d/zz-deadly.conf; systemctl daemon-reload; systemctl start pushglue")
	l.mustPlay(t, "-i", inventory, "drain.yml", "-e", "host="+first.name, "-e", "back=true")
}

// testDrain takes a host out of service: no reader is left there, it gets messages all the same, and everything is as before when it
// is put back.
func testDrain(t *testing.T, l *lab, first *machine, inventory string) {
	second := l.machines[1]
	stream, err := eventstream.Subscribe(t.Context(), "http://"+second.address+"/subscribe/crowd:one", "")
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	l.mustStop(t, "Say which host of the group push_hosts", "-i", inventory, "drain.yml")
	l.mustPlay(t, "-i", inventory, "drain.yml", "-e", "host="+second.name)
	for err == nil {
		_, err = stream.Next()
	}
	if _, err := eventstream.Subscribe(t.Context(), "http://"+second.address+"/subscribe/crowd:one", ""); err == nil {
		t.Error("a host that is out of service takes a reader")
	}
	if told := first.run("pushglue hosts"); !regexp.MustCompile(regexp.QuoteMeta(second.address) + `:9080 +up +drain `).MatchString(told) {
		t.Errorf("the daemon says %s", told)
	}
	l.mustPlay(t, "-i", inventory, "drain.yml", "-e", "host="+second.name, "-e", "back=true")
}

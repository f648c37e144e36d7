package ansible_test

import (
	"encoding/json"
	"flag"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"pushglue/glue/eventstream"
)

// secrets are what must not be seen anywhere but in its file. A password has what URLs, shells and redis-cli read otherwise.
var secrets = map[string]string{
	"redis_queue_password":          secretMark + ` daemon: 0/1 @"2" '3' \4`,
	"redis_queue_producer_password": secretMark + "-producer-0123",
	"anonymize_key":                 secretMark + "-pseudonyms-0123456",
}

// secretMark begins each secret.
const secretMark = "c0ffee-of-the"

const pipelines = `
pipelines:
  - name: crowd
    feed: crowd
    stages:
      - json
      - route: {channels: ["crowd:{channel}"]}
      - format: {keep: [id], type: "{event}"}
    publish: push
`

// glueInventory writes an inventory in which every machine is a push host, and the first is the queue's and the daemon's as well.
func (l *lab) glueInventory(t *testing.T) string {
	t.Helper()
	first := l.machines[0]
	hosts := map[string]any{}
	for _, m := range l.machines {
		hosts[m.name] = map[string]any{"ansible_host": m.address, "push_host_url": "http://" + m.address + ":9080"}
	}
	only := map[string]any{"hosts": map[string]any{first.name: map[string]any{}}}
	all := map[string]any{"all": map[string]any{
		"children": map[string]any{"push_hosts": map[string]any{"hosts": hosts}, "redis_hosts": only, "glue_hosts": only},
		"vars": map[string]any{
			"kernel_leave_out": []string{
				"fs.file-max", "fs.nr_open", "net.core.netdev_max_backlog", "net.ipv4.tcp_mem", "net.ipv4.tcp_max_orphans",
				"net.ipv4.tcp_max_tw_buckets",
			},
			"push_host_workers":             "2",
			"push_host_worker_connections":  8192,
			"push_host_limit_nofile":        10000,
			"push_host_shared_memory":       "64m",
			"push_host_internal_allow":      []string{first.address, l.network + ".1"},
			"redis_queue_bind":              []string{"127.0.0.1", first.address},
			"redis_queue_password":          secrets["redis_queue_password"],
			"redis_queue_producer_password": secrets["redis_queue_producer_password"],
			"pushglue_binary":               binary(t),
			"pushglue_pipelines":            l.file(t, "pipelines.yml", pipelines),
			"pushglue_redis_url":            redisURL(first, "pushglue", secrets["redis_queue_password"]),
			"pushglue_secrets":              map[string]string{"PUSHGLUE_ANONYMIZE_KEY": secrets["anonymize_key"]},
			// The machines that run the tests are slow: between out and in may pass more than half a minute.
			"pushglue_environment": map[string]string{"PUSHGLUE_REPLAY_TIME": "3m"},
		},
	}}
	text, err := json.Marshal(all) // JSON is YAML
	if err != nil {
		t.Fatal(err)
	}
	return l.file(t, "inventory.yml", string(text))
}

// file writes a file that playbooks read.
func (l *lab) file(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(l.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// binary builds the daemon for machines of this kind, as make build does.
func binary(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "pushglue")
	build := exec.Command("go", "build", "-trimpath", "-o", path, "pushglue/cmd/pushglue")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	execute(t, build)
	return path
}

// mustPlay runs a playbook that must succeed and show no secret.
func (l *lab) mustPlay(t *testing.T, args ...string) string {
	t.Helper()
	began := time.Now()
	text, err := l.play(args...)
	if err != nil {
		t.Fatalf("ansible-playbook %s: %v\n%s", strings.Join(args, " "), err, tail(text))
	}
	t.Logf("%s took %s", strings.Join(args, " "), time.Since(began).Round(time.Second))
	checkNoSecret(t, "what ansible-playbook prints", text)
	return text
}

// mustStop runs a playbook that must fail with these words.
func (l *lab) mustStop(t *testing.T, want string, args ...string) {
	t.Helper()
	text, err := l.play(args...)
	checkNoSecret(t, "what ansible-playbook prints", text)
	if err == nil || !strings.Contains(strings.Join(strings.Fields(text), " "), want) {
		t.Errorf("ansible-playbook %s: %v; it does not say %q:\n%s", strings.Join(args, " "), err, want, tail(text))
	}
}

func checkNoSecret(t *testing.T, where, text string) {
	t.Helper()
	if at := strings.Index(text, secretMark); at >= 0 {
		t.Errorf("%s shows a secret: %q", where, text[max(0, at-200):min(len(text), at+100)])
	}
}

// long is for "make machines"; without, what takes minutes and shows little more is left out.
var long = flag.Bool("long", false, "the long form, in an hour or more")

// TestGlue applies everything to two machines, and looks at how they work together.
func TestGlue(t *testing.T) {
	l := newLab(t, "push1", "push2")
	inventory := l.glueInventory(t)
	glue := l.machines[0]
	part := func(name string, test func(t *testing.T)) {
		t.Run(name, func(part *testing.T) {
			l.tb = part // which fails if a machine does not do what it is told
			defer func() { l.tb = t }()
			test(part)
		})
	}

	if *long {
		part("wrong pipelines stop it before anything is changed", func(t *testing.T) {
			wrong := l.file(t, "wrong.yml", strings.Replace(pipelines, "- json", "- jsn", 1))
			before := glue.run("dpkg-query -W | md5sum; find /etc /usr/local /var/lib -newer /etc/hostname -type f | sort")
			l.mustStop(t, `push1: nothing has been changed. pushglue check says: pushglue: pipelines.yml:6:9: unknown stage`, "-i", inventory, "site.yml", "-e", "pushglue_pipelines="+wrong)
			if after := glue.run("dpkg-query -W | md5sum; find /etc /usr/local /var/lib -newer /etc/hostname -type f | sort"); after != before {
				t.Errorf("it has changed something:\n%s\n%s", before, after)
			}
		})
		part("an address that Redis cannot listen at", func(t *testing.T) {
			l.mustStop(t, `push1: nothing has been changed. redis_queue_bind has 192.0.2.9, and the host's addresses are `+glue.address, "-i", inventory, "preflight.yml",
				"-e", `{"redis_queue_bind": ["127.0.0.1", "192.0.2.9"]}`)
		})
		part("check mode", func(t *testing.T) {
			l.mustPlay(t, "-i", inventory, "site.yml", "--check", "--diff")
		})
	}
	watched := glue.watchProcesses()
	l.mustPlay(t, "-i", inventory, "site.yml", "--diff", "-v")
	checkNoSecret(t, "the list of processes", watched())
	checkNoSecret(t, "the journal", glue.run("journalctl --no-pager"))
	part("the second run changes nothing", func(t *testing.T) {
		for _, host := range recap.FindAllStringSubmatch(l.mustPlay(t, "-i", inventory, "site.yml", "--diff"), -1) {
			if host[2] != "0" {
				t.Errorf("it changes %s", host[0])
			}
		}
	})
	l.mustPlay(t, "-i", inventory, "verify.yml")
	part("firewall", func(t *testing.T) { testFirewall(t, l.machines[1], glue) })
	part("secrets", func(t *testing.T) { testSecrets(t, glue) })
	part("a message", func(t *testing.T) { testMessage(t, l, glue) })
	part("Redis restarts", func(t *testing.T) { testRedisRestart(t, glue) })
	part("rolling restart", func(t *testing.T) { testRollingRestart(t, l, glue, inventory) })
	if !*long {
		return
	}
	part("push hosts that come and go", func(t *testing.T) { testHosts(t, l, glue, inventory) })
	part("drain", func(t *testing.T) { testDrain(t, l, glue, inventory) })
	part("rolling restart that stops", func(t *testing.T) { testRollingRestartStops(t, l, inventory) })
	part("rolling restart of small hosts", func(t *testing.T) { testRollingRestartLeavesSmallHosts(t, l, inventory) })
	part("another password", func(t *testing.T) { testPassword(t, l, glue, inventory) })
}

// watchProcesses looks at the command lines and the environments of a machine's processes until the
// function that it returns is called, which returns what was seen.
func (m *machine) watchProcesses() func() string {
	m.run(`systemd-run --quiet --unit watch sh -c 'while :; do ps axeww -o args; sleep 0.5; done >/run/processes'`)
	return func() string {
		return m.run("systemctl stop watch; sort -u /run/processes")
	}
}

// testFirewall asks for the internal port of a machine from one that may not, and for what no firewall is to keep away: a closed port is
// refused, with an answer of its own, where nobody drops the question.
func testFirewall(t *testing.T, from, to *machine) {
	const ask = `python3 -c '
import socket, sys
s = socket.socket(type=getattr(socket, sys.argv[1]))
s.settimeout(2)
try:
    s.connect((sys.argv[2], int(sys.argv[3])))
    s.send(b"GET / HTTP/1.0\r\n\r\n")
    print("answered" if s.recv(1) else "closed")
except Exception as error:
    print(type(error).__name__)
' `
	for _, c := range []struct{ kind, port, want string }{
		{"SOCK_STREAM", "80", "answered"},
		{"SOCK_STREAM", "9080", "TimeoutError"},
		{"SOCK_DGRAM", "9", "ConnectionRefusedError"},
	} {
		if got := strings.TrimSpace(from.run(ask + c.kind + " " + to.address + " " + c.port)); got != c.want {
			t.Errorf("%s to port %s: %s, want %s", c.kind, c.port, got, c.want)
		}
	}
}

// testSecrets looks at who can read secrets, and what the daemon's unit lets it do.
func testSecrets(t *testing.T, m *machine) {
	const want = `640 root:pushglue /etc/pushglue/secrets/PUSHGLUE_ANONYMIZE_KEY
640 root:pushglue /etc/pushglue/secrets/PUSHGLUE_REDIS_URL
640 root:redis /etc/redis/pushglue.acl
750 root:pushglue /etc/pushglue/secrets
`
	if got := m.run("stat -c '%a %U:%G %n' /etc/pushglue/secrets/* /etc/redis/pushglue.acl /etc/pushglue/secrets"); got != want {
		t.Errorf("secrets are\n%s, want\n%s", got, want)
	}
	files := m.run("grep -rlF " + secretMark + " /etc /usr/local /var/lib /var/log /root /tmp 2>/dev/null | sort || :")
	if got := strings.Fields(files); strings.Join(got, " ") != "/etc/pushglue/secrets/PUSHGLUE_ANONYMIZE_KEY /etc/pushglue/secrets/PUSHGLUE_REDIS_URL" {
		t.Errorf("files with secrets are %q", got)
	}
	if told := m.run("systemd-analyze security --no-pager pushglue.service"); !regexp.MustCompile(`Overall exposure level for pushglue.service: [01]\.`).MatchString(told) {
		t.Errorf("systemd-analyze security says %s", tail(told))
	}
}

// testMessage puts a job with the producer's password, and reads it on each push host.
func testMessage(t *testing.T, l *lab, glue *machine) {
	var streams []*eventstream.Subscription
	for _, m := range l.machines {
		s, err := eventstream.Subscribe(t.Context(), "http://"+m.address+"/subscribe/crowd:one", "")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		streams = append(streams, s)
	}
	glue.write("/root/url", producerURL(glue))
	told := glue.run(`echo '{"id":"first","event":"post_save","channel":"one"}' | PUSHGLUE_REDIS_URL_FILE=/root/url pushglue put --wait crowd`)
	if !strings.Contains(told, "published: 1 message to 1 channel on 2 push hosts") {
		t.Errorf("put says %q", told)
	}
	for i, s := range streams {
		event, err := s.Next()
		if err != nil || event.Data != `{"id":"first"}` || event.Type != "post_save" {
			t.Errorf("the reader of %s gets %+v, %v", l.machines[i].name, event, err)
		}
	}
}

// producerURL is Redis as an application sees it.
func producerURL(m *machine) string {
	return redisURL(m, "producer", secrets["redis_queue_producer_password"])
}

func redisURL(m *machine, user, password string) string {
	return (&url.URL{Scheme: "redis", User: url.UserPassword(user, password), Host: m.address + ":6379", Path: "/0"}).String()
}

// testRedisRestart wants all that Redis had after a restart of it.
func testRedisRestart(t *testing.T, glue *machine) {
	glue.run("systemctl stop pushglue")
	glue.write("/root/url", producerURL(glue))
	glue.run(`echo '{"id":"second","event":"post_save","channel":"one"}' | PUSHGLUE_REDIS_URL_FILE=/root/url pushglue put crowd`)
	const ask = "PUSHGLUE_REDIS_URL_FILE=/etc/pushglue/secrets/PUSHGLUE_REDIS_URL pushglue jobs crowd --over 0 2>&1 | grep -E '^(queued|ever)'"
	before := glue.run(ask)
	glue.run("systemctl restart redis-server")
	if after := glue.run(ask); after != before || !regexp.MustCompile(`queued +1\n`).MatchString(after) {
		t.Errorf("Redis had\n%s, and after a restart it has\n%s", before, after)
	}
	glue.run("systemctl start pushglue")
}

// testHosts takes a push host out of the list, and puts it in again: the daemon goes on without a restart.
func testHosts(t *testing.T, l *lab, glue *machine, inventory string) {
	before := glue.run("systemctl show --value --property MainPID pushglue")
	listed := func() int {
		return strings.Count(glue.run("pushglue hosts --json"), `"url"`)
	}
	l.mustPlay(t, "-i", inventory, "site.yml", "--limit", "glue_hosts", "-e", `{"pushglue_push_hosts": ["http://`+glue.address+`:9080"]}`)
	await(t, "the daemon has one push host", func() bool { return listed() == 1 })
	l.mustPlay(t, "-i", inventory, "site.yml", "--limit", "glue_hosts")
	await(t, "the daemon has both push hosts", func() bool { return listed() == 2 })
	if after := glue.run("systemctl show --value --property MainPID pushglue"); after != before {
		t.Error("the daemon was restarted")
	}
}

// testPassword changes the daemon's password as README.md says. The daemon works on while only Redis has the new one; then the former one
// is none any more, nor is a secret that is no longer named.
func testPassword(t *testing.T, l *lab, glue *machine, inventory string) {
	play := func(playbook string, variables map[string]any) {
		t.Helper()
		text, err := json.Marshal(variables)
		if err != nil {
			t.Fatal(err)
		}
		l.mustPlay(t, "-i", inventory, playbook, "--limit", glue.name, "-e", "@"+l.file(t, "variables.json", string(text)))
	}
	const password = secretMark + "-daemon-from-now-on"
	former := secrets["redis_queue_password"]

	play("site.yml", map[string]any{"redis_queue_password": password, "redis_queue_former_passwords": []string{former}})
	testMessage(t, l, glue)

	after := map[string]any{"redis_queue_password": password, "pushglue_redis_url": redisURL(glue, "pushglue", password), "pushglue_secrets": map[string]any{}}
	play("site.yml", after)
	play("verify.yml", after)
	testMessage(t, l, glue)
	glue.write("/root/url", redisURL(glue, "pushglue", former))
	if told := glue.run("PUSHGLUE_REDIS_URL_FILE=/root/url pushglue jobs crowd 2>&1 || :"); !strings.Contains(told, "WRONGPASS") {
		t.Errorf("with the former password it says %s", told)
	}
	if got := glue.run("ls /etc/pushglue/secrets"); got != "PUSHGLUE_REDIS_URL\n" {
		t.Errorf("secrets are %s", got)
	}
}

package ansible_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"pushglue/glue/gluetest/service"
)

// patience bounds every wait for a machine. Only a broken test reaches it.
const patience = 60 * time.Second

// lab is a network with fresh machines, and what reaches them.
type lab struct {
	tb       testing.TB
	dir      string // the key, and what Ansible keeps
	bridge   string
	network  string // the first three numbers of its addresses; this machine is .1
	machines []*machine
}

// machine is a Debian system that has booted, in a container with a network namespace of its own. What it writes is gone when
// the test ends.
type machine struct {
	lab     *lab
	name    string
	address string
	root    string // its root directory, to look at from outside
}

// newLab boots machines with these names. They run until the test ends.
func newLab(tb testing.TB, names ...string) *lab {
	tb.Helper()
	root := base(tb)
	service.Need(tb, "ansible-playbook", "ip")
	service.NeedFile(tb, "/usr/bin/systemd-nspawn", "systemd-container")
	service.NeedFile(tb, "/usr/bin/ssh", "openssh-client")
	touch(tb, ".", "../nginx")
	l := &lab{tb: tb, dir: tb.TempDir(), bridge: fmt.Sprintf("pga%d", service.FreePort(tb)), network: freeNetwork(tb)}
	execute(tb, exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", l.key()))
	l.ip("link", "add", l.bridge, "type", "bridge")
	tb.Cleanup(func() { l.ip("link", "del", l.bridge) })
	l.ip("addr", "add", l.network+".1/24", "dev", l.bridge)
	l.ip("link", "set", l.bridge, "up")
	for _, name := range names {
		l.boot(root, name)
	}
	for _, m := range l.machines {
		m.await()
	}
	return l
}

// touch has go test know which files the test depends on, though other programs read them: without, it would take an old
// result for a new one.
func touch(tb testing.TB, dirs ...string) {
	tb.Helper()
	for _, dir := range dirs {
		err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
			if err == nil {
				_, err = os.Stat(path)
			}
			return err
		})
		if err != nil {
			tb.Fatal(err)
		}
	}
}

// freeNetwork returns a network that this machine has no address in. Such networks are kept for measurements like this
// (RFC 2544), so that they are nobody else's.
func freeNetwork(tb testing.TB) string {
	tb.Helper()
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		tb.Fatal(err)
	}
	for {
		network := fmt.Sprintf("198.19.%d", rand.IntN(256))
		if !strings.Contains(fmt.Sprint(addresses), network+".") {
			return network
		}
	}
}

func (l *lab) key() string { return filepath.Join(l.dir, "key") }

func (l *lab) ip(args ...string) {
	l.tb.Helper()
	execute(l.tb, exec.Command("ip", args...))
}

// boot starts a machine: a layer above the base, a namespace with a cable to the bridge, and systemd in a container. nspawn
// gives each machine a part of the control group that it finds itself in, so it gets one for itself.
func (l *lab) boot(base, name string) {
	tb := l.tb
	tb.Helper()
	m := &machine{lab: l, name: name, address: fmt.Sprintf("%s.%d", l.network, len(l.machines)+2)}
	unique := fmt.Sprintf("%s-%d", l.bridge, len(l.machines))
	l.machines = append(l.machines, m)

	dir := tb.TempDir()
	m.root = filepath.Join(dir, "root")
	for _, layer := range []string{"root", "upper", "work"} {
		if err := os.Mkdir(filepath.Join(dir, layer), 0o755); err != nil {
			tb.Fatal(err)
		}
	}
	layers := fmt.Sprintf("lowerdir=%s,upperdir=%s/upper,workdir=%s/work,volatile", base, dir, dir)
	execute(tb, exec.Command("mount", "-t", "overlay", "overlay", "-o", layers, m.root))
	tb.Cleanup(func() { execute(tb, exec.Command("umount", m.root)) })
	m.write("/etc/hostname", name+"\n")
	authorized, err := os.ReadFile(l.key() + ".pub")
	if err != nil {
		tb.Fatal(err)
	}
	m.write("/root/.ssh/authorized_keys", string(authorized))

	l.ip("netns", "add", unique)
	tb.Cleanup(func() { l.ip("netns", "del", unique) })
	l.ip("link", "add", unique, "type", "veth", "peer", "name", "host0", "netns", unique)
	l.ip("link", "set", unique, "master", l.bridge, "up")
	l.ip("-n", unique, "link", "set", "lo", "up")
	l.ip("-n", unique, "addr", "add", m.address+"/24", "dev", "host0")
	l.ip("-n", unique, "link", "set", "host0", "up")

	const script = `
name=$1; shift
for groups in /sys/fs/cgroup /sys/fs/cgroup/systemd /sys/fs/cgroup/unified; do
	[ -e $groups/cgroup.procs ] || continue
	mkdir $groups/$name
	echo $$ >$groups/$name/cgroup.procs
done
exec "$@"`
	container := exec.Command("sh", "-euc", script, "sh", unique,
		"systemd-nspawn", "--quiet", "--boot", "--register=no", "--keep-unit", "--console=pipe", "--machine="+unique,
		"--network-namespace-path=/run/netns/"+unique, "--capability=CAP_NET_ADMIN", "--directory="+m.root)
	// Of the kernel's settings a machine can change those of its own network.
	container.Env = append(os.Environ(), "SYSTEMD_NSPAWN_API_VFS_WRITABLE=network")
	var console bytes.Buffer
	container.Stdout, container.Stderr = &console, &console
	if err := container.Start(); err != nil {
		tb.Fatal(err)
	}
	exited := make(chan struct{})
	go func() {
		_ = container.Wait() // powered off or killed
		close(exited)
	}()
	tb.Cleanup(func() {
		_ = container.Process.Signal(syscall.SIGTERM) // systemd-nspawn has systemd power the machine off
		select {
		case <-exited:
		case <-time.After(patience):
			_ = container.Process.Kill()
			<-exited
		}
		removeGroups(tb, unique)
		if tb.Failed() {
			tb.Logf("console of %s:\n%s", m.name, tail(console.String()))
		}
	})
}

// removeGroups removes the control groups of a machine that has ended, the innermost first.
func removeGroups(tb testing.TB, name string) {
	tb.Helper()
	const groups = "/sys/fs/cgroup"
	for _, parent := range []string{"", "systemd", "unified"} {
		top := filepath.Join(groups, parent, name)
		var found []string
		err := filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				found = append(found, path)
			}
			return err
		})
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			tb.Error(err)
		}
		for _, path := range slices.Backward(found) {
			if err := os.Remove(path); err != nil {
				tb.Error(err)
			}
		}
	}
}

// write writes a file of the machine from outside.
func (m *machine) write(path, text string) {
	m.lab.tb.Helper()
	path = filepath.Join(m.root, path)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		m.lab.tb.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		m.lab.tb.Fatal(err)
	}
}

// await returns when the machine has booted.
func (m *machine) await() {
	m.lab.tb.Helper()
	m.run("systemctl is-system-running --wait")
}

// sshArgs are for machines whose keys nobody knows.
var sshArgs = []string{"-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR"}

// run returns what a shell command of the machine prints. It must succeed.
func (m *machine) run(command string) string {
	m.lab.tb.Helper()
	args := append([]string{"-i", m.lab.key(), "-o", "ConnectionAttempts=60"}, sshArgs...) // one a second, while it boots
	return execute(m.lab.tb, exec.Command("ssh", append(args, "root@"+m.address, command)...))
}

// play runs a playbook, which is the first of the arguments of ansible-playbook, and returns what it prints.
func (l *lab) play(args ...string) (string, error) {
	l.tb.Helper()
	command := exec.Command("ansible-playbook", append([]string{
		"--private-key", l.key(), "--user", "root",
		"--ssh-common-args", strings.Join(sshArgs, " "),
	}, args...)...)
	command.Env = append(os.Environ(), "LC_ALL=C.UTF-8", "ANSIBLE_NOCOLOR=1", "ANSIBLE_HOME="+l.dir)
	text, err := command.CombinedOutput()
	return string(text), err
}

// inventory writes an inventory with the lab's machines, and returns its path.
func (l *lab) inventory(variables map[string]any) string {
	l.tb.Helper()
	hosts := map[string]any{}
	for _, m := range l.machines {
		hosts[m.name] = map[string]string{"ansible_host": m.address}
	}
	// YAML takes JSON.
	text, err := json.MarshalIndent(map[string]any{"push_hosts": map[string]any{"hosts": hosts, "vars": variables}}, "", "\t")
	if err != nil {
		l.tb.Fatal(err)
	}
	path := filepath.Join(l.dir, "inventory.yml")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		l.tb.Fatal(err)
	}
	return path
}

// recap are the numbers of a host at the end of a playbook.
var recap = regexp.MustCompile(`(?m)^(\S+) +: ok=\d+ +changed=(\d+) +unreachable=(\d+) +failed=(\d+)`)

// changes returns how much a playbook that must succeed has changed on so many hosts.
func (l *lab) changes(count int, args ...string) (changed int) {
	l.tb.Helper()
	text, err := l.play(args...)
	if err != nil {
		l.tb.Fatalf("ansible-playbook %s: %v\n%s", strings.Join(args, " "), err, text)
	}
	hosts := recap.FindAllStringSubmatch(text, -1)
	if len(hosts) != count {
		l.tb.Fatalf("%d hosts of %d in the recap:\n%s", len(hosts), count, text)
	}
	for _, host := range hosts {
		var n int
		if _, err := fmt.Sscan(host[2], &n); err != nil {
			l.tb.Fatal(err)
		}
		changed += n
	}
	if testing.Verbose() {
		l.tb.Log(text)
	}
	return changed
}

//go:build release

package ansible_test

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// TestPackage installs, upgrades and purges the package that `make release` has made, on a fresh machine.
func TestPackage(t *testing.T) {
	packages, err := filepath.Glob("../artifacts/release/*_linux_" + runtime.GOARCH + ".deb")
	if err != nil || len(packages) != 1 {
		t.Fatalf("want one package, of `make release`: %v, %v", packages, err)
	}
	l := newLab(t, "glue1")
	m := l.machines[0]
	bring := func(path, name string) { execute(t, exec.Command("cp", path, filepath.Join(m.root, "root", name))) }
	bring(packages[0], "first.deb")
	bring(repack(t, packages[0], "9.0.0"), "second.deb")
	bring(repack(t, packages[0], "9.0.1"), "third.deb")
	const (
		install = "DEBIAN_FRONTEND=noninteractive apt-get -q -y -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold install "
		files   = "find / -xdev \\( -path /proc -o -path /run -o -path /tmp -o -path /var/log -o -path /var/cache -o -path /var/lib/systemd -o -path /var/lib/redis -o -path /root \\) -prune -o -print | sort"
		pid     = "systemctl show -P MainPID pushglue"
		keys    = "cat /etc/pushglue/secrets/*"
	)
	m.run(install + "redis-server")
	before := m.run(files) + m.run("getent passwd; getent group")

	m.run(install + "/root/first.deb")
	for _, want := range []string{
		"/etc/pushglue root:pushglue 750",
		"/etc/pushglue/environment root:pushglue 640",
		"/etc/pushglue/pipelines.yml root:pushglue 640",
		"/etc/pushglue/secrets root:pushglue 750",
		"/etc/pushglue/secrets/PUSHGLUE_ANONYMIZE_KEY root:pushglue 640",
		"/etc/pushglue/secrets/PUSHGLUE_HTTP_TOKEN root:pushglue 640",
		"/usr/bin/pushglue root:root 755",
		"/usr/lib/systemd/system/pushglue.service root:root 644",
		"/usr/share/man/man1/pushglue-run.1 root:root 644",
		"/usr/share/doc/pushglue/docs/configuration.md root:root 644",
	} {
		path, _, _ := strings.Cut(want, " ")
		if got := strings.TrimSpace(m.run("stat -c '%n %U:%G %a' " + path)); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	if told := m.run("systemd-analyze verify --man=no pushglue.service 2>&1"); told != "" {
		t.Errorf("systemd says of the unit: %s", told)
	}
	if told := m.run("systemctl is-enabled pushglue; systemctl is-active pushglue; true"); told != "disabled\ninactive\n" {
		t.Errorf("it is %s", told)
	}
	if told := m.run("dpkg --verify pushglue; bash -c '. /usr/share/bash-completion/completions/pushglue'"); told != "" {
		t.Errorf("the package is not as it was made: %s", told)
	}

	// Started with what the package brings, it works; the push host is not there.
	m.run("systemctl enable --now pushglue")
	m.run("set -a; . /etc/pushglue/environment; pushglue check && pushglue jobs comments --over 0")

	// An upgrade keeps what was changed, and the keys, and restarts the daemon.
	m.run("echo '# mine' >>/etc/pushglue/pipelines.yml")
	secrets, first := m.run(keys), m.run(pid)
	m.run(install + "/root/second.deb")
	if got := m.run("tail -1 /etc/pushglue/pipelines.yml"); got != "# mine\n" {
		t.Errorf("the upgrade wrote over pipelines.yml: %s", got)
	}
	if got := m.run("tail -1 /etc/pushglue/environment"); got != "# of 9.0.0\n" {
		t.Errorf("the upgrade left alone what nobody had changed: %s", got)
	}
	if m.run(keys) != secrets {
		t.Error("the upgrade changed a key")
	}
	second := m.run(pid)
	if second == first || m.run("systemctl is-active pushglue") != "active\n" {
		t.Error("the upgrade did not restart the daemon")
	}

	// With a configuration that it refuses, the daemon goes on as it is.
	m.run("echo 'wrong: true' >>/etc/pushglue/pipelines.yml")
	told := m.run(install + "/root/third.deb 2>&1")
	if !strings.Contains(told, "pushglue.service was not restarted") || !strings.Contains(told, `unknown key "wrong"`) {
		t.Errorf("it does not say what is wrong: %s", told)
	}
	if m.run(pid) != second {
		t.Error("it restarted a daemon whose configuration is wrong")
	}

	// Removed, it leaves what was configured; purged, nothing.
	m.run("apt-get -q -y remove pushglue")
	m.run("test -e /etc/pushglue/pipelines.yml && ! systemctl is-active pushglue && ! test -e /usr/bin/pushglue")
	m.run("apt-get -q -y purge pushglue")
	if after := m.run(files) + m.run("getent passwd; getent group"); after != before {
		t.Errorf("a purge leaves something:\n%s", difference(before, after))
	}
}

// repack returns a package as it may be later: with another version and another environment.
func repack(t *testing.T, path, version string) string {
	t.Helper()
	dir := t.TempDir()
	tree, made := filepath.Join(dir, "tree"), filepath.Join(dir, version+".deb")
	execute(t, exec.Command("dpkg-deb", "-R", path, tree))
	execute(t, exec.Command("sed", "-i", fmt.Sprintf("s/^Version: .*/Version: %s/", version), filepath.Join(tree, "DEBIAN", "control")))
	execute(t, exec.Command("sed", "-i", fmt.Sprintf("$ a # of %s", version), filepath.Join(tree, "etc", "pushglue", "environment")))
	execute(t, exec.Command("dpkg-deb", "-Zgzip", "-z1", "--build", tree, made))
	return made
}

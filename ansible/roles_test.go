package ansible_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"pushglue/glue/gluetest/service"
)

// variables are those of the machines' inventory: a small host, in a container, whose kernel is somebody else's.
func (l *lab) variables(module map[string]any) map[string]any {
	v := map[string]any{
		"push_host_worker_connections": 4096, "push_host_limit_nofile": 8192, "push_host_shared_memory": "32m",
		"push_host_internal_allow": []string{l.network + ".1"},
		"kernel_leave_out": []string{
			"fs.file-max", "fs.nr_open", "net.core.netdev_max_backlog", "net.ipv4.tcp_mem", "net.ipv4.tcp_max_orphans",
			"net.ipv4.tcp_max_tw_buckets",
		},
	}
	maps.Copy(v, module)
	return v
}

// TestRoles applies the roles of push hosts to fresh machines, in check mode and for real, and tries what must be refused.
func TestRoles(t *testing.T) {
	if !*long {
		t.Log("without -long: TestGlue applies them all")
		return
	}
	t.Run(service.Nchan, func(t *testing.T) { testRoles(t, map[string]any{"push_host_module": service.Nchan}) })
	if file := os.Getenv("PUSH_STREAM_MODULE"); file != "" {
		t.Run(service.PushStream, func(t *testing.T) {
			testRoles(t, map[string]any{"push_host_module": service.PushStream, "push_host_module_package": pack(t, file)})
		})
	}
}

// pack returns a package, as an operator would have it, with a module.
func pack(t *testing.T, module string) string {
	t.Helper()
	dir := t.TempDir()
	tree := filepath.Join(dir, "tree")
	target := tree + "/usr/lib/nginx/modules/ngx_http_push_stream_module.so"
	for _, d := range []string{filepath.Dir(target), tree + "/DEBIAN"} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	execute(t, exec.Command("cp", module, target))
	architecture := strings.TrimSpace(execute(t, exec.Command("dpkg", "--print-architecture")))
	control := fmt.Sprintf("Package: push-stream\nVersion: 1\nArchitecture: %s\nDepends: nginx\nMaintainer: nobody\nDescription: a push module\n", architecture)
	if err := os.WriteFile(tree+"/DEBIAN/control", []byte(control), 0o600); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "push-stream.deb")
	execute(t, exec.Command("dpkg-deb", "--root-owner-group", "--build", tree, path))
	return path
}

func testRoles(t *testing.T, module map[string]any) {
	l := newLab(t, "push1", "push2")
	first := l.machines[0]
	inventory := l.inventory(l.variables(module))
	site := []string{"site.yml", "-i", inventory}

	before := first.state()
	if n := l.changes(1, append(site, "--check", "--diff", "--limit", "push1")...); n == 0 {
		t.Error("a check says that nothing would be changed on a fresh machine")
	}
	if after := first.state(); after != before {
		t.Errorf("a check changed the machine:\n%s", difference(before, after))
	}
	l.changes(2, site...)
	converged := first.state()
	if n := l.changes(2, site...); n != 0 {
		t.Error("the second run changes something")
	}
	if n := l.changes(1, append(site, "--check", "--diff", "--limit", "push1")...); n != 0 {
		t.Error("a check says that something would be changed on a machine that has everything")
	}
	l.changes(2, "verify.yml", "-i", inventory)
	for _, m := range l.machines {
		m.delivers()
	}
	l.refuses(site)
	if after := first.state(); after != converged {
		t.Errorf("a run that stopped has changed the machine:\n%s", difference(converged, after))
	}
	first.loosen()
	first.reloads(append(site, "--limit", "push1", "--extra-vars", `{"push_host_messages_stored": 10, "push_host_public_port": 8080}`))
	first.isTight()
	if told := first.run("nft list table inet pushglue_notrack"); !strings.Contains(told, "tcp sport { 80, 443, 8080 } notrack") {
		t.Errorf("readers' connections are tracked: %s", told)
	}
}

// These files nobody but root is to write, and of one of them nobody but root is to know what it says.
const tight = "/etc/nginx/pushglue /etc/nginx/pushglue/common/private-key.conf /etc/nginx/pushglue/common/workers.conf /etc/logrotate.d/pushglue-nginx"

// loosen gives the files away.
func (m *machine) loosen() {
	m.lab.tb.Helper()
	m.run("chown www-data:www-data " + tight + "; chmod a+rwX " + tight)
}

// isTight wants the files as the role makes them.
func (m *machine) isTight() {
	m.lab.tb.Helper()
	if got := m.run("stat -c '%U:%G %a' " + tight); got != "root:root 755\nroot:root 600\nroot:root 644\nroot:root 644\n" {
		m.lab.tb.Errorf("%s are\n%s", tight, got)
	}
}

// reloads applies a configuration that takes a reload: other workers, and the same main process.
func (m *machine) reloads(site []string) {
	tb := m.lab.tb
	tb.Helper()
	id := func() string { return m.run("systemctl show --value --property MainPID nginx") }
	worker := func() string { return m.run("pgrep --newest --exact nginx") }
	mainBefore, workerBefore := id(), worker()
	m.lab.changes(1, site...)
	if id() != mainBefore {
		tb.Error("nginx was restarted for a configuration that takes a reload")
	}
	await(tb, "nginx has workers with the new configuration", func() bool { return worker() != workerBefore })
}

// refuses tries what must stop a run, with a message that says what to do.
func (l *lab) refuses(site []string) {
	tb := l.tb
	tb.Helper()
	for _, refusal := range []struct {
		name      string
		variables map[string]any
		message   string
	}{
		{
			"a configuration that nginx refuses",
			map[string]any{"push_host_internal_allow": []string{"glue1.example."}},
			`push1: nginx refuses the new configuration, and keeps the one that it has\. Correct the variable.*invalid parameter \\?"glue1\.example\.\\?" in \S*common/allow-internal\.conf`,
		},
		{
			"a package that is nowhere",
			map[string]any{"push_host_module_package": "libnginx-mod-none"},
			`push1: apt has no libnginx-mod-none, and nothing has been changed\. Correct the name, or add the repository`,
		},
		{
			"a value of another type",
			map[string]any{"push_host_worker_connections": "many"},
			`push_host_worker_connections.*invalid literal for int|push_host_worker_connections.*cannot be converted to an int`,
		},
		{
			"a value that makes no sense",
			map[string]any{"push_host_shared_memory": "1g"},
			`push1: a variable is wrong, and nothing has been changed\..*push_host_shared_memory and push_host_address_memory are in k or m`,
		},
		{
			"a setting that the kernel does not let be changed",
			map[string]any{"kernel_leave_out": []string{}},
			`push1: .*net\.ipv4\.tcp_mem.* cannot be raised from here, and nothing has been changed\..*name them in kernel_leave_out`,
		},
		{
			"a host without Python",
			map[string]any{"ansible_python_interpreter": "/nowhere/python3"},
			`push1 cannot be reached, and no host has been changed\..*that the host has python3`,
		},
		{
			"a host that cannot be reached",
			map[string]any{"ansible_port": 2},
			`push1 cannot be reached, and no host has been changed\. See that \\?"ssh 198\.19\.\d+\.2\\?" works`,
		},
	} {
		extra, err := json.Marshal(refusal.variables)
		if err != nil {
			tb.Fatal(err)
		}
		text, err := l.play(append(site, "--limit", "push1", "--extra-vars", string(extra))...)
		if err == nil || !regexp.MustCompile(refusal.message).MatchString(text) {
			tb.Errorf("%s: %v, and does not say %s:\n%s", refusal.name, err, refusal.message, text)
		}
	}
}

// state returns the checksums of what a machine consists of, without what changes by itself, and what nginx runs.
func (m *machine) state() string {
	m.lab.tb.Helper()
	return m.run(`find /etc /usr /var/lib/dpkg /var/log/nginx -xdev -type f ! -name '*.pyc' ! -path '/var/lib/dpkg/lock*' ! -name '*.log' -printf '%m %U %p\0' |
		sort -z | tr '\0' '\n'; find /etc /var/lib/dpkg -xdev -type f ! -path '*/lock*' -exec sha1sum {} + | sort -k 2; pgrep nginx || true`)
}

// difference returns the lines that only one of two texts has.
func difference(a, b string) string {
	var lines []string
	for _, side := range []struct{ sign, text, other string }{{"-", a, b}, {"+", b, a}} {
		others := map[string]bool{}
		for line := range strings.Lines(side.other) {
			others[line] = true
		}
		for line := range strings.Lines(side.text) {
			if !others[line] {
				lines = append(lines, side.sign+line)
			}
		}
	}
	return strings.Join(lines, "")
}

// delivers has a message go through a push host to a reader.
func (m *machine) delivers() {
	tb := m.lab.tb
	tb.Helper()
	request, err := http.NewRequestWithContext(tb.Context(), http.MethodGet, "http://"+m.address+"/subscribe/forum:news", http.NoBody)
	if err != nil {
		tb.Fatal(err)
	}
	request.Header.Set("Accept", "text/event-stream")
	stream, err := http.DefaultClient.Do(request)
	if err != nil {
		tb.Fatal(err)
	}
	defer stream.Body.Close()
	answer, err := http.Post("http://"+m.address+":9080/publish?id=forum:news", "application/json", strings.NewReader(`{"id":"1"}`))
	if err != nil {
		tb.Fatal(err)
	}
	answer.Body.Close()
	for lines := bufio.NewScanner(stream.Body); lines.Scan(); {
		if strings.Contains(lines.Text(), `{"id":"1"}`) {
			return
		}
	}
	tb.Errorf("%s: the stream ended without the message", m.name)
}

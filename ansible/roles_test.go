package ansible_test

import "testing"

func TestRoles(t *testing.T) {
	l := newLab(t, "push1", "push2")
	inventory := l.inventory(map[string]any{
		"push_host_worker_connections": 4096, "push_host_limit_nofile": 8192,
		"kernel_leave_out": []string{
			"fs.file-max", "fs.nr_open", "net.core.netdev_max_backlog", "net.ipv4.tcp_mem", "net.ipv4.tcp_max_orphans",
			"net.ipv4.tcp_max_tw_buckets",
		},
		"push_host_internal_allow": []string{l.network + ".1"},
	})
	if n := l.changes("site.yml", "-i", inventory, "--check", "--diff"); n == 0 {
		t.Error("nothing would be changed on fresh machines")
	}
	l.changes("site.yml", "-i", inventory)
	if n := l.changes("site.yml", "-i", inventory); n != 0 {
		t.Error("the second run changes something")
	}
	l.changes("verify.yml", "-i", inventory)
}

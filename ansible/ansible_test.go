// Package ansible_test applies the roles to fresh machines.
package ansible_test

import "testing"

func TestRoles(t *testing.T) {
	l := newLab(t, "push1", "push2")
	for _, m := range l.machines {
		t.Log(m.run("hostname; ip -br addr; apt-cache policy nginx; sysctl -w net.core.somaxconn=5000; ls /proc/sys/net/core /proc/sys/net/ipv4 /proc/sys/net/netfilter"))
	}
}

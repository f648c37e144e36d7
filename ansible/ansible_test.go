// Package ansible_test applies the roles to fresh machines.
package ansible_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

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

// changes returns how much a playbook that must succeed has changed.
func (l *lab) changes(args ...string) (changed int) {
	l.tb.Helper()
	text, err := l.play(args...)
	if err != nil {
		l.tb.Fatalf("ansible-playbook %s: %v\n%s", strings.Join(args, " "), err, text)
	}
	hosts := recap.FindAllStringSubmatch(text, -1)
	if len(hosts) != len(l.machines) {
		l.tb.Fatalf("%d hosts of %d in the recap:\n%s", len(hosts), len(l.machines), text)
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

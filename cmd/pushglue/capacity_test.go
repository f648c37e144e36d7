package main

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"pushglue/cmd/pushglue/capacity"
)

// capacityOf runs pushglue capacity with arguments, which must give a plan that fits, and returns its report.
func capacityOf(t *testing.T, args string) capacity.Report {
	t.Helper()
	code, out, errs := invoke(t, "", environment(), append([]string{"capacity", "--json"}, strings.Fields(args)...)...)
	var r capacity.Report
	if err := json.Unmarshal([]byte(out), &r); err != nil || code != 0 || !r.Fits {
		t.Fatalf("capacity %s: exit code %d, %v\n%s%s", args, code, err, out, errs)
	}
	return r
}

// TestShippedNumbersAreComputed runs the command line that stands above each computed number of nginx/.
func TestShippedNumbersAreComputed(t *testing.T) {
	calculated := regexp.MustCompile(`(?m)^# {3}pushglue capacity (.*)$`)
	shippedPlan := capacityArgs(t, "common/worker-connections.conf", calculated)
	for path, test := range map[string]struct {
		args, directive string
		want            func(capacity.Settings) string
	}{
		"common/worker-connections.conf": {shippedPlan, "worker_connections", func(s capacity.Settings) string { return fmt.Sprint(s.WorkerConnections) }},
		"common/workers.conf":            {shippedPlan, "worker_rlimit_nofile", func(s capacity.Settings) string { return fmt.Sprint(s.LimitNofile) }},
		"README.md":                      {shippedPlan, "LimitNOFILE", func(s capacity.Settings) string { return fmt.Sprint(s.LimitNofile) }},
		"common/public-addresses.conf":   {shippedPlan, "limit_conn_zone \\$counted_address", func(s capacity.Settings) string { return "zone=readers:" + mebibytes(s.AddressMemory) }},
		"nchan/memory.conf":              {capacityArgs(t, "nchan/memory.conf", calculated), "nchan_shared_memory_size", zoneSize},
		"push-stream/memory.conf":        {capacityArgs(t, "push-stream/memory.conf", calculated), "push_stream_shared_memory_size", zoneSize},
	} {
		value := regexp.MustCompile(`(?m)^\s*` + test.directive + `[ =]([0-9a-z=:]+);?$`).FindStringSubmatch(shippedFile(t, path))
		if want := test.want(capacityOf(t, test.args).Settings); len(value) < 2 || value[1] != want {
			t.Errorf("%s: %q, want %s %s, as pushglue capacity %s prints", path, value, test.directive, want, test.args)
		}
	}
}

func shippedFile(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile("../../nginx/" + path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// capacityArgs returns the arguments of the command line in a file of nginx/.
func capacityArgs(t *testing.T, path string, calculated *regexp.Regexp) string {
	t.Helper()
	found := calculated.FindStringSubmatch(shippedFile(t, path))
	if found == nil {
		t.Fatalf("nginx/%s does not say how it was computed", path)
	}
	return found[1]
}

// TestStoreIsThePlans: what is stored as shipped is what the plan says.
func TestStoreIsThePlans(t *testing.T) {
	p := capacity.Default()
	for path, want := range map[string][]string{
		"nchan/store.conf":       {fmt.Sprintf("nchan_message_timeout %.0fm;", p.TTL.Minutes()), fmt.Sprintf("nchan_message_buffer_length %d;", p.Stored)},
		"push-stream/store.conf": {fmt.Sprintf("push_stream_message_ttl %.0fm;", p.TTL.Minutes()), fmt.Sprintf("push_stream_max_messages_stored_per_channel %d;", p.Stored)},
	} {
		for _, line := range want {
			if !strings.Contains(shippedFile(t, path), "\n"+line+"\n") {
				t.Errorf("nginx/%s has no line %q", path, line)
			}
		}
	}
}

func TestCapacityForAnsible(t *testing.T) {
	code, out, errs := invoke(t, "", environment(), "capacity", "--readers", "1000", "--cores", "2", "--module", "push-stream", "--stored", "5", "--ttl", "1m", "--ansible")
	var got map[string]any
	if err := yaml.Unmarshal([]byte(out), &got); err != nil || code != 0 {
		t.Fatalf("exit code %d, %v\n%s%s", code, err, out, errs)
	}
	for name, want := range map[string]any{
		"push_host_module": "push-stream", "push_host_workers": 2, "push_host_worker_connections": 1024, "push_host_limit_nofile": 2048,
		"push_host_shared_memory": "256m", "push_host_address_memory": "16m", "push_host_message_ttl": "60s", "push_host_messages_stored": 5,
		"kernel_file_max": 69_632, "kernel_nr_open": 1 << 20, "kernel_tcp_mem": "49152 57344 65536",
		"kernel_conntrack": "track", "kernel_conntrack_max": 262_144,
	} {
		if fmt.Sprint(got[name]) != fmt.Sprint(want) {
			t.Errorf("%s is %v, want %v", name, got[name], want)
		}
	}
	if len(got) != 13 {
		t.Errorf("%d variables, want 13:\n%s", len(got), out)
	}
}

// TestCapacity calls the command in ways that work and in ways that cannot.
func TestCapacity(t *testing.T) {
	for args, test := range map[string]struct {
		code int
		want []string
	}{
		"": {0, []string{
			"1,000,000 readers of 20,000 channels on one host with nchan", "worker_connections                 162816", "nchan_shared_memory_size           192m",
			"net.ipv4.tcp_mem  1500000 1750000 2000000", "NOTRACK for the readers' port", "kernel, sockets             3.8 GiB",
			"50,000 deliveries a second; what runs out first\n  memory ",
		}},
		"--module push-stream --readers 1000 --memory 2g": {0, []string{"push_stream_shared_memory_size", "nf_conntrack_max  262144"}},
		"--fanout 1 --rate 0 --channels 1":                {0, []string{"0 deliveries a second", "cores      0.7 cores of 5.6 cores"}},
		"--memory 8g": {1, []string{
			"system                      676 MiB", "pushglue: the plan does not fit this host: there is not enough of memory (", " GiB of 8.0 GiB); it can hold ",
			"readers; spread them over 2 such hosts, or take a larger one",
		}},
		"--memory 8g --ansible":                   {1, []string{"pushglue: the plan does not fit this host"}},
		"--memory 1g --channels 1000000 --rate 0": {1, []string{"no number of readers fits: change the messages, or take a larger host"}},
		"--memory 8g --bandwidth 50m":             {1, []string{"not enough of bandwidth (", "Mbit/s of 50 Mbit/s) and memory ("}},
		"--memory much":                           {2, []string{`pushglue capacity: --memory: "much" is no size such as 512m or 16g`}},
		"--memory 9999999999t":                    {2, []string{`--memory: "9999999999t" is no size`}},
		"--memory -1g":                            {2, []string{`--memory: "-1g" is no size`}},
		"--bandwidth 10gg":                        {2, []string{`--bandwidth: "10gg" is no bit rate such as 500m or 10g`}},
		"--readers many":                          {2, []string{`--readers: "many" is no whole number`}},
		"--module nginx":                          {2, []string{`--module: "nginx" is neither nchan nor push-stream`}},
		"--json --ansible":                        {2, []string{"--json and --ansible: one of them"}},
		"host":                                    {2, []string{`takes no arguments, and got "host"`}},
	} {
		code, out, errs := invoke(t, "", environment(), append([]string{"capacity"}, strings.Fields(args)...)...)
		if code != test.code {
			t.Errorf("capacity %s: exit code %d, want %d\n%s%s", args, code, test.code, out, errs)
		}
		for _, want := range test.want {
			if !strings.Contains(out+errs, want) {
				t.Errorf("capacity %s does not say %q:\n%s%s", args, want, out, errs)
			}
		}
		if code != 0 && strings.Contains(args, "--ansible") && out != "" {
			t.Errorf("capacity %s prints variables of a plan that does not fit:\n%s", args, out)
		}
	}
}

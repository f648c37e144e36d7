package bench

import (
	"net"
	"net/netip"
	"os"
	"slices"
	"testing"
	"time"
)

func TestFindServer(t *testing.T) {
	for _, host := range []string{"127.0.0.1:0", "[::1]:0", ":0"} {
		listener, err := net.Listen("tcp", host)
		if err != nil {
			t.Logf("%s: %v", host, err) // a machine without IPv6
			continue
		}
		address := netip.MustParseAddrPort(listener.Addr().String())
		if address.Addr().IsUnspecified() {
			address = netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), address.Port())
		}
		s := findServer(address)
		if memory, err := s.memory(); !slices.Equal(s.pids, []int{os.Getpid()}) || err != nil || memory < 1<<20 {
			t.Errorf("%s: processes %d with %d bytes, %v; want %d", host, s.pids, memory, err, os.Getpid())
		}
		listener.Close()
		if s := findServer(address); s.err == nil {
			t.Errorf("%s: processes %d listen, though none does", host, s.pids)
		}
	}
	if s := findServer(netip.MustParseAddrPort("192.0.2.1:80")); s.err == nil || s.cpu() != 0 {
		t.Errorf("processes %d are found on another machine", s.pids)
	}
}

func TestListening(t *testing.T) {
	const table = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 11 1 0000000000000000 100 0 0 10 0
   1: 00000000:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 12 1 0000000000000000 100 0 0 10 0
   2: 0200007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 13 1 0000000000000000 100 0 0 10 0
   3: 0100007F:1F91 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 14 1 0000000000000000 100 0 0 10 0
   4: 0100007F:1F90 0100007F:C350 01 00000000:00000000 00:00000000 00000000     0        0 15 1 0000000000000000 100 0 0 10 0
   5: 0000000000000000FFFF00000100007F:1F90 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 16 1
   6: nonsense
`
	// As 127.0.0.1:8080 stands there where the lowest byte of a word comes first.
	address, err := parseHexAddress("0100007F:1F90")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := listening([]byte(table), address), []string{"11", "12", "16"}; !slices.Equal(got, want) {
		t.Errorf("sockets %q, want %q", got, want)
	}
	for _, wrong := range []string{"", "0100007F", "01:1F90", "0100007G:1F90", "0100007F:1F9000", "0100007F0100007F:1F90"} {
		if got, err := parseHexAddress(wrong); err == nil {
			t.Errorf("%q is read as %s", wrong, got)
		}
	}
}

func TestCPUOf(t *testing.T) {
	for stat, want := range map[string]time.Duration{
		"17 (a (b) c) S 1 17 17 0 -1 4194560 10 0 0 0 250 50 3 4 20 0 1 0 100 0 0": 3 * time.Second,
		"17 (nginx) S 1 2": 0,
		"":                 0,
	} {
		if got := cpuOf(stat); got != want {
			t.Errorf("%q: %s, want %s", stat, got, want)
		}
	}
}

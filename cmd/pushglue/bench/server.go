package bench

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// server is the processes of a push host: nginx's master and its workers.
type server struct {
	pids []int
	err  error // why they are not known
}

// findServer looks for the processes of this machine that listen at an address.
func findServer(address netip.AddrPort) server {
	if !address.Addr().IsLoopback() {
		return server{err: errors.New("the server is not on this machine")}
	}
	pids, err := listeners(address)
	if err == nil && len(pids) == 0 {
		err = errors.New("the server's processes are not to be found: they are another account's")
	}
	return server{pids, err}
}

// memory returns what the server has of memory, in bytes.
func (s server) memory() (int64, error) {
	if s.err != nil {
		return 0, s.err
	}
	return proportional(s.pids)
}

// cpu returns the CPU time that the server has used; 0 where it is not known.
func (s server) cpu() time.Duration {
	var total time.Duration
	for _, pid := range s.pids {
		text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)) // a worker may have ended
		total += cpuOf(string(text))
	}
	return total
}

// cpuOf returns the CPU time in a text of /proc/PID/stat, which is in hundredths of a second.
func cpuOf(stat string) time.Duration {
	fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:]) // the name before it may have spaces
	if len(fields) < 13 {
		return 0
	}
	user, _ := strconv.ParseInt(fields[11], 10, 64)
	system, _ := strconv.ParseInt(fields[12], 10, 64)
	return time.Duration(user+system) * 10 * time.Millisecond
}

// listeners returns the processes of this machine that listen at an address, as far as this process may see.
func listeners(address netip.AddrPort) ([]int, error) {
	sockets := map[string]bool{}
	for _, path := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		table, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		for _, inode := range listening(table, address) {
			sockets["socket:["+inode+"]"] = true
		}
	}
	return holders(sockets)
}

// listening returns the inodes of the sockets in a table of Linux that listen at an address or at all of its family.
func listening(table []byte, address netip.AddrPort) (inodes []string) {
	const listen = "0A"
	for line := range bytes.Lines(table) {
		columns := strings.Fields(string(line)) // sl local_address rem_address st … inode
		if len(columns) < 10 || columns[3] != listen {
			continue
		}
		local, err := parseHexAddress(columns[1])
		if err != nil || local.Port() != address.Port() {
			continue
		}
		if local.Addr().IsUnspecified() || local.Addr().Unmap() == address.Addr() {
			inodes = append(inodes, columns[9])
		}
	}
	return inodes
}

// parseHexAddress reads an address of /proc/net/tcp, such as 0100007F:1F90, whose words have the machine's order
// of bytes.
func parseHexAddress(text string) (netip.AddrPort, error) {
	host, port, _ := strings.Cut(text, ":")
	raw, err := hex.DecodeString(host)
	if err != nil {
		return netip.AddrPort{}, err
	}
	if len(raw)%4 != 0 {
		return netip.AddrPort{}, fmt.Errorf("%q is no address", text)
	}
	for word := range slices.Chunk(raw, 4) {
		binary.BigEndian.PutUint32(word, binary.NativeEndian.Uint32(word))
	}
	number, err := strconv.ParseUint(port, 16, 16)
	if err != nil {
		return netip.AddrPort{}, err
	}
	address, ok := netip.AddrFromSlice(raw)
	if !ok {
		return netip.AddrPort{}, fmt.Errorf("%q is no address", text)
	}
	return netip.AddrPortFrom(address, uint16(number)), nil
}

// holders returns the processes that have one of the sockets.
func holders(sockets map[string]bool) ([]int, error) {
	dirs, err := filepath.Glob("/proc/[0-9]*/fd")
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, dir := range dirs {
		if !holdsOne(dir, sockets) {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(dir)))
		if err != nil {
			return nil, err
		}
		pids = append(pids, pid)
	}
	return pids, nil
}

// holdsOne reports whether a directory of descriptors has one of the sockets. It has none when it is not to be
// read: another account's, or that of a process that has ended.
func holdsOne(dir string, sockets map[string]bool) bool {
	entries, _ := os.ReadDir(dir)
	return slices.ContainsFunc(entries, func(e os.DirEntry) bool {
		link, _ := os.Readlink(filepath.Join(dir, e.Name()))
		return sockets[link]
	})
}

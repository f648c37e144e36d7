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
)

// MemoryReport is by how much memory grew while readers connected, in bytes for each of them. What could not be
// measured is left out.
type MemoryReport struct {
	Processes *int64 `json:"readerProcesses,omitempty"`
	Server    *int64 `json:"server,omitempty"`
	Machine   *int64 `json:"machine,omitempty"` // everything on it: the kernel's part for both ends too
	Missing   string `json:"missing,omitempty"` // why something is left out
}

// memory is what is in use before readers connect.
type memory struct{ processes, server, machine weight }

func weighMemory(processes []int, server netip.AddrPort) memory {
	return memory{
		processes: weigh(func() (int64, error) { return proportional(processes) }),
		server:    weighServer(server),
		machine: weigh(func() (int64, error) {
			free, err := available()
			return -free, err
		}),
	}
}

// weighServer weighs the processes that listen at an address of this machine.
func weighServer(address netip.AddrPort) weight {
	if !address.Addr().IsLoopback() {
		return weight{err: errors.New("the server is not on this machine")}
	}
	pids, err := listeners(address)
	if err != nil {
		return weight{err: err}
	}
	return weigh(func() (int64, error) { return proportional(pids) })
}

// perReader reports the growth since then.
func (m memory) perReader(readers int) MemoryReport {
	var r MemoryReport
	var errs [3]error
	r.Processes, errs[0] = m.processes.growth(readers)
	r.Server, errs[1] = m.server.growth(readers)
	r.Machine, errs[2] = m.machine.growth(readers)
	if err := errors.Join(errs[:]...); err != nil {
		r.Missing = err.Error()
	}
	return r
}

// weight is a use of memory that was measured once, in bytes.
type weight struct {
	measure func() (int64, error)
	before  int64
	err     error // why it cannot be measured
}

func weigh(measure func() (int64, error)) weight {
	before, err := measure()
	return weight{measure, before, err}
}

// growth returns by how much it has grown, for each of n.
func (w weight) growth(n int) (*int64, error) {
	if w.err != nil || n == 0 {
		return nil, w.err
	}
	now, err := w.measure()
	if err != nil {
		return nil, err
	}
	grown := (now - w.before) / int64(n)
	return &grown, nil
}

// proportional returns the memory of processes in bytes: what is theirs alone, and their share of what they share with
// others, which among them is counted once.
func proportional(pids []int) (int64, error) {
	var total int64
	for _, pid := range pids {
		path := fmt.Sprintf("/proc/%d/smaps_rollup", pid)
		size, err := sizeIn(path, "Pss")
		if err != nil {
			return 0, err
		}
		total += size
	}
	return total, nil
}

// available returns the memory of the machine that could be had, in bytes.
func available() (int64, error) { return sizeIn("/proc/meminfo", "MemAvailable") }

// sizeIn returns the size of a name in a file of lines like "Pss:   17 kB", in bytes.
func sizeIn(path, name string) (int64, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if value, is := strings.CutPrefix(line, name+":"); is {
			kb, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
			return kb << 10, err
		}
	}
	return 0, fmt.Errorf("%s has no %s", path, name)
}

// listeners returns the processes of this machine that listen at an address: nginx's master and workers.
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
	holders, err := holders(sockets)
	if err == nil && len(holders) == 0 {
		err = errors.New("its processes are not on this machine, or not ours to look at")
	}
	return holders, err
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

// holders returns the processes that have one of the sockets, as far as this process may see.
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

package bench

import (
	"errors"
	"fmt"
	"os"
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

func weighMemory(processes []int, server server) memory {
	return memory{
		processes: weigh(func() (int64, error) { return proportional(processes) }),
		server:    weigh(server.memory),
		machine: weigh(func() (int64, error) {
			free, err := available()
			return -free, err
		}),
	}
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

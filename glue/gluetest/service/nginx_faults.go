package service

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// Kill ends nginx and all its workers by SIGKILL: a crash of the machine. Start starts it again.
func (n *Nginx) Kill() {
	n.tb.Helper()
	n.signalAll(syscall.SIGKILL)
	<-n.exited
	n.process = nil
	n.client.CloseIdleConnections()
}

// KillWorkers ends nginx's workers by SIGKILL; nginx starts others.
func (n *Nginx) KillWorkers() {
	n.tb.Helper()
	for _, pid := range n.workerIDs() {
		n.signal(pid, syscall.SIGKILL)
	}
}

// Pause stops nginx and its workers where they stand, and Continue lets them go on: a machine that
// hangs.
func (n *Nginx) Pause() {
	n.tb.Helper()
	n.signalAll(syscall.SIGSTOP)
}

// Continue ends Pause.
func (n *Nginx) Continue() {
	n.tb.Helper()
	n.signalAll(syscall.SIGCONT)
}

// signalAll begins with nginx itself, which would replace a worker that ends.
func (n *Nginx) signalAll(signal syscall.Signal) {
	n.tb.Helper()
	workers := n.workerIDs()
	for _, pid := range append([]int{n.process.Process.Pid}, workers...) {
		n.signal(pid, signal)
	}
}

func (n *Nginx) signal(pid int, signal syscall.Signal) {
	n.tb.Helper()
	if err := syscall.Kill(pid, signal); err != nil {
		n.tb.Errorf("send process %d of nginx the signal %v: %v", pid, signal, err)
	}
}

// ProcessIDs returns the process ids of nginx and of its workers, such as for weighing them.
func (n *Nginx) ProcessIDs() []int {
	n.tb.Helper()
	return append([]int{n.process.Process.Pid}, n.workerIDs()...)
}

// workerIDs returns the process ids of nginx's children.
func (n *Nginx) workerIDs() []int {
	n.tb.Helper()
	lists, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", n.process.Process.Pid))
	if err != nil {
		n.tb.Fatalf("find nginx's workers: %v", err)
	}
	var ids []int
	for _, list := range lists {
		text, err := os.ReadFile(list)
		if err != nil {
			n.tb.Fatalf("find nginx's workers: %v", err)
		}
		for field := range strings.FieldsSeq(string(text)) {
			id, err := strconv.Atoi(field)
			if err != nil {
				n.tb.Fatalf("find nginx's workers: %v", err)
			}
			ids = append(ids, id)
		}
	}
	return ids
}

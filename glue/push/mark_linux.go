package push

import (
	"net"
	"syscall"
)

// mark is how many bytes must have come before a connection wakes its reader.
type mark struct {
	conn syscall.RawConn // nil where there is no mark to set
	at   int
}

// newMark returns the mark of a connection, which is at its first byte.
func newMark(conn net.Conn) mark {
	m := mark{at: 1}
	if tcp, ok := conn.(*net.TCPConn); ok {
		m.conn, _ = tcp.SyscallConn() // nil after an error
	}
	return m
}

// set moves the mark to the nth byte that is to come, if it can.
func (m *mark) set(n int) {
	if m.conn == nil || n == m.at {
		return
	}
	var refused error
	err := m.conn.Control(func(fd uintptr) {
		refused = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVLOWAT, n)
	})
	if err == nil && refused == nil {
		m.at = n
	}
}

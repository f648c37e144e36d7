package bench

import (
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The three system calls of a readers' process while messages come. Go's scheduler is not told of them, as it is by
// package unix: it would have another thread stand in for the one that waits, thousands of times a second, which costs
// more than the deliveries. A process of readers has nothing else to run meanwhile.

// readRaw is read(2).
func readRaw(fd int, buffer []byte) (int, error) {
	n, _, errno := unix.RawSyscall(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(&buffer[0])), uintptr(len(buffer)))
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

// epollWaitRaw is epoll_wait(2), with a timeout in milliseconds.
func epollWaitRaw(epoll int, events []unix.EpollEvent, timeout int) (int, error) {
	n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(epoll), uintptr(unsafe.Pointer(&events[0])), uintptr(len(events)), uintptr(timeout), 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

// sleepRaw is nanosleep(2). It sleeps shorter when there is a signal.
func sleepRaw(d time.Duration) {
	t := unix.NsecToTimespec(d.Nanoseconds())
	_, _, _ = unix.RawSyscall(unix.SYS_NANOSLEEP, uintptr(unsafe.Pointer(&t)), 0, 0)
}

//go:build linux && !race

package proxy

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The system calls of the hot path, for sockets that do not block, as all sockets of the runtime's poller. They are done without the
// scheduler's knowledge: it would take the time that a write needs in the kernel for that of a goroutine which blocks, hand its processor to
// another thread and take it back, which costs more than the write.

// readNow reads what is there.
func readNow(fd uintptr, p []byte) (int, error) {
	return transfer(unix.SYS_RECVFROM, fd, p)
}

// writeNow writes what there is room for.
func writeNow(fd uintptr, p []byte) (int, error) {
	return transfer(unix.SYS_SENDTO, fd, p)
}

// transfer calls read or write again if a signal came in between.
func transfer(call, fd uintptr, p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for {
		n, _, errno := syscall.RawSyscall6(call, fd, uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)), 0, 0, 0)
		switch errno {
		case 0:
			return int(n), nil
		case syscall.EINTR:
		default:
			return 0, errno
		}
	}
}

// peekNow looks for something to read and leaves it there.
func peekNow(fd uintptr) error {
	var b [1]byte
	_, _, errno := syscall.RawSyscall6(unix.SYS_RECVFROM, fd, uintptr(unsafe.Pointer(&b[0])), 1, syscall.MSG_PEEK|syscall.MSG_DONTWAIT, 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}

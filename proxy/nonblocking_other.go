//go:build unix && (!linux || race)

package proxy

import "syscall"

// Here the scheduler knows of the system calls of the hot path; the race detector does, too, and learns by them of what happens before what.

// readNow reads what is there.
func readNow(fd uintptr, p []byte) (n int, err error) {
	return transfer(syscall.Read, fd, p)
}

// writeNow writes what there is room for.
func writeNow(fd uintptr, p []byte) (n int, err error) {
	return transfer(syscall.Write, fd, p)
}

// transfer calls read or write again if a signal came in between.
func transfer(call func(int, []byte) (int, error), fd uintptr, p []byte) (int, error) {
	for {
		n, err := call(int(fd), p)
		if err != syscall.EINTR {
			return max(n, 0), err
		}
	}
}

// peekNow looks for something to read and leaves it there.
func peekNow(fd uintptr) error {
	var b [1]byte
	_, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
	return err
}

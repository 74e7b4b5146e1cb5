//go:build unix

package proxy

import (
	"net"
	"syscall"
)

// quiet reports whether an idle connection is still open and has nothing to read. An application that closed it would cost a request
// its answer; bytes that nobody asked for would become the answer to somebody else's request (CVE-2026-71324).
func quiet(c net.Conn) bool {
	sc, ok := c.(syscall.Conn)
	if !ok {
		return true
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return false
	}
	silent := false
	err = raw.Read(func(fd uintptr) bool {
		var b [1]byte
		_, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		silent = err == syscall.EAGAIN || err == syscall.EWOULDBLOCK
		return true
	})
	return err == nil && silent
}

//go:build !unix

package httpclient

import (
	"net"
	"syscall"
)

// A quiet tells whether a connection is open and has nothing to read.
type quiet struct{ socket bool }

func newQuiet(c net.Conn) *quiet {
	_, socket := c.(syscall.Conn)
	return &quiet{socket}
}

// now reports false for a socket: it cannot be told here, so that no connection is used twice.
func (q *quiet) now() bool { return !q.socket }

//go:build !unix

package proxy

import "net"

// A stillness tells whether an idle connection is still open and has nothing to read.
type stillness struct{}

func newStillness(net.Conn) *stillness { return nil }

// send reports false: it cannot be told here, so that no connection is used twice.
func (*stillness) send([]byte) (sent int, quiet bool) { return 0, false }

// reads reports false: there is no other way of reading.
func (*stillness) reads() bool { return false }

func (*stillness) read([]byte) (int, error) { return 0, nil }

//go:build !linux

package proxy

import "net"

// A look tells whether the peer of a connection has closed it.
type look struct{}

func newLook(net.Conn) *look { return nil }

// gone reports false: it cannot be told here.
func (*look) gone() bool { return false }

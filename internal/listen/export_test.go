package listen

import "net"

// NewFront is what makes connections ready, with room for max of them.
func NewFront(ln net.Listener, cfg Config, max int) net.Listener { return newFront(ln, cfg, max) }

// NewSteady is what outlasts errors.
func NewSteady(ln net.Listener, cfg Config) net.Listener { return newSteady(ln, cfg.Logger) }

// BindFault says why an address cannot be bound.
var BindFault = bindFault

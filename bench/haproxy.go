package main

import (
	"fmt"
	"os/exec"
)

// haproxyConfiguration is HAProxy as a plain proxy with one thread: all connections kept, and shared between clients. It has no check of
// its own: the one by Lua opens a connection for each question, which would measure that.
const haproxyConfiguration = `
global
	nbthread 1
	maxconn 25000
	no strict-limits
defaults
	mode http
	timeout connect 5s
	timeout client 90s
	timeout server 60s
	timeout http-keep-alive 90s
	option http-keep-alive
	http-reuse always
frontend all
	bind %[1]s
	http-request return status 200 if { path /ok }
	default_backend app
backend app
	option forwardfor
	http-request set-header X-Forwarded-Host %%[req.hdr(Host)]
	http-request set-header X-Forwarded-Proto http
	server app %[2]s
`

var haproxy = kind{"HAProxy", func(a *arena) (*server, error) {
	binary, err := program("haproxy")
	if err != nil {
		return nil, err
	}
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	file, err := a.write("haproxy.cfg", fmt.Appendf(nil, haproxyConfiguration, address, a.app.address))
	if err != nil {
		return nil, err
	}
	return start(exec.Command(binary, "-q", "-db", "-f", file), address, a.cpus.server)
}}

package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
)

// caddyConfiguration is Caddy as a plain proxy below /assets/, and with forward_auth elsewhere. Caddy remembers no answer: it asks each
// time, here a service that says yes at once and whose own work does not count.
const caddyConfiguration = `
{
	admin off
	auto_https off
	log {
		level ERROR
	}
}
http://:%[1]s {
	bind 127.0.0.1
	handle /assets/* {
		reverse_proxy %[2]s
	}
	handle /ok {
		respond 200
	}
	handle {
		forward_auth %[2]s {
			uri /check
			copy_headers X-User-Id X-User-Email X-User-Name X-Session-Id X-Session-Aal
		}
		reverse_proxy %[2]s
	}
}
`

var caddy = kind{"Caddy", func(a *arena) (*server, error) {
	binary, err := program("caddy")
	if err != nil {
		return nil, err
	}
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	dir, err := a.directory("caddy")
	if err != nil {
		return nil, err
	}
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	file, err := a.write("Caddyfile", fmt.Appendf(nil, caddyConfiguration, port, a.app.address))
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(binary, "run", "--config", file, "--adapter", "caddyfile")
	cmd.Env = append(os.Environ(), "HOME="+dir, "XDG_DATA_HOME="+dir, "XDG_CONFIG_HOME="+dir)
	return start(cmd, address, a.cpus.server)
}}

package listen

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"syscall"
)

// openTCP binds host:port.
func openTCP(address string) (net.Listener, error) {
	ln, err := net.Listen("tcp", address)
	if err != nil {
		return nil, bindFault(address, err)
	}
	return ln, nil
}

// bindFault says why an address cannot be bound, and what to change.
func bindFault(address string, err error) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("address %s is in use by another process: choose another, or stop that process", address)
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("address %s may not be bound by this user: choose a port from 1024 up, give the process CAP_NET_BIND_SERVICE, "+
			"or let systemd pass the socket: %w", address, err)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("address %s is none of this machine's: choose one that it has, or leave the host out for all of them: %w", address, err)
	default:
		return err
	}
}

// socketMode lets the owner and the group of a unix socket connect: a proxy in front usually runs as another user.
const socketMode = 0o660

// openUnix makes the unix socket at path, which is removed when it is closed.
func openUnix(path string) (net.Listener, error) {
	if err := removeStale(path); err != nil {
		return nil, err
	}
	ln, err := net.Listen("unix", path)
	switch {
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("socket %s may not be made by this user: let it write to the directory: %w", path, err)
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("socket %s has no directory to be in: make it: %w", path, err)
	case err != nil:
		return nil, err
	}
	if err := os.Chmod(path, socketMode); err != nil {
		_ = ln.Close()
		return nil, fmt.Errorf("set mode of socket: %w", err)
	}
	return ln, nil
}

// removeStale removes the socket that a process left behind which did not end in order. A socket that somebody serves, and a file that
// is no socket, stay.
func removeStale(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("look at socket: %w", err)
	case info.Mode().Type() != fs.ModeSocket:
		return fmt.Errorf("%s exists and is no socket: move it, or choose another path", path)
	}
	c, err := net.Dial("unix", path)
	if err == nil {
		_ = c.Close()
		return fmt.Errorf("socket %s is served by another process: choose another, or stop that process", path)
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("look at socket: %w", err)
	}
	if err := os.Remove(path); err != nil {
		return fmt.Errorf("remove stale socket: %w", err)
	}
	return nil
}

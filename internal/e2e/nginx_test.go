package e2e

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"syscall"
	"testing"
)

// inheritable returns a socket that listens, for a server to inherit, and its address: whoever connects before the server is there waits.
func inheritable(t testing.TB) (socket *os.File, addr string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close() // of which the socket is a copy
	if socket, err = ln.(*net.TCPListener).File(); err != nil {
		t.Fatal(err)
	}
	return socket, ln.Addr().String()
}

// startNginx runs a real nginx with the directives given in its one server, and returns its address.
func startNginx(t testing.TB, server string) string {
	t.Helper()
	return runNginx(t, func(addr string) string { return fmt.Sprintf("server { listen %s; %s }", addr, server) })
}

// runNginx runs a real nginx that listens where it returns. http returns what is in its http section. It inherits its listening socket, so
// that it can be connected to at once (https://nginx.org/en/docs/control.html#upgrade is what the variable is for).
func runNginx(t testing.TB, http func(addr string) string) string {
	t.Helper()
	path := program(t, "nginx")
	socket, addr := inheritable(t)
	defer socket.Close()

	user := ""
	if os.Getuid() == 0 {
		user = "user root root;" // the worker would be somebody else, who may not write to dir
	}
	dir := t.TempDir()
	conf := fmt.Sprintf(`
		%s daemon off; worker_processes 1; pid %[2]s/pid; error_log stderr crit;
		events { worker_connections 512; }
		http {
			access_log off;
			client_body_temp_path %[2]s/body; proxy_temp_path %[2]s/proxy;
			fastcgi_temp_path %[2]s/fastcgi; uwsgi_temp_path %[2]s/uwsgi; scgi_temp_path %[2]s/scgi;
			%s
		}`, user, dir, http(addr))
	file := write(t, dir, "nginx.conf", conf)
	cmd := exec.Command(path, "-p", dir, "-e", "stderr", "-c", file)
	cmd.Stderr, cmd.Stdout = t.Output(), t.Output()
	cmd.ExtraFiles = []*os.File{socket} // which becomes number 3
	cmd.Env = append(os.Environ(), "NGINX=3;")
	if err := cmd.Start(); err != nil {
		t.Fatalf("start nginx: %v", err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			t.Errorf("nginx ended: %v", err)
		}
	})
	return addr
}

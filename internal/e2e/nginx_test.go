package e2e

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

// startNginx runs a real nginx with the directives given in its one server, and returns its address. It inherits its listening socket,
// so that it can be connected to at once (https://nginx.org/en/docs/control.html#upgrade is what the variable is for).
func startNginx(t *testing.T, server string) string {
	t.Helper()
	path, err := exec.LookPath("nginx")
	if err != nil {
		if path, err = exec.LookPath("/usr/sbin/nginx"); err != nil { // where it is on Debian, which is in the PATH of root only
			t.Fatal("nginx is needed for this test: apt-get install nginx, or run .ci/run")
		}
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	socket, err := ln.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()

	user := ""
	if os.Getuid() == 0 {
		user = "user root root;" // the worker would be somebody else, who may not write to dir
	}
	dir, addr := t.TempDir(), ln.Addr().String()
	conf := fmt.Sprintf(`
		%s daemon off; worker_processes 1; pid %[2]s/pid; error_log stderr crit;
		events { worker_connections 512; }
		http {
			access_log off;
			client_body_temp_path %[2]s/body; proxy_temp_path %[2]s/proxy;
			fastcgi_temp_path %[2]s/fastcgi; uwsgi_temp_path %[2]s/uwsgi; scgi_temp_path %[2]s/scgi;
			server { listen %s; %s }
		}`, user, dir, addr, server)
	file := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
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

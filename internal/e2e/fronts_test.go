package e2e

import (
	"bufio"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

func TestNginx(t *testing.T) {
	front{start: startShippedNginx, outage: 500, ownPages: true}.test(t)
}

func TestCaddy(t *testing.T) {
	front{start: startCaddy, outage: 503}.test(t)
}

func TestHAProxy(t *testing.T) {
	front{start: startHAProxy, outage: 503}.test(t)
}

func TestTraefik(t *testing.T) {
	front{start: startTraefik, outage: 503}.test(t)
}

func startShippedNginx(t testing.TB, p places) string {
	return runNginx(t, func(addr string) string {
		return p.configuration(t, "nginx/gatehouse.conf", "listen 80;", "listen "+addr+";")
	})
}

// startCaddy runs a real Caddy with the configuration in deploy, and waits until it serves.
func startCaddy(t testing.TB, p places) string {
	t.Helper()
	path := program(t, "caddy")
	ln, err := net.Listen("tcp", "127.0.0.1:0") // Caddy inherits no socket, so it has to get a port that is free
	if err != nil {
		t.Fatal(err)
	}
	address := ln.Addr().String()
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(address)
	dir := t.TempDir()
	file := write(t, dir, "Caddyfile", "{\n\tadmin off\n\tauto_https off\n\tdefault_bind 127.0.0.1\n}\n"+
		p.configuration(t, "caddy/Caddyfile", host+" {", "http://"+host+":"+port+" {"))
	cmd := exec.Command(path, "run", "--adapter", "caddyfile", "--config", file)
	cmd.Env = append(os.Environ(), "HOME="+dir, "XDG_DATA_HOME="+dir, "XDG_CONFIG_HOME="+dir)
	launch(t, cmd, "serving initial configuration")
	return address
}

// startHAProxy runs a real HAProxy with the configuration and the script in deploy. It inherits its listening socket, so that it can be
// connected to at once.
func startHAProxy(t testing.TB, p places) string {
	t.Helper()
	path := program(t, "haproxy")
	socket, addr := inheritable(t)
	defer socket.Close()
	dir := t.TempDir()
	script := write(t, dir, "gatehouse.lua", shipped(t, "haproxy/gatehouse.lua"))
	file := write(t, dir, "haproxy.cfg", p.configuration(t, "haproxy/haproxy.cfg", "/etc/haproxy/gatehouse.lua", script, "bind :80", "bind fd@3"))
	cmd := exec.Command(path, "-db", "-f", file)
	cmd.ExtraFiles = []*os.File{socket} // which becomes number 3
	launch(t, cmd, "")
	return addr
}

// startTraefik runs a real Traefik with the configuration in deploy. It inherits its listening socket, as from systemd.
func startTraefik(t testing.TB, p places) string {
	t.Helper()
	// The first time, this takes minutes. make e2e does it before the tests are timed.
	built, err := exec.Command("go", "-C", "traefik", "tool", "-n", "traefik").Output()
	if err != nil {
		t.Fatalf("Traefik cannot be built: %v", err)
	}
	socket, addr := inheritable(t)
	defer socket.Close()
	dir := t.TempDir()
	dynamic := write(t, dir, "gatehouse.yaml", p.configuration(t, "traefik/gatehouse.yaml"))
	static := write(t, dir, "traefik.yaml", shipped(t, "traefik/traefik.yaml", "/etc/traefik/gatehouse.yaml", dynamic)+
		"global: { checkNewVersion: false }\n")
	cmd := exec.Command("sh", "-c", `LISTEN_PID=$$ exec "$0" "$@"`, strings.TrimSpace(string(built)), "--configFile="+static)
	cmd.Env = append(os.Environ(), "LISTEN_FDS=1", "LISTEN_FDNAMES=web")
	cmd.ExtraFiles = []*os.File{socket} // which becomes number 3
	launch(t, cmd, "")
	await(t, addr)
	return addr
}

// await waits until a front proxy knows its routes, so that Gatehouse refuses a request without a session.
func await(t testing.TB, address string) {
	t.Helper()
	http := clientOf(t, address, &atomic.Int64{})
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for range 1500 {
		if resp, err := http.Get("http://" + host + "/"); err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == 401 {
				return
			}
		}
		<-tick.C
	}
	t.Fatal("the front proxy has no route after half a minute")
}

// launch starts a program that runs until the test ends, and waits for it to say that it is ready, unless ready is empty.
func launch(t testing.TB, cmd *exec.Cmd, ready string) {
	t.Helper()
	said, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout = t.Output()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	isReady, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		waiting := ready != ""
		for lines := bufio.NewScanner(said); lines.Scan(); {
			if waiting && strings.Contains(lines.Text(), ready) {
				waiting = false
				close(isReady)
			} else if !strings.Contains(lines.Text(), `"level":"info"`) {
				_, _ = io.WriteString(t.Output(), lines.Text()+"\n")
			}
		}
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		<-ended
		var exit *exec.ExitError
		if err := cmd.Wait(); errors.As(err, &exit) && exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGTERM {
			t.Errorf("%s ended: %v", cmd.Path, err)
		}
	})
	if ready == "" {
		return
	}
	select {
	case <-isReady:
	case <-ended:
		t.Fatalf("%s does not run", cmd.Path)
	}
}

// program returns the path of a program of a Debian package of the same name.
func program(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		if path, err = exec.LookPath("/usr/sbin/" + name); err != nil { // which on Debian is in the PATH of root only
			t.Fatalf("%s is needed for this test: apt-get install %[1]s, or run .ci/run", name)
		}
	}
	return path
}

func write(t testing.TB, dir, name, text string) string {
	t.Helper()
	file := filepath.Join(dir, name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

package listen_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gatehouse-proxy/gatehouse/internal/listen"
)

// asChild is the variable that makes the test binary a process that systemd has started. It holds the addresses that it opens.
const asChild = "LISTEN_TEST_CHILD"

// serveInherited opens addresses, says what came of it, and greets one client on each until its standard input ends.
func serveInherited() {
	systemd, err := listen.Inherit()
	if err != nil {
		fmt.Println("error:", err)
		return
	}
	var all []net.Listener
	for address := range strings.SplitSeq(os.Getenv(asChild), " ") {
		listeners, err := listen.Open(listen.Config{Address: address, Logger: slog.New(slog.DiscardHandler)}, systemd)
		if err != nil {
			fmt.Println("error:", err)
			return
		}
		for _, ln := range listeners {
			fmt.Println(address, "is", ln.Addr())
		}
		all = append(all, listeners...)
	}
	fmt.Println("unused:", systemd.Close())
	again, err := listen.Inherit()
	fmt.Println("left:", os.Getenv("LISTEN_PID")+os.Getenv("LISTEN_FDS")+os.Getenv("LISTEN_FDNAMES"), again.Close(), err)
	for i, ln := range all {
		go func() {
			c, err := ln.Accept()
			if err == nil {
				fmt.Fprint(c, i)
				_ = c.Close()
			}
		}()
	}
	fmt.Println("ready")
	_, _ = io.Copy(io.Discard, os.Stdin)
	for _, ln := range all {
		_ = ln.Close()
	}
}

// activate starts a process with sockets, as systemd would. It returns what the process said until it was ready or had failed.
func activate(t *testing.T, addresses, environment string, sockets ...*os.File) (said string, end func()) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sh", "-c", environment+` exec "$0"`, self) // where $$ is the process that it becomes
	cmd.Env = append(os.Environ(), asChild+"="+addresses, "GORACE=atexit_sleep_ms=0")
	cmd.ExtraFiles = sockets
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var all []string
	for lines := bufio.NewScanner(stdout); lines.Scan() && lines.Text() != "ready"; {
		all = append(all, lines.Text())
	}
	return strings.Join(all, "\n"), func() {
		t.Helper()
		_ = stdin.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("the process ended: %v", err)
		}
	}
}

// socket returns a listening socket as systemd would pass it. It stays open, as systemd's does.
func socket(t *testing.T, network, address string) (*os.File, net.Addr) {
	t.Helper()
	ln, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	f, err := ln.(interface{ File() (*os.File, error) }).File()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f, ln.Addr()
}

// TestSocketActivation holds that sockets are found by their names, that they stay when the process ends, and what is said when they are
// not what is wanted.
func TestSocketActivation(t *testing.T) {
	path := filepath.Join(t.TempDir(), "web.sock")
	tcp, tcpAddr := socket(t, "tcp", "127.0.0.1:0")
	unix, unixAddr := socket(t, "unix", path)
	other, otherAddr := socket(t, "tcp", "127.0.0.1:0")
	const three = "LISTEN_PID=$$ LISTEN_FDS=3 LISTEN_FDNAMES=web:web:other"

	f := func(addresses, environment string, want ...string) {
		t.Helper()
		said, end := activate(t, addresses, environment, tcp, unix, other)
		defer end()
		if said != strings.Join(want, "\n") {
			t.Errorf("%s with %s: the process said\n%s\nwant\n%s", addresses, environment, said, strings.Join(want, "\n"))
		}
	}
	is := func(name string, a net.Addr) string { return fmt.Sprintf("%s is %s", name, a) }
	const nothingLeft = "left:  [] <nil>"
	f("systemd:web", three, is("systemd:web", tcpAddr), is("systemd:web", unixAddr), "unused: [other]", nothingLeft)
	f("systemd:other systemd:web", three, is("systemd:other", otherAddr), is("systemd:web", tcpAddr), is("systemd:web", unixAddr),
		"unused: []", nothingLeft)
	f("systemd", three, is("systemd", tcpAddr), is("systemd", unixAddr), is("systemd", otherAddr), "unused: []", nothingLeft)
	f("systemd", "LISTEN_PID=$$ LISTEN_FDS=1", is("systemd", tcpAddr), "unused: []", nothingLeft)
	f("systemd:unknown", "LISTEN_PID=$$ LISTEN_FDS=1", is("systemd:unknown", tcpAddr), "unused: []", nothingLeft)

	f("systemd:api", three, "error: systemd passed no socket api, only web and other: see FileDescriptorName= in the socket unit")
	const none = "error: systemd passed no socket: start this by its socket unit, or choose another address"
	f("systemd", "", none)
	f("systemd", "LISTEN_PID=1 LISTEN_FDS=3 LISTEN_FDNAMES=web:web:other", none) // for another process
	f("systemd", "LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES=web",
		`error: take over sockets of systemd: LISTEN_FDS="2" does not go with LISTEN_FDNAMES="web"`)
	f("systemd", "LISTEN_PID=$$ LISTEN_FDS=x", `error: take over sockets of systemd: LISTEN_FDS="x" does not go with LISTEN_FDNAMES=""`)
	f("systemd", "LISTEN_PID=$$ LISTEN_FDS=0", `error: take over sockets of systemd: LISTEN_FDS="0" does not go with LISTEN_FDNAMES=""`)

	datagrams, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer datagrams.Close()
	wrong, err := datagrams.File()
	if err != nil {
		t.Fatal(err)
	}
	defer wrong.Close()
	said, end := activate(t, "systemd", "LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=dns", wrong)
	if !strings.HasPrefix(said, "error: take over socket dns of systemd, which must be of ListenStream=") {
		t.Errorf("with a socket for datagrams: the process said %s", said)
	}
	end()

	// Two processes after each other serve the same sockets.
	for range 2 {
		_, end := activate(t, "systemd", three, tcp, unix, other)
		for i, a := range []net.Addr{tcpAddr, unixAddr, otherAddr} {
			client, err := net.Dial(a.Network(), a.String())
			if err != nil {
				t.Fatal(err)
			}
			if b, err := io.ReadAll(client); string(b) != fmt.Sprint(i) {
				t.Errorf("%s: got %q, %v, want %d", a, b, err, i)
			}
			_ = client.Close()
		}
		end()
	}
	if _, err := os.Stat(path); err != nil {
		t.Errorf("the socket of systemd was removed: %v", err)
	}
}

// TestOwnSocket holds that a unix socket which was made here is removed when it is closed.
func TestOwnSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "own.sock")
	for _, relay := range []func(net.Addr) bool{nil, fromBalancer} {
		ln := open(t, listen.Config{Address: "unix:" + path, Relay: relay})
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o660 {
			t.Errorf("the socket has mode %v (%v), want 0660", info.Mode().Perm(), err)
		}
		if err := ln.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
		if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the socket is still there: %v", err)
		}
	}
}

package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

const configuration = `
listen: %s
admin: %s
app: http://127.0.0.1:9
upstream: { kratos: { url: "http://%s" }, timeout: 10s, max_in_flight: %d }
session_cache: { size: %d, fresh_for: 1h }
whoami: { keep_body: %v }
identity_headers:
  X-User-Id: identity.id
  X-User-Email: identity.traits.email
  X-User-Name: identity.traits.name
  X-Session-Id: id
  X-Session-Aal: authenticator_assurance_level
trusted_proxies: [127.0.0.0/8]
limits: { unknown_per_client: 0 }
log: { level: warn }
`

// A gateway is a process of the command of this tree.
type gateway struct {
	dir            string
	keepBody       bool
	inFlight       int
	limit          string // of memory
	address, admin string
	cmd            *exec.Cmd
}

// start runs it before the service, with room for so many sessions, and waits until it serves.
func (g *gateway) start(s *service, size int) error {
	binary := filepath.Join(g.dir, "gatehouse")
	build := exec.Command("go", "build", "-C", "../..", "-o", binary, "./cmd/gatehouse")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		return fmt.Errorf("build gatehouse (million is run in its own directory): %w", err)
	}
	at, err := s.start()
	if err != nil {
		return err
	}
	if g.address, err = freeAddress(); err != nil {
		return err
	}
	if g.admin, err = freeAddress(); err != nil {
		return err
	}
	file := filepath.Join(g.dir, "config.yaml")
	text := fmt.Appendf(nil, configuration, g.address, g.admin, at, g.inFlight, size, g.keepBody)
	if err := os.WriteFile(file, text, 0o600); err != nil {
		return err
	}
	g.cmd = exec.Command(binary, "serve", "--config", file)
	g.cmd.Stderr = os.Stderr
	g.cmd.Env = append(os.Environ(), "GOMEMLIMIT="+g.limit)
	if err := g.cmd.Start(); err != nil {
		return fmt.Errorf("start gatehouse: %w", err)
	}
	for range 1000 { // ten seconds
		if c, err := net.Dial("tcp", g.address); err == nil {
			return c.Close()
		}
		time.Sleep(10 * time.Millisecond)
	}
	g.stop()
	return fmt.Errorf("gatehouse does not accept connections at %s", g.address)
}

func (g *gateway) stop() {
	_ = g.cmd.Process.Kill()
	_ = g.cmd.Wait()
}

// resident returns a figure of /proc/PID/status in MiB, and 0 where there is none.
func (g *gateway) resident(name string) float64 {
	status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", g.cmd.Process.Pid))
	for line := range strings.Lines(string(status)) {
		if fields := strings.Fields(line); len(fields) > 1 && fields[0] == name+":" {
			kib, _ := strconv.ParseFloat(fields[1], 64)
			return kib / 1024
		}
	}
	return 0
}

// cpuTime returns the CPU time that the process has taken, and 0 where the system does not say.
func (g *gateway) cpuTime() time.Duration {
	stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", g.cmd.Process.Pid))
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) < 13 {
		return 0
	}
	user, _ := strconv.ParseInt(fields[11], 10, 64)
	system, _ := strconv.ParseInt(fields[12], 10, 64)
	return time.Duration(user+system) * time.Second / 100 // USER_HZ is 100 on every architecture of Linux
}

// collectGarbage runs the garbage collector of the gateway.
func (g *gateway) collectGarbage() error {
	_, err := g.get("/debug/pprof/heap?gc=1")
	return err
}

// longestPause returns the longest pause for the garbage collector since the gateway began.
func (g *gateway) longestPause() (time.Duration, error) {
	text, err := g.get("/metrics")
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, `go_gc_duration_seconds{quantile="1"} `); ok {
			seconds, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
			return time.Duration(seconds * float64(time.Second)), err
		}
	}
	return 0, err
}

func (g *gateway) get(path string) ([]byte, error) {
	resp, err := http.Get("http://" + g.admin + path)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("get %s: status %s", path, resp.Status)
	}
	return io.ReadAll(bufio.NewReader(resp.Body))
}

func freeAddress() (string, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer ln.Close()
	return ln.Addr().String(), nil
}

package soak

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// The cache is smaller than what goes through it, and its times are short, so that everything it does is done all the time.
const configuration = `
listen: 127.0.0.1:0
admin: 127.0.0.1:0
app: http://%s
upstream: { kratos: { url: "http://%s" }, timeout: 2s }
session_cache: { size: 1000, fresh_for: 1s, stale_for: 4s, negative_for: 1s }
routes:
  - { match: { path: /public/* }, access: public }
  - { match: { path: /optional/* }, access: optional }
  - { match: { path: /* }, access: session }
identity_headers:
  X-User-Id: identity.id
  X-Session-Id: id
trusted_proxies: [127.0.0.1]
log: { level: info, format: json }
shutdown: { timeout: 10s }
`

// A gateway is the command in a process of its own.
type gateway struct {
	t          *testing.T
	cmd        *exec.Cmd
	url, admin string
	client     http.Client // for the admin listener; it keeps no connection
}

// startGateway builds and runs the command. It is built as this test is: with the race detector or without.
func startGateway(t *testing.T, tally *tally, app, service string) *gateway {
	t.Helper()
	dir := t.TempDir()
	binary, file := filepath.Join(dir, "gatehouse"), filepath.Join(dir, "gatehouse.yaml")
	args := []string{"build", "-C", "../../..", "-o", binary}
	if raceEnabled {
		args = append(args, "-race")
	}
	if out, err := exec.Command("go", append(args, "./cmd/gatehouse")...).CombinedOutput(); err != nil {
		t.Fatalf("build gatehouse: %v\n%s", err, out)
	}
	if err := os.WriteFile(file, fmt.Appendf(nil, configuration, app, service), 0o600); err != nil {
		t.Fatal(err)
	}
	g := &gateway{t: t, cmd: exec.Command(binary, "serve", "--config", file)}
	g.client.Transport = &http.Transport{DisableKeepAlives: true}
	stderr, err := g.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := g.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	addresses := make(chan map[string]string, 1)
	read := make(chan struct{})
	go func() {
		defer close(read)
		readLog(stderr, tally, addresses)
	}()
	t.Cleanup(func() {
		_ = g.cmd.Process.Signal(os.Interrupt)
		<-read
		if err := g.cmd.Wait(); err != nil {
			t.Errorf("gateway ended: %v", err)
		}
	})
	select {
	case at := <-addresses:
		g.url, g.admin = "http://"+at["requests"], "http://"+at["administration"]
	case <-read:
		t.Fatal("gateway ended")
	}
	return g
}

// readLog reads the log to its end. It sends the addresses that the gateway listens at, and finds wrong what must never be in a log:
// errors, anything that is no entry, such as a panic or a data race, and credentials.
func readLog(r io.Reader, tally *tally, addresses chan<- map[string]string) {
	found := map[string]string{}
	for lines := bufio.NewScanner(r); lines.Scan(); {
		line := lines.Bytes()
		var entry struct{ Level, Msg, For, Address string }
		if err := json.Unmarshal(line, &entry); err != nil || entry.Level == "ERROR" {
			tally.wrong("log: %s", line)
		}
		if bytes.Contains(line, []byte(tokenPrefix)) || bytes.Contains(line, []byte(cookiePrefix)) {
			tally.wrong("log has a credential: %s", line)
		}
		if entry.Msg == "listening" {
			if found[entry.For] = entry.Address; len(found) == 2 {
				addresses <- found
			}
		}
	}
}

// post sends a command to the admin listener.
func (g *gateway) post(path string, form url.Values) error {
	resp, err := g.client.PostForm(g.admin+path, form)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: status %s", path, resp.Status)
	}
	return nil
}

// A size is what a process holds.
type size struct {
	at         time.Time
	goroutines int
	files      int // descriptors
	resident   int // memory, in KiB
}

func (s size) String() string {
	return fmt.Sprintf("%d goroutines, %d file descriptors, %d KiB resident", s.goroutines, s.files, s.resident)
}

// size measures the gateway. The connection by which it asks is part of what it finds.
func (g *gateway) size() (s size, err error) {
	s.at = time.Now()
	resp, err := g.client.Get(g.admin + "/metrics")
	if err != nil {
		return s, err
	}
	defer resp.Body.Close()
	metrics, err := io.ReadAll(resp.Body)
	if err != nil {
		return s, err
	}
	if s.goroutines, err = number(metrics, "go_goroutines "); err != nil {
		return s, err
	}
	files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", g.cmd.Process.Pid))
	if err != nil {
		return s, err
	}
	s.files = len(files)
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", g.cmd.Process.Pid))
	if err != nil {
		return s, err
	}
	s.resident, err = number(status, "VmRSS:")
	return s, err
}

// number returns the number on the line that begins with name.
func number(text []byte, name string) (int, error) {
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, name); ok {
			return strconv.Atoi(strings.Fields(rest)[0])
		}
	}
	return 0, fmt.Errorf("nothing is said of %s", name)
}

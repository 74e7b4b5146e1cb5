package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// A process is a running gatehouse whose log is read line by line.
type process struct {
	*exec.Cmd
	t   *testing.T
	log *bufio.Scanner

	addresses map[string]string // by what is served there
}

// serveWith starts gatehouse serve with a configuration and additions to the environment, and returns when it serves.
func serveWith(t *testing.T, config string, environ ...string) *process {
	t.Helper()
	dir := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	command := filepath.Join(dir, "gatehouse") // by this name the test binary is the command, see TestMain
	if err := os.Symlink(self, command); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "gatehouse.yaml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	p := &process{Cmd: exec.Command(command, "serve", "--config", file), t: t, addresses: map[string]string{}}
	p.Env = append(os.Environ(), environ...)
	stderr, err := p.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Process.Kill() })
	p.log = bufio.NewScanner(stderr)
	p.await(`"for":"administration"`)
	return p
}

// await reads the log up to a line that holds what is given.
func (p *process) await(what string) {
	p.t.Helper()
	var seen strings.Builder
	for p.log.Scan() {
		seen.WriteString(p.log.Text() + "\n")
		var line struct{ For, Address string }
		if json.Unmarshal(p.log.Bytes(), &line) == nil && line.For != "" {
			p.addresses[line.For] = line.Address
		}
		if strings.Contains(p.log.Text(), what) {
			return
		}
	}
	p.t.Fatalf("the log ended without %s:\n%s", what, seen.String())
}

func (p *process) signal(s os.Signal) {
	p.t.Helper()
	if err := p.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

// exitCode waits for the end.
func (p *process) exitCode() int {
	p.t.Helper()
	for p.log.Scan() { // so that it can write
	}
	err := p.Wait()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return exit.ExitCode()
	}
	if err != nil && !errors.Is(err, io.EOF) {
		p.t.Fatal(err)
	}
	return 0
}

const served = `
listen: 127.0.0.1:0
admin: 127.0.0.1:0
upstream: { kratos: { url: http://127.0.0.1:1 } }
`

// TestSignals holds what the manual says of signals: SIGHUP reloads, SIGTERM ends in order, and a second one ends at once.
func TestSignals(t *testing.T) {
	p := serveWith(t, served)
	p.signal(syscall.SIGHUP)
	p.await("configuration was reloaded")
	p.signal(syscall.SIGTERM)
	if code := p.exitCode(); code != exitOK {
		t.Errorf("got exit code %d after SIGTERM, want %d", code, exitOK)
	}

	p = serveWith(t, served+"shutdown: { delay: 1m }\n")
	p.signal(syscall.SIGINT)
	p.await("shutting down")
	p.signal(syscall.SIGTERM)
	if code := p.exitCode(); code != exitFailed {
		t.Errorf("got exit code %d after a second signal, want %d", code, exitFailed)
	}
}

// TestGarbage holds that much less garbage than memory is allowed when much is held, unless the operator has said something else.
func TestGarbage(t *testing.T) {
	const large = served + "session_cache: { size: 10000000 }\n" // the table that counts who asks for what takes 200 MB, which are never touched
	f := func(environ []string, want func(percent string) bool) {
		t.Helper()
		p := serveWith(t, large, environ...)
		defer p.exitCode()
		defer p.signal(syscall.SIGTERM)
		get(t, "http://"+p.addresses["administration"]+"/debug/pprof/heap?gc=1")
		for t.Context().Err() == nil {
			_, rest, _ := strings.Cut(get(t, "http://"+p.addresses["administration"]+"/metrics"), "\ngo_gc_gogc_percent ")
			if percent, _, _ := strings.Cut(rest, "\n"); want(percent) {
				return
			}
		}
	}
	f([]string{"GOGC=", "GOMEMLIMIT="}, func(percent string) bool { return len(percent) == 2 })
	f([]string{"GOGC=150", "GOMEMLIMIT="}, func(percent string) bool {
		if percent != "150" {
			t.Errorf("garbage may be %s %% of what is held, where GOGC=150 is in the environment", percent)
		}
		return true
	})
}

// TestPaceOfTheOperator holds that nobody looks how much is held if either variable, alone, says how garbage is to be collected.
func TestPaceOfTheOperator(t *testing.T) {
	f := func(gogc, memoryLimit string, want bool) {
		t.Helper()
		p := serveWith(t, served, "GOGC="+gogc, "GOMEMLIMIT="+memoryLimit)
		defer p.exitCode()
		defer p.signal(syscall.SIGTERM)
		goroutines := get(t, "http://"+p.addresses["administration"]+"/debug/pprof/goroutine?debug=1")
		if got := strings.Contains(goroutines, "/internal/garbage.Bound"); got != want {
			t.Errorf("GOGC is %q and GOMEMLIMIT %q: garbage is bounded: %v, want %v", gogc, memoryLimit, got, want)
		}
	}
	f("", "", true)
	f("100", "", false)
	f("", "4GiB", false)
	f("off", "4GiB", false)
}

func get(t *testing.T, url string) string {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s, %v", url, resp.Status, err)
	}
	return string(body)
}

package demo

import (
	"errors"
	"net"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// occupy listens on a free port until the test ends.
func occupy(t *testing.T) (address, port string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	address = ln.Addr().String()
	_, port, _ = net.SplitHostPort(address)
	return address, port
}

func TestFinder(t *testing.T) {
	var f finder
	used, port := occupy(t)
	got, err := f.usual(port)
	if err != nil || got == used || !strings.HasPrefix(got, "127.0.0.1:") {
		t.Errorf("in place of %s got %s, %v", used, got, err)
	}
	if !slices.Equal(f.inUse, []string{port}) {
		t.Errorf("in use: got %v, want %s", f.inUse, port)
	}
	if _, err := net.Listen("tcp", got); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("an address that was found is not held: %v", err)
	}
	if err := f.release(); err != nil {
		t.Fatal(err)
	}
	_, free, _ := net.SplitHostPort(got)
	if again, err := f.usual(free); err != nil || again != got || len(f.inUse) > 1 {
		t.Errorf("a free port was replaced by %s, %v", again, err)
	}
	if err := f.release(); err == nil {
		t.Error("listeners were closed a second time, and no error says so")
	}
}

// TestFinderHolds gives the gateway the usual port of another.
func TestFinderHolds(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := ln.Addr().String()
	_ = ln.Close()
	_, port, _ := net.SplitHostPort(address)
	var f finder
	gateway, err := f.exactly(address)
	if err != nil {
		t.Fatal(err)
	}
	other, err := f.usual(port)
	if err != nil || gateway != address || other == address {
		t.Errorf("got %s and %s, %v", gateway, other, err)
	}
	if err := f.release(); err != nil {
		t.Error(err)
	}
}

func TestChoosePlaces(t *testing.T) {
	f := func(listen string) places {
		t.Helper()
		p, err := choosePlaces(listen)
		if err != nil {
			t.Fatal(err)
		}
		all := []string{p.Gateway, p.Admin, p.Service, p.ServiceAdmin, p.App}
		slices.Sort(all)
		if len(slices.Compact(all)) != 5 {
			t.Errorf("two addresses are the same: %v", p)
		}
		for _, address := range []string{p.Admin, p.Service, p.ServiceAdmin, p.App} {
			if !strings.HasPrefix(address, "127.0.0.1:") {
				t.Errorf("%s is not an address of this machine alone", address)
			}
		}
		return p
	}
	p := f("")
	if !strings.HasPrefix(p.Gateway, "127.0.0.1:") {
		t.Errorf("without being asked to, the gateway listens on %s", p.Gateway)
	}
	for address, usual := range map[string]string{p.Gateway: "8080", p.Admin: "9090", p.Service: "4433", p.ServiceAdmin: "4434", p.App: "3000"} {
		if strings.HasSuffix(address, ":"+usual) == slices.Contains(p.InUse, usual) {
			t.Errorf("%s instead of port %s, although in use are %v", address, usual, p.InUse)
		}
	}
	if p := f("127.0.0.1:0"); len(p.InUse) > 0 {
		t.Errorf("usual ports were tried although any would do: %v", p.InUse)
	}
	if p := f("localhost:0"); !strings.HasPrefix(p.Gateway, "localhost:") || strings.HasSuffix(p.Gateway, ":0") {
		t.Errorf("got %s", p.Gateway)
	}
}

func TestChoosePlacesFails(t *testing.T) {
	f := func(listen string) {
		t.Helper()
		p, err := choosePlaces(listen)
		if err == nil || !strings.Contains(err.Error(), listen) {
			t.Errorf("listen on %q: got %+v, %v", listen, p, err)
		}
	}
	used, _ := occupy(t)
	f(used)
	f("8080")
	f("unix:/run/gatehouse.sock")
	f("127.0.0.1:http:80")
	f("127.0.0.1:99999")
}

func TestGuide(t *testing.T) {
	p := places{Gateway: ":1", Admin: "127.0.0.1:2", Service: "127.0.0.1:3", ServiceAdmin: "127.0.0.1:4", App: "127.0.0.1:5"}
	f := func(inUse []string, want, not string) {
		t.Helper()
		p.InUse = inUse
		b, err := p.guide()
		if err != nil {
			t.Fatal(err)
		}
		got := string(b)
		if !strings.Contains(got, want) || not != "" && strings.Contains(got, not) {
			t.Errorf("got %s", got)
		}
		column := 0
		for line := range strings.Lines(got) {
			// Shells without comments at their prompt would read these as the beginning of something longer.
			if strings.HasPrefix(line, "  #") && strings.ContainsAny(line, "'\"`$(){}[]*?!<>|&;\\") {
				t.Errorf("a comment is not safe to paste: %s", line)
			}
			if strings.ContainsAny(line, "\t") {
				t.Errorf("there is a tab in %q", line)
			}
			if at := strings.Index(line, "http://"); strings.HasPrefix(line, "  gateway") || strings.HasPrefix(line, "  session") {
				if column == 0 {
					column = at
				}
				if at != column {
					t.Errorf("not aligned: %s", line)
				}
			}
		}
		if column == 0 {
			t.Error("no place was found")
		}
	}
	f(nil, "http://127.0.0.1:1 ", "In use")
	f([]string{"8080", "3000"}, "In use by others, and replaced by free ports: 8080, 3000.\n", "")

	const notLed = "Browsers are not led to sign in"
	for gateway, want := range map[string]bool{"localhost:8086": true, "192.0.2.1:8080": true, "127.0.0.1:80": true, "127.0.0.1:8086": false, "[::1]:8080": false} {
		p.Gateway = gateway
		if b, err := p.guide(); err != nil || strings.Contains(string(b), notLed) != want {
			t.Errorf("%s: got %s, %v", gateway, b, err)
		}
	}
}

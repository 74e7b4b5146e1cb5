package demo

import (
	"bytes"
	_ "embed" // of the two templates
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"syscall"
	"text/tabwriter"
	"text/template"

	"github.com/gatehouse-proxy/gatehouse/internal/config"
)

// places are the addresses of everything in a demo, as host:port.
type places struct {
	Gateway, Admin, Service, ServiceAdmin, App string

	InUse []string // the usual ports that could not be had
}

// choosePlaces finds a free address for everything. Listen is as in [Options].
//
// Whoever serves an address binds it again. In between, another process could take it, and then that fails with an error that says so.
func choosePlaces(listen string) (p places, err error) {
	var f finder
	defer func() { err = errors.Join(err, f.release()) }()
	if listen == "" {
		p.Gateway, err = f.usual("8080")
	} else {
		p.Gateway, err = f.exactly(listen)
	}
	if err != nil {
		return p, err
	}
	for _, one := range []struct {
		address *string
		port    string
	}{{&p.Admin, "9090"}, {&p.Service, "4433"}, {&p.ServiceAdmin, "4434"}, {&p.App, "3000"}} {
		if *one.address, err = f.usual(one.port); err != nil {
			return p, err
		}
	}
	p.InUse = f.inUse
	return p, nil
}

// A finder finds free addresses. It holds them all until it is released, so that no two are the same.
type finder struct {
	anyPort bool // nothing has its usual port
	inUse   []string
	held    []net.Listener
}

const loopback = "127.0.0.1"

// ErrAddress is why [Run] has not begun: Options.Listen is no address.
var ErrAddress = errors.New("want host:port with a number as port, such as 127.0.0.1:8080")

// exactly takes an address as a user gives it. Port 0 turns on anyPort.
func (f *finder) exactly(address string) (string, error) {
	host, port, err := net.SplitHostPort(address)
	if _, noNumber := strconv.ParseUint(port, 10, 16); err != nil || noNumber != nil || strings.HasPrefix(address, "unix:") {
		return "", fmt.Errorf("--listen %q: %w", address, ErrAddress)
	}
	f.anyPort = port == "0"
	got, err := f.hold(host, port)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return "", fmt.Errorf("%s is in use by another process: choose another --listen, or leave it out for a port that is free", address)
	case err != nil:
		return "", fmt.Errorf("listen on %s: choose another --listen, such as 127.0.0.1:8080, or leave it out: %w", address, err)
	}
	return got, nil
}

// usual takes a port of this machine, or any other if that one cannot be had.
func (f *finder) usual(port string) (string, error) {
	if !f.anyPort {
		if got, err := f.hold(loopback, port); err == nil {
			return got, nil
		}
		f.inUse = append(f.inUse, port)
	}
	got, err := f.hold(loopback, "0")
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	return got, nil
}

func (f *finder) hold(host, port string) (string, error) {
	ln, err := net.Listen("tcp", net.JoinHostPort(host, port))
	if err != nil {
		return "", err
	}
	f.held = append(f.held, ln)
	_, port, err = net.SplitHostPort(ln.Addr().String())
	return net.JoinHostPort(host, port), err
}

func (f *finder) release() error {
	var errs []error
	for _, ln := range f.held {
		errs = append(errs, ln.Close())
	}
	return errors.Join(errs...)
}

// urlOf returns the URL by which this machine reaches an address that something listens on.
func urlOf(address string) string {
	host, port, _ := net.SplitHostPort(address)
	if ip, err := netip.ParseAddr(host); host == "" || err == nil && ip.IsUnspecified() {
		host = loopback
	}
	return "http://" + net.JoinHostPort(host, port)
}

// Named returns the address of the gateway as all browsers name it that reach it. It returns nothing if that may be another one, as it may
// be for those on other machines.
func (p places) Named() string {
	at, err := netip.ParseAddrPort(p.Gateway)
	if err != nil || !at.Addr().IsLoopback() || at.Port() == 80 || at.Port() == 443 { // ports that are not named
		return ""
	}
	return at.String()
}

//go:embed demo.yaml
var configText string

// config returns the configuration of the gateway.
func (p places) config() (*config.Config, error) {
	text, err := p.fill(configText)
	if err != nil {
		return nil, fmt.Errorf("write configuration of demo: %w", err)
	}
	return config.Parse("demo.yaml", text, nil)
}

//go:embed guide.txt
var guideText string

// guide returns what is printed: what is where, and commands to try it with.
func (p places) guide() ([]byte, error) {
	text, err := p.fill(guideText)
	if err != nil {
		return nil, fmt.Errorf("write guide: %w", err)
	}
	var aligned bytes.Buffer
	w := tabwriter.NewWriter(&aligned, 0, 0, 3, ' ', 0)
	_, _ = w.Write(text) // a Buffer does not fail
	err = w.Flush()
	return aligned.Bytes(), err
}

// fill executes a template on p.
func (p places) fill(text string) ([]byte, error) {
	t, err := template.New("").Funcs(template.FuncMap{"url": urlOf, "join": strings.Join}).Parse(text)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	err = t.Execute(&out, p)
	return out.Bytes(), err
}

package doctor

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

const (
	requestTimeout = 10 * time.Second // for one request, from the first packet to the last
	mostBody       = 256 << 10        // is read of an answer
)

// A field is one header line, as it is sent.
type field struct{ name, value string }

// A request is sent byte for byte. It has no body, and a connection of its own.
type request struct {
	method, target string
	fields         []field // besides Host; a Connection, User-Agent or Accept among them replaces the usual one
	proto          string  // empty means HTTP/1.1
	session        bool    // with the credential
}

// An answer is what came back. Its zero value is none.
type answer struct {
	status  int
	header  http.Header
	body    []byte
	failure string // why there is no status
}

// ok reports whether the request passed.
func (a answer) ok() bool { return a.status >= 200 && a.status < 300 }

// String says what came back in a few words. Nothing that could be secret is in it.
func (a answer) String() string {
	if a.status == 0 {
		return "no answer: " + a.failure
	}
	s := fmt.Sprint(a.status)
	if text := http.StatusText(a.status); text != "" {
		s += " " + text
	}
	if to, err := url.Parse(a.header.Get("Location")); err == nil && to.Path+to.Host != "" {
		where := to.EscapedPath()
		if to.Host != "" {
			where = display(to)
		}
		return s + " to " + where
	}
	return s + ", " + fmt.Sprintf("%d bytes", len(a.body))
}

// wire sends requests that no HTTP client would let through.
type wire struct {
	dialer        net.Dialer
	host, connect string // for the host, connect is connected to, unless it is empty
}

func newWire(o Options) *wire {
	return &wire{net.Dialer{Timeout: requestTimeout}, o.Target.Host, o.Connect}
}

func (w *wire) do(ctx context.Context, host *url.URL, r request, fields []field) answer {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	conn, err := w.dial(ctx, host)
	if err != nil {
		return answer{failure: err.Error()}
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })()
	if _, err := conn.Write(head(host.Host, r, fields)); err != nil {
		return answer{failure: "the connection was closed"}
	}
	return read(conn, r.method)
}

func (w *wire) dial(ctx context.Context, host *url.URL) (net.Conn, error) {
	port := host.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[host.Scheme]
	}
	address := net.JoinHostPort(host.Hostname(), port)
	if w.connect != "" && host.Host == w.host {
		address = w.connect
	}
	if host.Scheme == "https" {
		config := &tls.Config{ServerName: host.Hostname(), NextProtos: []string{"http/1.1"}, MinVersion: tls.VersionTLS12}
		d := tls.Dialer{NetDialer: &w.dialer, Config: config}
		return d.DialContext(ctx, "tcp", address)
	}
	return w.dialer.DialContext(ctx, "tcp", address)
}

// head returns the bytes of a request.
func head(host string, r request, fields []field) []byte {
	proto := r.proto
	if proto == "" {
		proto = "HTTP/1.1"
	}
	usual := []field{
		{"User-Agent", "gatehouse-doctor"},
		{"Accept", "text/html,application/xhtml+xml,*/*;q=0.8"}, // as a browser, so that sign-in redirects are seen
		{"Connection", "close"},
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s %s\r\nHost: %s\r\n", r.method, r.target, proto, host)
	for _, f := range usual {
		if !slices.ContainsFunc(fields, func(own field) bool { return own.name == f.name }) {
			fmt.Fprintf(&b, "%s: %s\r\n", f.name, f.value)
		}
	}
	for _, f := range fields {
		fmt.Fprintf(&b, "%s: %s\r\n", f.name, f.value)
	}
	b.WriteString("\r\n")
	return b.Bytes()
}

// read reads one answer. The errors of the parser quote what was received, and are not passed on.
func read(conn io.Reader, method string) answer {
	buf := bufio.NewReader(io.LimitReader(conn, mostBody+64<<10))
	for {
		resp, err := http.ReadResponse(buf, &http.Request{Method: method})
		if err != nil {
			return answer{failure: "the connection was closed, or what came was no HTTP"}
		}
		if resp.StatusCode >= 100 && resp.StatusCode < 200 && resp.StatusCode != http.StatusSwitchingProtocols {
			continue
		}
		var body []byte
		if resp.StatusCode != http.StatusSwitchingProtocols {
			body, _ = io.ReadAll(io.LimitReader(resp.Body, mostBody)) // half a body is enough to see that there is one
		}
		_ = resp.Body.Close()
		return answer{status: resp.StatusCode, header: resp.Header, body: body}
	}
}

// sent describes a request for a finding. The credential is not in it.
func (r request) sent() []string {
	proto := ""
	if r.proto != "" {
		proto = " " + r.proto
	}
	lines := []string{short(r.method + " " + r.target + proto)}
	for _, f := range r.fields {
		lines = append(lines, short(f.name+": "+f.value))
	}
	if r.session {
		lines = append(lines, "(with the session)")
	}
	return lines
}

// short cuts off what is long and shows what cannot be printed.
func short(s string) string {
	const most = 100
	if len(s) > most {
		s = fmt.Sprintf("%s… (%d bytes)", s[:most], len(s))
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return '?'
		}
		return r
	}, s)
}

package listen_test

import (
	"crypto/tls"
	"encoding/binary"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/pires/go-proxyproto"

	"github.com/gatehouse-proxy/gatehouse/internal/listen"
)

const signature = "\r\n\r\n\x00\r\nQUIT\n"

// block returns a header of version 2: command and version, family and transport, and what follows the length.
func block(command, family byte, rest string) string {
	return signature + string([]byte{command, family}) + string(binary.BigEndian.AppendUint16(nil, uint16(len(rest)))) + rest
}

const (
	local, relay = 0x20, 0x21 // commands

	ipv4 = "\xc6\x33\x64\x07\xcb\x00\x71\x01\x30\x39\x01\xbb" // 198.51.100.7 to 203.0.113.1, port 12345 to 443
	ipv6 = "\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x07" +
		"\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x30\x39\x01\xbb"
	ipv46 = "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\xc6\x33\x64\x07" +
		"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\xcb\x00\x71\x01\x30\x39\x01\xbb"
	tlv = "\x04\x00\x02ab" // PP2_TYPE_NOOP
)

// unix is a block of addresses of unix sockets.
var unix = "/client" + strings.Repeat("\x00", 108-len("/client")) + "/server" + strings.Repeat("\x00", 108-len("/server"))

// TestRelay holds who the peer is after each header, and that what does not begin with one is closed without an answer.
func TestRelay(t *testing.T) {
	f := func(from net.Addr, sent string, wantPeer string) { // "" if the connection is closed
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			m := newMemory()
			ln := listen.NewFront(m, listen.Config{Relay: fromBalancer, Logger: slog.New(slog.DiscardHandler)}, 10)
			defer ln.Close()
			c := m.dial(from)
			defer c.Close()
			go func() {
				_, _ = io.WriteString(c, sent+"GET / HTTP/1.1\r\n")
				_, _ = io.WriteString(c, "Host: a\r\n\r\n")
			}()
			if wantPeer == "" {
				if !isClosed(c) {
					t.Errorf("%q: got an answer, want none", sent)
				}
				return
			}
			got, err := ln.Accept()
			if err != nil {
				t.Fatal(err)
			}
			if peer := got.RemoteAddr().String(); peer != wantPeer {
				t.Errorf("%q: got peer %s, want %s", sent, peer, wantPeer)
			}
			if addr := got.RemoteAddr().(*net.TCPAddr).AddrPort().Addr(); wantPeer == ":0" && addr.IsValid() {
				t.Errorf("%q: got address %s of a peer without", sent, addr)
			}
			const want = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
			b := make([]byte, len(want))
			if _, err := io.ReadFull(got, b); err != nil || string(b) != want {
				t.Errorf("%q: what follows the header is %q, %v", sent, b, err)
			}
			_ = got.Close()
		})
	}
	const nobody = ":0"
	f(balancer, "PROXY TCP4 198.51.100.7 203.0.113.1 12345 443\r\n", "198.51.100.7:12345")
	f(balancer, "PROXY TCP6 2001:db8::7 2001:db8::1 12345 443\r\n", "[2001:db8::7]:12345")
	f(balancer, "PROXY UNKNOWN\r\n", nobody)
	f(balancer, "PROXY UNKNOWN 198.51.100.7 203.0.113.1 12345 443\r\n", nobody)
	f(balancer, block(relay, 0x11, ipv4), "198.51.100.7:12345")
	f(balancer, block(relay, 0x21, ipv6), "[2001:db8::7]:12345")
	f(balancer, block(relay, 0x21, ipv46), "198.51.100.7:12345")
	f(balancer, block(relay, 0x11, ipv4+tlv), "198.51.100.7:12345")
	f(balancer, block(relay, 0x11, ipv4+"\x04\x03\x00"+strings.Repeat("x", 0x300)), "198.51.100.7:12345")
	f(balancer, block(local, 0x00, ""), nobody)
	f(balancer, block(local, 0x00, tlv), nobody)
	f(balancer, block(local, 0x11, ipv4), nobody) // whatever addresses there are
	f(balancer, block(relay, 0x31, unix), nobody)
	f(balancer, block(relay, 0x12, ipv4), nobody) // UDP

	for _, sent := range []string{
		"",
		"PROXY\r\n",
		"PROXY \r\n",
		"PROXY TCP4\r\n",
		"PROXY TCP5 198.51.100.7 203.0.113.1 12345 443\r\n",
		"PROXY TCP4 198.51.100.7 203.0.113.1 12345\r\n",
		"PROXY TCP4 198.51.100.7 203.0.113.1 12345 443 1\r\n",
		"PROXY TCP4  198.51.100.7 203.0.113.1 12345 443\r\n",
		"PROXY TCP4 198.51.100.7 203.0.113.1 12345 443\n",
		"PROXY TCP4 198.51.100.007 203.0.113.1 12345 443\r\n",
		"PROXY TCP4 198.51.100.256 203.0.113.1 12345 443\r\n",
		"PROXY TCP4 198.51.100.7 203.0.113.1 65536 443\r\n",
		"PROXY TCP4 198.51.100.7 203.0.113.1 -1 443\r\n",
		"PROXY TCP4 2001:db8::7 2001:db8::1 12345 443\r\n",
		"PROXY TCP6 198.51.100.7 203.0.113.1 12345 443\r\n",
		"PROXY TCP6 fe80::1%lo 2001:db8::1 12345 443\r\n",
		"PROXY UNKNOWN " + strings.Repeat("x", 107) + "\r\n",
		"proxy TCP4 198.51.100.7 203.0.113.1 12345 443\r\n",
		"\r\nPROXY TCP4 198.51.100.7 203.0.113.1 12345 443\r\n",
		block(0x22, 0x11, ipv4),      // unknown command
		block(0x11, 0x11, ipv4),      // version 1
		block(relay, 0x00, ""),       // names nobody, and is not LOCAL
		block(relay, 0x13, ipv4),     // unknown transport
		block(relay, 0x41, ipv4),     // unknown family
		block(relay, 0x11, ipv4[1:]), // too short
		block(relay, 0x21, ipv4),
		block(relay, 0x11, ipv4+strings.Repeat("x", 5000)), // too long to be believed
		signature[:11] + "\x00",
	} {
		f(balancer, sent, "")
	}

	for _, stranger := range []net.Addr{tcp("198.51.100.7"), tcp("2001:db8::7"), &net.UnixAddr{Net: "unix"}, &net.TCPAddr{}} {
		f(stranger, "", "")
		f(stranger, "PROXY TCP4 198.51.100.7 203.0.113.1 12345 443\r\n", "")
		f(stranger, block(relay, 0x11, ipv4), "")
		f(stranger, block(local, 0x00, ""), "")
	}
}

// TestHealthChecks holds that load balancers which only look whether somebody listens leave nothing in the log.
func TestHealthChecks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		var l log
		ln := listen.NewFront(m, listen.Config{Relay: fromBalancer, Logger: l.logger()}, 10)
		_ = m.dial(balancer).Close()
		silent := m.dial(balancer)
		if !isClosed(silent) {
			t.Error("a silent connection was not closed")
		}
		_ = ln.Close()
		if l.String() != "" {
			t.Errorf("logged: %s", l.String())
		}
	})
}

// TestRelayedTLS holds that both protocols go together, that a handshake may come in one packet with the header, and that a server can end
// its own side first.
func TestRelayedTLS(t *testing.T) {
	a, v := newAuthority(t, "authority"), newVolume(t)
	cert, key := a.issue("server", nil)
	v.write(cert, key, nil)
	secure, err := listen.NewCertificates(slog.New(slog.DiscardHandler), &observer{}).Add("", v.files(tls.NoClientCert))
	if err != nil {
		t.Fatal(err)
	}
	f := func(secure *tls.Config, client func(net.Conn) net.Conn) {
		t.Helper()
		ln := open(t, listen.Config{Address: "127.0.0.1:0", TLS: secure, Relay: func(net.Addr) bool { return true }})
		greet(t, ln, func(c net.Conn) string {
			if _, err := io.WriteString(c, c.RemoteAddr().String()); err != nil {
				return ""
			}
			if err := c.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
				t.Errorf("close write: %v", err)
			}
			b, err := io.ReadAll(c)
			if err != nil || string(b) != "heard" {
				t.Errorf("after the own side was ended: got %q, %v", b, err)
			}
			return ""
		})
		raw, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer raw.Close()
		c := client(&prefixed{raw.(*net.TCPConn), proxyproto.HeaderProxyFromAddrs(2, tcp("198.51.100.7"), tcp("203.0.113.1"))})
		if secure == nil {
			_, _ = c.Write(nil) // sends the header
		}
		if b, err := io.ReadAll(c); err != nil || string(b) != "198.51.100.7:1" {
			t.Errorf("got %q, %v", b, err)
		}
		_, _ = io.WriteString(c, "heard")
		_ = c.(interface{ CloseWrite() error }).CloseWrite()
	}
	f(secure, func(c net.Conn) net.Conn { return tls.Client(c, a.client()) })
	f(nil, func(c net.Conn) net.Conn { return c })
}

// A prefixed connection begins with a header, in one packet with what is written first.
type prefixed struct {
	*net.TCPConn
	header *proxyproto.Header
}

func (c *prefixed) Write(p []byte) (int, error) {
	if c.header == nil {
		return c.TCPConn.Write(p)
	}
	b, err := c.header.Format()
	if err != nil {
		return 0, err
	}
	c.header = nil
	_, err = c.TCPConn.Write(append(b, p...))
	return len(p), err
}

package listen_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-proxy/gatehouse/internal/listen"
)

// secure opens a listener with the files of a volume, and greets every client with the name in its certificate.
func secure(t *testing.T, v *volume, auth tls.ClientAuthType) (address string, certificates *listen.Certificates) {
	t.Helper()
	certificates = listen.NewCertificates(slog.New(slog.DiscardHandler), &observer{})
	cfg, err := certificates.Add("x", v.files(auth))
	if err != nil {
		t.Fatal(err)
	}
	ln := open(t, listen.Config{Address: "127.0.0.1:0", TLS: cfg})
	greet(t, ln, func(c net.Conn) string {
		state := c.(*tls.Conn).ConnectionState()
		if !state.HandshakeComplete {
			return "not ready"
		}
		if len(state.VerifiedChains) > 0 {
			return "hello " + state.VerifiedChains[0][0].Subject.CommonName
		}
		return "hello"
	})
	return ln.Addr().String(), certificates
}

// TestVersions holds that TLS is 1.2 or 1.3, and that HTTP/1.1 is what is spoken in it.
func TestVersions(t *testing.T) {
	a, v := newAuthority(t, "authority"), newVolume(t)
	cert, key := a.issue("server", nil)
	v.write(cert, key, nil)
	address, _ := secure(t, v, tls.NoClientCert)

	f := func(version uint16, offered []string, ok bool, agreed string) {
		t.Helper()
		cfg := a.client()
		cfg.MinVersion, cfg.MaxVersion, cfg.NextProtos = version, version, offered
		greeting, state, err := dial(address, cfg)
		if ok != (err == nil) || ok != (greeting == "hello") {
			t.Errorf("%s with %q: got %q, %v; want success %v", tls.VersionName(version), offered, greeting, err, ok)
		}
		if ok && (state.NegotiatedProtocol != agreed || state.Version != version) {
			t.Errorf("%s with %q: got %s with %q",
				tls.VersionName(version), offered, tls.VersionName(state.Version), state.NegotiatedProtocol)
		}
	}
	f(tls.VersionTLS10, nil, false, "")
	f(tls.VersionTLS11, nil, false, "")
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		f(version, nil, true, "")
		f(version, []string{"http/1.1"}, true, "http/1.1")
		f(version, []string{"h2", "http/1.1"}, true, "http/1.1")
		f(version, []string{"h2"}, false, "")
	}
}

// TestClientCertificates holds who gets in with which certificate.
func TestClientCertificates(t *testing.T) {
	a, other := newAuthority(t, "authority"), newAuthority(t, "other")
	v := newVolume(t)
	cert, key := a.issue("server", nil)
	v.write(cert, key, a.pem())
	pair := func(by *authority, change func(*x509.Certificate)) *tls.Certificate {
		c, err := tls.X509KeyPair(by.issue("alice", change))
		if err != nil {
			t.Fatal(err)
		}
		return &c
	}
	clients := []struct {
		name string
		pair *tls.Certificate
	}{
		{"none", nil},
		{"valid", pair(a, nil)},
		{"of another authority", pair(other, nil)},
		{"expired", pair(a, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) })},
		{"of a server", pair(a, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} })},
	}
	f := func(auth tls.ClientAuthType, want ...string) {
		t.Helper()
		address, _ := secure(t, v, auth)
		for i, client := range clients {
			for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
				cfg := a.client()
				cfg.MaxVersion = version
				// It is presented whatever the server asks for.
				cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
					if client.pair == nil {
						return &tls.Certificate{}, nil
					}
					return client.pair, nil
				}
				if got, _, err := dial(address, cfg); got != want[i] || (err == nil) != (want[i] != "") {
					t.Errorf("%v, certificate %s, %s: got %q, %v; want %q", auth, client.name, tls.VersionName(version), got, err, want[i])
				}
			}
		}
	}
	f(tls.NoClientCert, "hello", "hello", "hello", "hello", "hello")
	f(tls.VerifyClientCertIfGiven, "hello", "hello alice", "", "", "")
	f(tls.RequireAndVerifyClientCert, "", "hello alice", "", "", "")
}

// TestResumption holds that sessions outlive a new certificate, and that nobody gets in by one whose authority is no longer accepted.
func TestResumption(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for _, auth := range []tls.ClientAuthType{tls.VerifyClientCertIfGiven, tls.RequireAndVerifyClientCert} {
			a, clients := newAuthority(t, "authority"), newAuthority(t, "clients")
			v := newVolume(t)
			cert, key := a.issue("server", nil)
			v.write(cert, key, clients.pem())
			address, certificates := secure(t, v, auth)
			alice, err := tls.X509KeyPair(clients.issue("alice", nil))
			if err != nil {
				t.Fatal(err)
			}
			cfg := a.client()
			cfg.MaxVersion, cfg.Certificates, cfg.ClientSessionCache = version, []tls.Certificate{alice}, tls.NewLRUClientSessionCache(1)
			f := func(when, want string, resumed bool) {
				t.Helper()
				got, state, err := dial(address, cfg)
				if got != want || (want == "") != (err != nil) || want != "" && state.DidResume != resumed {
					t.Errorf("%s, %v, %s: got %q, %v, resumed %v; want %q, %v",
						tls.VersionName(version), auth, when, got, err, state.DidResume, want, resumed)
				}
			}
			f("first", "hello alice", false)
			f("second", "hello alice", true)

			cert, key = a.issue("server", nil)
			v.write(cert, key, clients.pem())
			if err := certificates.Reload(); err != nil {
				t.Fatal(err)
			}
			f("with a new certificate", "hello alice", true)

			v.write(cert, key, a.pem())
			if err := certificates.Reload(); err != nil {
				t.Fatal(err)
			}
			want := "" // the client has no certificate that is asked for
			if auth == tls.VerifyClientCertIfGiven {
				want = "hello"
			}
			f("with other authorities", want, false)
		}
	}
}

// TestPlainHTTP holds that a client which speaks HTTP where HTTPS is spoken is told so, and once the operator, and that
// nothing else gets an answer.
func TestPlainHTTP(t *testing.T) {
	a, v := newAuthority(t, "authority"), newVolume(t)
	cert, key := a.issue("server", nil)
	v.write(cert, key, nil)
	certificates, l := listen.NewCertificates(slog.New(slog.DiscardHandler), &observer{}), new(log)
	cfg, err := certificates.Add("x", v.files(tls.NoClientCert))
	if err != nil {
		t.Fatal(err)
	}
	ln := open(t, listen.Config{Address: "127.0.0.1:0", TLS: cfg, Logger: l.logger()})
	greet(t, ln, func(net.Conn) string { return "hello" })
	address := ln.Addr().String()
	f := func(sent, want string) {
		t.Helper()
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := io.WriteString(c, sent); err != nil {
			t.Fatal(err)
		}
		got, _ := io.ReadAll(c) // may end in a reset, since not all was read
		if first, _, _ := bytes.Cut(got, []byte("\r\n")); string(first) != want {
			t.Errorf("%q: got %q, want %q", sent, got, want)
		}
		if _, body, ok := strings.Cut(string(got), "\r\n\r\n"); ok && len(body) != 32 {
			t.Errorf("%q: got a body of %d bytes: %q", sent, len(body), body)
		}
	}
	f("\x00\x00\x00\x00\x00", "")
	f("get /", "")
	if l.String() != "" {
		t.Errorf("the log has %s", l)
	}
	f("GET /s3cr3t", "HTTP/1.1 400 Bad Request")
	f("OPTIONS * HTTP/1.1\r\nHost: a\r\nCookie: s3cr3t\r\n\r\n", "HTTP/1.1 400 Bad Request")
	_ = ln.Close() // and wait for what it does yet
	if out := l.String(); strings.Count(out, "client speaks HTTP where HTTPS is: let it use https://") != 1 ||
		!strings.Contains(out, "address="+address) || strings.Contains(out, "s3cr3t") {
		t.Errorf("the log has %s", out)
	}
}

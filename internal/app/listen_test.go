package app_test

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-proxy/gatehouse/internal/app"
	"github.com/gatehouse-proxy/gatehouse/upstream/upstreamtest"
)

// A certificate is a pair of files that gateways serve TLS with. It is its own authority.
type certificate struct {
	t         *testing.T
	cert, key string // paths
	trusted   *x509.CertPool
}

func newCertificate(t *testing.T, notAfter time.Time) *certificate {
	dir := t.TempDir()
	c := &certificate{t: t, cert: filepath.Join(dir, "tls.crt"), key: filepath.Join(dir, "tls.key"), trusted: x509.NewCertPool()}
	c.renew(notAfter)
	return c
}

// renew writes new files.
func (c *certificate) renew(notAfter time.Time) {
	c.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		c.t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(notAfter.Unix()), Subject: pkix.Name{CommonName: "gatehouse.test"}, DNSNames: []string{"gatehouse.test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: notAfter, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		c.t.Fatal(err)
	}
	keyDER, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		c.t.Fatal(err)
	}
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	c.trusted.AppendCertsFromPEM(cert)
	c.write(c.cert, cert)
	c.write(c.key, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: keyDER}))
}

func (c *certificate) write(path string, data []byte) {
	c.t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		c.t.Fatal(err)
	}
}

// files is what a section tls says of it.
func (c *certificate) files() string {
	return fmt.Sprintf("cert_file: %s, key_file: %s", c.cert, c.key)
}

// shown returns when the certificate ends that is shown at an address.
func (c *certificate) shown(address net.Addr) time.Time {
	c.t.Helper()
	conn, err := tls.Dial("tcp", address.String(), &tls.Config{RootCAs: c.trusted, ServerName: "gatehouse.test"})
	if err != nil {
		c.t.Fatal(err)
	}
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0].NotAfter
}

// through makes requests go through connections made by dial.
func (w *world) through(dial func() (net.Conn, error)) {
	w.client.CloseIdleConnections()
	w.client.Transport = &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return dial() }}
}

// got returns the values of a header in a request that the application has echoed.
func (a answer) got(t *testing.T, name string) []string {
	t.Helper()
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(a.body)))
	if err != nil {
		t.Errorf("the application has echoed no request: %q", a.body)
		return nil
	}
	return r.Header.Values(name)
}

// TestSeveralListeners holds that requests are served in every way in which connections may come in, and that each listener is known for
// what it is.
func TestSeveralListeners(t *testing.T) {
	c := newCertificate(t, time.Now().Add(time.Hour))
	path := filepath.Join(t.TempDir(), "gatehouse.sock")
	w := start(t,
		"listen: [127.0.0.1:0, unix:"+path+", { address: 127.0.0.1:0, tls: { "+c.files()+" } }, "+
			"{ address: 127.0.0.1:0, proxy_protocol: true }]",
		"trusted_proxies: [127.0.0.1, unix]")
	w.service.SignIn(upstreamtest.Login{Token: "known"})
	all := w.app.Addresses(app.Requests)
	if len(all) != 4 {
		t.Fatalf("requests are served at %v, want 4 places", all)
	}
	w.url = "http://gatehouse.test"
	f := func(i int, wrap func(net.Conn) net.Conn) {
		t.Helper()
		w.through(func() (net.Conn, error) {
			conn, err := net.Dial(all[i].Network(), all[i].String())
			if err != nil {
				return nil, err
			}
			return wrap(conn), nil
		})
		for _, face := range faces {
			a := face.ask(w, "X-Session-Token", "known")
			if a.status != http.StatusOK {
				t.Errorf("%s at %s: got status %d, want 200", face.name, all[i], a.status)
			}
			if face.name == "proxy" && strings.Contains(a.body, "X-Forwarded-Proto: https") != (i == 2) {
				t.Errorf("the application behind %s got:\n%s", all[i], a.body)
			}
			if a := face.ask(w); a.status != http.StatusUnauthorized {
				t.Errorf("%s at %s: got status %d without a session, want 401", face.name, all[i], a.status)
			}
		}
		w.client.CloseIdleConnections()
	}
	as := func(conn net.Conn) net.Conn { return conn }
	f(0, as)
	f(1, as)
	f(2, func(conn net.Conn) net.Conn {
		return tls.Client(conn, &tls.Config{RootCAs: c.trusted, ServerName: "gatehouse.test"})
	})
	f(3, func(conn net.Conn) net.Conn {
		_, _ = io.WriteString(conn, "PROXY TCP4 127.0.0.1 127.0.0.1 1 2\r\n") // a front proxy behind a load balancer
		return conn
	})

	if err := w.stop(); err != nil {
		t.Errorf("gateway ended: %v", err)
	}
	for _, a := range all {
		if conn, err := net.Dial(a.Network(), a.String()); err == nil {
			_ = conn.Close()
			t.Errorf("%s is still served", a)
		}
	}
}

// TestTLSOfAll holds that the section tls at the top makes every listener speak TLS that does not say otherwise.
func TestTLSOfAll(t *testing.T) {
	common, own := newCertificate(t, time.Now().Add(time.Hour)), newCertificate(t, time.Now().Add(2*time.Hour))
	w := start(t, "listen: [127.0.0.1:0, { address: 127.0.0.1:0, tls: { "+own.files()+" } }]", "tls: { "+common.files()+" }")
	all := w.app.Addresses(app.Requests)
	common.shown(all[0])
	own.shown(all[1])
}

// TestPeerBehindLoadBalancer holds that behind a load balancer that speaks the PROXY protocol, the peer is who its header names: for the
// application, and for what else the peer says of the client.
func TestPeerBehindLoadBalancer(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gatehouse.sock")
	w := start(t, "listen: [{ address: 127.0.0.1:0, proxy_protocol: true }, unix:"+path+"]",
		"trusted_proxies: [127.0.0.1, 192.0.2.0/24, unix]", "routes: [{ match: { path: /* }, access: public }]")
	f := func(header string, wantForwarded ...string) {
		t.Helper()
		w.through(func() (net.Conn, error) {
			conn, err := net.Dial("tcp", w.app.Address(app.Requests).String())
			if err == nil {
				_, err = io.WriteString(conn, header)
			}
			return conn, err
		})
		a := w.get(w.url, "X-Forwarded-For", "10.6.6.6", "X-Forwarded-Host", "evil.test")
		if got := a.got(t, "X-Forwarded-For"); strings.Join(got, " | ") != strings.Join(wantForwarded, " | ") {
			t.Errorf("%q: the application got X-Forwarded-For %q, want %q", header, got, wantForwarded)
		}
		believed := len(wantForwarded) > 0 && strings.Contains(wantForwarded[0], "10.6.6.6")
		if got := a.got(t, "X-Forwarded-Host"); (strings.Join(got, "") == "evil.test") != believed {
			t.Errorf("%q: the application got X-Forwarded-Host %q", header, got)
		}
		wantStatus := http.StatusForbidden
		if believed {
			wantStatus = http.StatusOK
		}
		if a := faces[2].ask(w); a.status != wantStatus {
			t.Errorf("%q: a question for a decision was answered with %d, want %d", header, a.status, wantStatus)
		}
		w.client.CloseIdleConnections()
	}
	f("PROXY TCP4 198.51.100.7 127.0.0.1 1 2\r\n", "198.51.100.7")
	f("PROXY TCP6 2001:db8::7 2001:db8::1 1 2\r\n", "2001:db8::7")
	f("PROXY TCP4 192.0.2.7 127.0.0.1 1 2\r\n", "10.6.6.6, 192.0.2.7")
	f("PROXY UNKNOWN\r\n")
	f("\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00")
	f("\r\n\r\n\x00\r\nQUIT\n\x20\x11\x00\x0c\xc0\x00\x02\x07\x7f\x00\x00\x01\x00\x01\x00\x02") // LOCAL with a trusted address
}

// TestWhoMayRelay holds that the PROXY protocol is spoken with those in trusted_proxies, and that all others get no answer.
func TestWhoMayRelay(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gatehouse.sock")
	w := start(t, "listen: [{ address: 127.0.0.1:0, proxy_protocol: true }, { address: unix:"+path+", proxy_protocol: true }]",
		"trusted_proxies: [192.0.2.1, unix]", "routes: [{ match: { path: /* }, access: public }]")
	f := func(i int, sent string, want string) {
		t.Helper()
		address := w.app.Addresses(app.Requests)[i]
		conn, err := net.Dial(address.Network(), address.String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, sent+"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
		got, _ := io.ReadAll(conn) // may end in a reset, since not all was read
		if !strings.HasPrefix(string(got), want) || want == "" && len(got) > 0 {
			t.Errorf("%s, %q: got %q, want %q", address, sent, got, want)
		}
	}
	const header = "PROXY TCP4 192.0.2.1 127.0.0.1 1 2\r\n"
	f(0, header, "")
	f(0, "", "")
	f(1, header, "HTTP/1.1 200 OK\r\n")
	f(1, "", "")
	if log := w.log.String(); !strings.Contains(log, "name it in trusted_proxies") {
		t.Error("the log does not say why nobody gets an answer")
	}
}

const (
	certificatesReloaded  = "gatehouse_tls_certificate_last_reload_successful"
	configurationReloaded = "gatehouse_config_last_reload_successful"
)

// TestReloadCertificates holds that certificates and configuration are reloaded together and do not depend on each other.
func TestReloadCertificates(t *testing.T) {
	first := time.Now().Add(time.Hour).Truncate(time.Second).UTC()
	second, third := first.Add(time.Hour), first.Add(2*time.Hour)
	c := newCertificate(t, first)
	w := start(t, "listen: [{ address: 127.0.0.1:0, tls: { "+c.files()+" } }]",
		"routes: [{ name: a, match: { path: /* }, access: public }]")
	address := w.app.Address(app.Requests)
	f := func(when string, wantStatus int, wantShown time.Time, wantMetrics ...string) {
		t.Helper()
		if a := w.do(http.MethodPost, w.admin+"/-/reload", ""); a.status != wantStatus {
			t.Errorf("%s: reload answered %d, want %d: %s", when, a.status, wantStatus, a.body)
		}
		if got := c.shown(address); !got.Equal(wantShown) {
			t.Errorf("%s: the certificate that is shown ends at %v, want %v", when, got, wantShown)
		}
		m := w.get(w.admin + "/metrics").body
		want := `gatehouse_tls_certificate_not_after_timestamp_seconds{listener="127.0.0.1:0"} ` +
			strconv.FormatFloat(float64(wantShown.Unix()), 'g', -1, 64)
		for _, want := range append(wantMetrics, want) {
			if !strings.Contains(m, want+"\n") {
				t.Errorf("%s: the metrics lack %s", when, want)
			}
		}
	}
	const (
		certificatesOK, certificatesBad   = certificatesReloaded + " 1", certificatesReloaded + " 0"
		configurationOK, configurationBad = configurationReloaded + " 1", configurationReloaded + " 0"
	)
	f("nothing new", http.StatusOK, first, certificatesOK, configurationOK)
	c.renew(second)
	f("new certificate", http.StatusOK, second, certificatesOK, configurationOK)

	w.configure(strings.ReplaceAll(w.yaml, "name: a", "name: renamed"))
	c.write(c.key, []byte("nothing"))
	f("wrong key", http.StatusInternalServerError, second, certificatesBad, configurationOK)
	if m := w.get(w.admin + "/metrics").body; !strings.Contains(m, `rule="renamed"`) {
		t.Error("the configuration was not reloaded")
	}

	w.configure(w.yaml, "rotues: []")
	c.renew(third)
	f("wrong configuration", http.StatusInternalServerError, third, certificatesOK, configurationBad)
}

// TestBadCertificate holds that a gateway does not start with a certificate that cannot be loaded, and says which.
func TestBadCertificate(t *testing.T) {
	c := newCertificate(t, time.Now().Add(time.Hour))
	c.write(c.key, []byte("nothing"))
	err := runAt(t, "{ address: 127.0.0.1:0, tls: { "+c.files()+" } }")
	if err == nil || !strings.Contains(err.Error(), c.key) || !strings.Contains(err.Error(), "serve TLS at 127.0.0.1:0") {
		t.Errorf("got error %v", err)
	}
}

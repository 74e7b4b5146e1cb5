package listen_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-proxy/gatehouse/internal/listen"
)

// An authority signs certificates.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// longAgo is before the time at which a synctest bubble begins, which is the year 2000.
var longAgo = time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC)

func newAuthority(t *testing.T, name string) *authority {
	a := &authority{t: t, key: newKey(t)}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name},
		NotBefore: longAgo, NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	a.cert = a.sign(template, template, &a.key.PublicKey)
	return a
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func (a *authority) sign(template, parent *x509.Certificate, key *ecdsa.PublicKey) *x509.Certificate {
	a.t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return cert
}

// issue returns a certificate with its key. change may change what is signed; the subject says which certificate it is.
func (a *authority) issue(name string, change func(*x509.Certificate)) (certPEM, keyPEM []byte) {
	a.t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, DNSNames: []string{"gatehouse.test"},
		NotBefore: longAgo, NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	if change != nil {
		change(template)
	}
	key := newKey(a.t)
	cert := a.sign(template, a.cert, &key.PublicKey)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	return pemOf("CERTIFICATE", cert.Raw), pemOf("PRIVATE KEY", der)
}

func (a *authority) pem() []byte { return pemOf("CERTIFICATE", a.cert.Raw) }

func (a *authority) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return pool
}

func pemOf(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

// A volume is a directory whose files are replaced all at once, as Kubernetes does with Secrets: tls.crt, tls.key and ca.crt are links
// into ..data, which is a link to the directory with the files.
type volume struct {
	t   *testing.T
	dir string
}

func newVolume(t *testing.T) *volume {
	v := &volume{t: t, dir: t.TempDir()}
	for _, name := range []string{"tls.crt", "tls.key", "ca.crt"} {
		if err := os.Symlink(filepath.Join("..data", name), v.path(name)); err != nil {
			t.Fatal(err)
		}
	}
	return v
}

func (v *volume) path(name string) string { return filepath.Join(v.dir, name) }

// files returns the volume as files of a listener.
func (v *volume) files(auth tls.ClientAuthType) listen.Files {
	f := listen.Files{Cert: v.path("tls.crt"), Key: v.path("tls.key"), ClientAuth: auth}
	if auth != tls.NoClientCert {
		f.ClientCA = v.path("ca.crt")
	}
	return f
}

// write replaces all files; nil is a file that is not there.
func (v *volume) write(cert, key, ca []byte) {
	v.t.Helper()
	dir, err := os.MkdirTemp(v.dir, "..")
	if err != nil {
		v.t.Fatal(err)
	}
	for name, data := range map[string][]byte{"tls.crt": cert, "tls.key": key, "ca.crt": ca} {
		if data == nil {
			continue
		}
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			v.t.Fatal(err)
		}
	}
	if err := os.Symlink(filepath.Base(dir), v.path("..data_tmp")); err != nil {
		v.t.Fatal(err)
	}
	if err := os.Rename(v.path("..data_tmp"), v.path("..data")); err != nil {
		v.t.Fatal(err)
	}
}

// An observer remembers what it was told.
type observer struct {
	mu       sync.Mutex
	notAfter map[string]time.Time
	loaded   int // certificates
	ok       bool
}

func (o *observer) CertificateLoaded(listener string, notAfter time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.notAfter == nil {
		o.notAfter = map[string]time.Time{}
	}
	o.notAfter[listener] = notAfter
	o.loaded++
}

func (o *observer) CertificatesReloaded(ok bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.ok = ok
}

// state returns how many certificates were loaded, and whether all is well.
func (o *observer) state() (loaded int, ok bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.loaded, o.ok
}

// A log is what was logged.
type log struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (l *log) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: slog.LevelInfo}))
}

// open opens one listener that ends with the test.
func open(t *testing.T, cfg listen.Config) net.Listener {
	t.Helper()
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	all, err := listen.Open(cfg, &listen.Inherited{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = all[0].Close() })
	return all[0]
}

// greet serves a listener: it tells every client what it knows of it, and ends when the listener does.
func greet(t *testing.T, ln net.Listener, greeting func(net.Conn) string) {
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				if !errors.Is(err, net.ErrClosed) {
					t.Errorf("accept: %v", err)
				}
				return
			}
			_, _ = io.WriteString(c, greeting(c))
			_ = c.Close()
		}
	})
	t.Cleanup(func() {
		_ = ln.Close()
		serving.Wait()
	})
}

// client is how a client of the test authority speaks TLS.
func (a *authority) client() *tls.Config {
	return &tls.Config{RootCAs: a.pool(), ServerName: "gatehouse.test"}
}

// dial makes a connection with TLS and returns the greeting on it. In TLS 1.3 it is only then that a client knows that it was let in.
func dial(address string, cfg *tls.Config) (greeting string, state tls.ConnectionState, err error) {
	c, err := tls.Dial("tcp", address, cfg)
	if err != nil {
		return "", state, err
	}
	defer c.Close()
	b, err := io.ReadAll(c)
	return string(b), c.ConnectionState(), err
}

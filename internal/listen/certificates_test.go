package listen_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-proxy/gatehouse/internal/listen"
)

// TestReloadUnderLoad holds that no handshake fails while certificates are replaced, and that a new one is shown once Reload has returned.
func TestReloadUnderLoad(t *testing.T) {
	a, v := newAuthority(t, "authority"), newVolume(t)
	write := func(generation int) {
		cert, key := a.issue(fmt.Sprintf("server %d", generation), nil)
		v.write(cert, key, nil)
	}
	write(0)
	address, certificates := secure(t, v, tls.NoClientCert)
	shown := func() string {
		_, state, err := dial(address, a.client())
		if err != nil {
			t.Errorf("handshake failed: %v", err)
			return ""
		}
		return state.PeerCertificates[0].Subject.CommonName
	}
	done := make(chan struct{})
	var clients sync.WaitGroup
	for range 4 {
		clients.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
					shown()
				}
			}
		})
	}
	for generation := 1; generation <= 50; generation++ {
		write(generation)
		if err := certificates.Reload(); err != nil {
			t.Error(err)
		}
		if got, want := shown(), fmt.Sprintf("server %d", generation); got != want {
			t.Errorf("after the reload %q is shown, want %q", got, want)
		}
	}
	close(done)
	clients.Wait()
}

// TestBadFiles holds that what cannot be loaded leaves what is there in force, for each listener by itself, and is told.
func TestBadFiles(t *testing.T) {
	a, v, well := newAuthority(t, "authority"), newVolume(t), newVolume(t)
	cert, key := a.issue("server", nil)
	_, otherKey := a.issue("server", nil)
	block, _ := pem.Decode(cert)
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	serial := leaf.SerialNumber
	v.write(cert, key, a.pem())
	well.write(cert, key, nil)
	var o observer
	var l log
	certificates := listen.NewCertificates(l.logger(), &o)
	if _, ok := o.state(); !ok {
		t.Error("it does not count as successful that there is nothing to load")
	}
	if _, err := certificates.Add("well", well.files(tls.NoClientCert)); err != nil {
		t.Fatal(err)
	}
	cfg, err := certificates.Add("bad", v.files(tls.VerifyClientCertIfGiven))
	if err != nil {
		t.Fatal(err)
	}
	ln := open(t, listen.Config{Address: "127.0.0.1:0", TLS: cfg})
	greet(t, ln, func(net.Conn) string { return "hello" })
	f := func(cert, key, ca []byte, want string) {
		t.Helper()
		v.write(cert, key, ca)
		before, _ := o.state()
		err := certificates.Reload()
		if err == nil || !strings.HasPrefix(err.Error(), "listener bad: ") || !strings.Contains(err.Error(), want) ||
			strings.Contains(err.Error(), "listener well") {
			t.Errorf("got error %v, want one of the listener that says %q", err, want)
		}
		if loaded, ok := o.state(); loaded != before+1 || ok {
			t.Errorf("%s: %d certificates were loaded and the outcome is %v, want that of the other listener and false",
				want, loaded-before, ok)
		}
		if _, state, err := dial(ln.Addr().String(), a.client()); err != nil || state.PeerCertificates[0].SerialNumber.Cmp(serial) != 0 {
			t.Errorf("%s: the certificate in force is not the one before: %v", want, err)
		}
		if !strings.Contains(l.String(), want) {
			t.Errorf("the log does not say %q", want)
		}
		for _, secret := range bytes.Split(otherKey, []byte("\n"))[1:3] {
			if strings.Contains(l.String(), string(secret)) {
				t.Error("the log has the key")
			}
		}
	}
	f(cert, otherKey, a.pem(), "private key does not match public key")
	f(cert[:len(cert)/2], key, a.pem(), "failed to find any PEM data in certificate input")
	f(cert, nil, a.pem(), "tls.key: no such file or directory")
	f(cert, []byte{}, a.pem(), "failed to find any PEM data in key input")
	f(cert, cert, a.pem(), "found a certificate rather than a key")
	f(cert, key, []byte("nothing"), "there is no certificate in it")
	f(cert, key, nil, "ca.crt: no such file or directory")

	v.write(cert, key, a.pem())
	if err := certificates.Reload(); err != nil {
		t.Errorf("files that are well again: %v", err)
	}
	if _, ok := o.state(); !ok {
		t.Error("files that are well again do not count as such")
	}
	v.write(cert, otherKey, a.pem())
	if _, err := certificates.Add("new", v.files(tls.NoClientCert)); err == nil {
		t.Error("a listener was added whose files cannot be loaded")
	}
}

// TestWatch holds that files are loaded soon after they have changed, however they are replaced, and only then.
func TestWatch(t *testing.T) {
	a, v := newAuthority(t, "authority"), newVolume(t)
	synctest.Test(t, func(t *testing.T) {
		var o observer
		var l log
		certificates := listen.NewCertificates(l.logger(), &o)
		first, firstKey := a.issue("server", nil)
		second, secondKey := a.issue("server", nil)
		v.write(first, firstKey, nil)
		if _, err := certificates.Add(":443", v.files(tls.NoClientCert)); err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		var watching sync.WaitGroup
		watching.Go(func() { certificates.Watch(ctx) })
		f := func(when string, wantLoaded int, wantOK bool, wantErrors int) {
			t.Helper()
			time.Sleep(15 * time.Second)
			synctest.Wait()
			if loaded, ok := o.state(); loaded != wantLoaded || ok != wantOK {
				t.Errorf("%s: %d certificates were loaded and the outcome is %v, want %d and %v", when, loaded, ok, wantLoaded, wantOK)
			}
			if got := strings.Count(l.String(), "certificate was not loaded"); got != wantErrors {
				t.Errorf("%s: %d errors were logged, want %d", when, got, wantErrors)
			}
		}
		f("no change", 1, true, 0)
		v.write(second, secondKey, nil)
		f("new pair", 2, true, 0)
		v.write(second, secondKey, nil)
		f("the same pair in new files", 2, true, 0)
		v.write(second, firstKey, nil)
		f("wrong pair", 2, false, 1)
		f("still wrong", 2, false, 1)
		v.write(nil, nil, nil)
		f("no files", 2, false, 2)
		f("still none", 2, false, 2)
		v.write(second, secondKey, nil)
		f("as before", 3, true, 2)
		stop()
		watching.Wait()
	})
}

// TestExpired holds that a certificate that has expired is told of, and used: whether that will do is for clients to say.
func TestExpired(t *testing.T) {
	a, v := newAuthority(t, "authority"), newVolume(t)
	past := time.Now().Add(-time.Minute).Truncate(time.Second)
	cert, key := a.issue("server", func(c *x509.Certificate) { c.NotAfter = past })
	v.write(cert, key, nil)
	var o observer
	var l log
	if _, err := listen.NewCertificates(slog.New(slog.NewTextHandler(&l, nil)), &o).Add(":443", v.files(tls.NoClientCert)); err != nil {
		t.Fatal(err)
	}
	if !o.notAfter[":443"].Equal(past) || !strings.Contains(l.String(), "certificate has expired") {
		t.Errorf("got %v and the log %q, want %v", o.notAfter, l.String(), past)
	}
}

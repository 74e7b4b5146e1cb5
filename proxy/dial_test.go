package proxy

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// testConfig is for an application at address.
func testConfig(network, address string) AppConfig {
	return AppConfig{
		Network: network, Address: address, MaxConns: 4, Observer: deaf{},
		DialTimeout: time.Minute, ConnWait: time.Minute, HeadTimeout: time.Minute, IdleTimeout: time.Minute,
		KeepAlive: time.Minute, MaxAge: time.Minute, LookEvery: time.Minute,
	}
}

// listenTCP returns a listener on loopback that gives up in the end.
func listenTCP(t *testing.T) *net.TCPListener {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	_ = ln.(*net.TCPListener).SetDeadline(time.Now().Add(20 * time.Second))
	return ln.(*net.TCPListener)
}

// names is a resolver that answers every question with the addresses of the moment.
type names struct {
	addresses atomic.Pointer[[]string]
	asked     atomic.Int32
}

func (n *names) lead(addresses ...string) { n.addresses.Store(&addresses) }

// resolver returns the resolver that asks n.
func (n *names) resolver(t *testing.T) *net.Resolver {
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { _ = pc.Close(); <-done })
	go func() {
		defer close(done)
		buf := make([]byte, 512)
		for {
			size, peer, err := pc.ReadFrom(buf)
			if err != nil {
				return
			}
			_, _ = pc.WriteTo(n.answer(buf[:size]), peer)
		}
	}()
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", pc.LocalAddr().String())
	}}
}

// answer answers one question (RFC 1035 section 4.1): with A records if it is for them, and with none if it is for others.
func (n *names) answer(q []byte) []byte {
	end := 12
	for q[end] != 0 {
		end += int(q[end]) + 1
	}
	end += 5
	a := slices.Clone(q[:end])
	a[2], a[3] = 0x81, 0x80                                 // an answer without error
	a[6], a[7], a[8], a[9], a[10], a[11] = 0, 0, 0, 0, 0, 0 // counts of records
	if isA := q[end-4] == 0 && q[end-3] == 1; isA {
		n.asked.Add(1)
		for _, address := range *n.addresses.Load() {
			a = append(a, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4)
			a = append(a, net.ParseIP(address).To4()...)
			a[7]++
		}
	}
	return a
}

// Each new connection resolves the name, every address is tried, and no connection outlives MaxAge.
func TestConnectionsFollowTheName(t *testing.T) {
	ln := listenTCP(t)
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	var dns names
	cfg := testConfig("tcp", net.JoinHostPort("app.test.", port))
	a := NewApp(cfg)
	defer a.Close()
	a.dialer.Resolver = dns.resolver(t)
	reach := func(addresses ...string) error {
		dns.lead(addresses...)
		c, _, err := a.get(t.Context(), nil, true, nil)
		if err != nil {
			return err
		}
		a.drop(c)
		peer, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		_ = peer.Close()
		return nil
	}
	const nobody = "127.0.0.2" // nothing listens there
	for _, addresses := range [][]string{{"127.0.0.1"}, {nobody, "127.0.0.1"}, {"127.0.0.1", nobody}} {
		if err := reach(addresses...); err != nil {
			t.Errorf("%v: %v", addresses, err)
		}
	}
	if err := reach(nobody); err == nil {
		t.Error("reached where the name no longer leads")
	}
	if n := dns.asked.Load(); n != 4 {
		t.Errorf("asked %d times for 4 connections", n)
	}
}

func TestOldConnectionsAreNotKept(t *testing.T) {
	ln := listenTCP(t)
	a := NewApp(testConfig("tcp", ln.Addr().String()))
	defer a.Close()
	f := func(age time.Duration, kept bool) {
		t.Helper()
		c, _, err := a.get(t.Context(), nil, true, nil)
		if err != nil {
			t.Fatal(err)
		}
		c.born = c.born.Add(-age)
		a.put(c)
		if got := a.popIdle() == c; got != kept {
			t.Errorf("kept is %v at the age of %s", got, age)
		}
		_ = c.Close()
	}
	f(0, true)
	f(59*time.Second, true)
	f(time.Minute, false)
}

// After failures in a row nobody waits for a connection that does not come, and a success ends that.
func TestAppThatIsDownFailsAtOnce(t *testing.T) {
	ln := listenTCP(t)
	address := ln.Addr().String()
	_ = ln.Close()
	a := NewApp(testConfig("tcp", address))
	defer a.Close()
	for range failuresUntilDown {
		if _, _, err := a.get(t.Context(), nil, false, nil); err == nil || errors.Is(err, errDown) || len(a.slots) != 0 {
			t.Fatalf("%v, %d places in use", err, len(a.slots))
		}
	}
	if !a.Down() {
		t.Error("not down")
	}
	a.health.retryAt = time.Now().Add(time.Hour)
	if _, _, err := a.get(t.Context(), nil, false, nil); !errors.Is(err, errDown) || len(a.slots) != 0 {
		t.Errorf("%v, %d places in use", err, len(a.slots))
	}

	again, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	a.health.retryAt = time.Time{}
	c, _, err := a.get(t.Context(), nil, false, nil)
	if err != nil || a.Down() {
		t.Fatalf("%v, down %v", err, a.Down())
	}
	a.drop(c)
}

// A connection attempt that was given up is no failure of the application.
func TestGivenUpAttemptsDoNotCount(t *testing.T) {
	a := NewApp(testConfig("tcp", listenTCP(t).Addr().String()))
	defer a.Close()
	over, cancel := context.WithCancel(t.Context())
	cancel()
	for range 2 * failuresUntilDown {
		if _, err := a.dial(over); err == nil {
			t.Fatal("connected")
		}
	}
	if a.Down() {
		t.Error("down")
	}
}

// A panic while connecting costs no place and says nothing of the application, and the next one tries.
func TestPanicWhileConnecting(t *testing.T) {
	cert, pool := SelfSigned(t)
	ln := tls.NewListener(listenTCP(t), &tls.Config{Certificates: []tls.Certificate{cert}})
	var served sync.WaitGroup
	served.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			served.Go(func() {
				_, _ = io.Copy(io.Discard, c)
				_ = c.Close()
			})
		}
	})
	defer served.Wait()
	defer ln.Close()
	cfg := testConfig("tcp", ln.Addr().String())
	panics := true
	cfg.TLS = &tls.Config{RootCAs: pool, ServerName: "127.0.0.1", VerifyConnection: func(tls.ConnectionState) error {
		if panics {
			panic("on purpose")
		}
		return nil
	}}
	a := NewApp(cfg)
	defer a.Close()
	get := func() (c *appConn, err error) {
		defer func() {
			if recover() != nil {
				err = errUnended
			}
		}()
		c, _, err = a.get(t.Context(), nil, false, nil)
		return c, err
	}
	for range 2 * failuresUntilDown {
		if _, err := get(); !errors.Is(err, errUnended) || len(a.slots) != 0 || a.Down() {
			t.Errorf("%v, %d places in use, down %v", err, len(a.slots), a.Down())
		}
	}
	a.health.failures = failuresUntilDown
	for range 2 {
		if _, err := get(); !errors.Is(err, errUnended) || !a.Down() || len(a.slots) != 0 {
			t.Errorf("%v, down %v, %d places in use", err, a.Down(), len(a.slots))
		}
	}
	panics = false
	c, err := get()
	if err != nil || a.Down() {
		t.Fatalf("%v, down %v", err, a.Down())
	}
	a.drop(c)
}

// authority makes certificates.
type authority struct {
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
	pool *x509.CertPool
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{pool: x509.NewCertPool()}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign,
	}
	pair := a.sign(t, template)
	a.cert, a.key = pair.Leaf, pair.PrivateKey.(*ecdsa.PrivateKey)
	a.pool.AddCert(a.cert)
	return a
}

// issue makes a certificate for a name or an address.
func (a *authority) issue(t *testing.T, name string) tls.Certificate {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(2), NotAfter: time.Now().Add(time.Hour)}
	if ip := net.ParseIP(name); ip != nil {
		template.IPAddresses = []net.IP{ip}
	} else {
		template.DNSNames = []string{name}
	}
	return a.sign(t, template)
}

func (a *authority) sign(t *testing.T, template *x509.Certificate) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// SelfSigned returns a certificate for 127.0.0.1 and who vouches for it.
func SelfSigned(t *testing.T) (tls.Certificate, *x509.CertPool) {
	own := newAuthority(t)
	return own.issue(t, "127.0.0.1"), own.pool
}

// A connection with TLS is used again while it is still, and not when there is something to read: on the socket, or inside of TLS, which has
// read ahead. Session tickets, which TLS sends unasked, are no reason against it.
func TestIdleTLSConnections(t *testing.T) {
	own := newAuthority(t)
	ln := listenTCP(t)
	cfg := testConfig("tcp", ln.Addr().String())
	cfg.TLS = &tls.Config{RootCAs: own.pool, ServerName: "app.test", MinVersion: tls.VersionTLS12}
	a := NewApp(cfg)
	defer a.Close()
	f := func(name string, version uint16, reused bool, meanwhile func(*tls.Conn)) {
		t.Helper()
		peers := make(chan *tls.Conn, 1)
		go func() {
			nc, err := ln.Accept()
			if err != nil {
				close(peers)
				return
			}
			peer := tls.Server(nc, &tls.Config{Certificates: []tls.Certificate{own.issue(t, "app.test")}, MaxVersion: version})
			_ = peer.Handshake()
			peers <- peer
		}()
		c, _, err := a.get(t.Context(), nil, true, nil)
		if err != nil {
			t.Fatal(err)
		}
		peer := <-peers
		defer peer.Close()
		answered := make(chan struct{})
		go func() {
			defer close(answered)
			_, _ = io.ReadFull(peer, make([]byte, 4))
			meanwhile(peer)
		}()
		_, _ = c.Write([]byte("ping"))
		if _, err := io.ReadFull(c.r, make([]byte, 4)); err != nil {
			t.Fatal(err)
		}
		<-answered
		if c.r.Buffered() > 0 {
			c.r.Reset(c) // what TLS still holds is what this is about
		}
		a.put(c)
		next := a.popIdle()
		if next != c {
			t.Fatal("not kept")
		}
		if _, got := a.reuse(next, []byte("ping")); got != reused {
			t.Errorf("%s: reused is %v", name, got)
		}
		_ = next.Close()
	}
	say := func(c *tls.Conn, words ...string) {
		for _, w := range words {
			_, _ = c.Write([]byte(w))
		}
	}
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		f("nothing", version, true, func(c *tls.Conn) { say(c, "pong") })
		f("stray record", version, false, func(c *tls.Conn) { say(c, "pong", "stray") })
		f("closed", version, false, func(c *tls.Conn) { say(c, "pong"); _ = c.Close() })
	}
}

// drained sees what TLS has read ahead, although the socket is empty.
func TestDrainedLooksIntoTLS(t *testing.T) {
	own := newAuthority(t)
	near, far := net.Pipe()
	defer near.Close()
	defer far.Close()
	gathered := &gather{Conn: far}
	peer := tls.Server(gathered, &tls.Config{Certificates: []tls.Certificate{own.issue(t, "app.test")}})
	go func() {
		_, _ = io.ReadFull(peer, make([]byte, 4))
		gathered.hold = true
		_, _ = peer.Write([]byte("pong"))
		_, _ = peer.Write([]byte("stray"))
		_, _ = far.Write(gathered.held)
	}()
	secured := tls.Client(near, &tls.Config{RootCAs: own.pool, ServerName: "app.test"})
	c := newAppConn(secured, time.Minute)
	if _, err := c.Write([]byte("ping")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(c, make([]byte, 4)); err != nil {
		t.Fatal(err)
	}
	if c.drained() {
		t.Error("the stray record was not seen")
	}
}

// A gather holds back what is written, if it is told to.
type gather struct {
	net.Conn
	hold bool
	held []byte
}

func (g *gather) Write(p []byte) (int, error) {
	if g.hold {
		g.held = append(g.held, p...)
		return len(p), nil
	}
	return g.Conn.Write(p)
}

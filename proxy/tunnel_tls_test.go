package proxy

import (
	"crypto/tls"
	"maps"
	"net"
	"slices"
	"testing"
	"time"
)

// An application that reads nothing any more keeps no tunnel open: TLS would wait for it to take a goodbye, and whoever ends a tunnel holds
// the lock of all.
func TestTunnelEndsWithoutGoodbye(t *testing.T) {
	cert, pool := SelfSigned(t)
	watch(t, "revoked", 0, func(w *watched) {
		near, far := net.Pipe()
		shaken := make(chan error)
		go func() {
			shaken <- tls.Server(far, &tls.Config{Certificates: []tls.Certificate{cert}, MaxVersion: tls.VersionTLS12}).Handshake()
		}()
		app := tls.Client(near, &tls.Config{RootCAs: pool, ServerName: "127.0.0.1"})
		if err := app.Handshake(); err != nil {
			t.Fatal(err)
		}
		if err := <-shaken; err != nil {
			t.Fatal(err)
		}
		client := w.openTo(app, false)
		w.tunnels.mu.Lock()
		open := slices.Collect(maps.Keys(w.tunnels.open))
		w.tunnels.mu.Unlock()
		began := time.Now()
		open[0].end(EndedByRevocation)
		if took := time.Since(began); took > 0 {
			t.Errorf("waited for %v", took)
		}
		if <-client.rest; time.Since(began) > 0 {
			t.Errorf("the client learnt of it after %v", time.Since(began))
		}
		if why := <-w.ended; why != EndedByRevocation {
			t.Errorf("ended: %v", why)
		}
	})
}

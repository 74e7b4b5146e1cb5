package pipe_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"testing"
	"testing/synctest"

	"github.com/gatehouse-proxy/gatehouse/internal/pipe"
)

// TestServe tests that a server of net/http can be reached by a client of it, and ends with its listener.
func TestServe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := pipe.New()
		server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.URL.Path) })}
		ended := make(chan error, 1)
		go func() { ended <- server.Serve(l) }()
		transport := &http.Transport{DialContext: l.Dial}
		for _, path := range []string{"/a", "/b"} {
			resp, err := (&http.Client{Transport: transport}).Get("http://nowhere.test" + path)
			if err != nil {
				t.Fatal(err)
			}
			if body, err := io.ReadAll(resp.Body); err != nil || string(body) != path {
				t.Errorf("%s: %q, %v", path, body, err)
			}
			_ = resp.Body.Close()
		}
		transport.CloseIdleConnections()
		if err := server.Close(); err != nil {
			t.Error(err)
		}
		if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("Serve: %v", err)
		}
		if _, err := l.Dial(t.Context(), "", ""); !errors.Is(err, net.ErrClosed) {
			t.Errorf("dial a listener that is closed: %v", err)
		}
	})
}

// TestDialEnds tests that nobody waits longer than they want for a server that accepts nothing.
func TestDialEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := pipe.New()
		defer l.Close()
		ctx, cancel := context.WithCancel(t.Context())
		dialed := make(chan error, 1)
		go func() { _, err := l.Dial(ctx, "", ""); dialed <- err }()
		synctest.Wait()
		cancel()
		if err := <-dialed; !errors.Is(err, context.Canceled) {
			t.Errorf("dial that waited: %v", err)
		}
		if _, err := l.Dial(ctx, "", ""); !errors.Is(err, context.Canceled) {
			t.Errorf("dial too late: %v", err)
		}
	})
}

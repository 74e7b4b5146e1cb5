package proxy_test

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path"
	"strings"
	"sync"
	"testing"
	"time"
)

// Whatever a client without a session sends, the application sees only requests for what is open to everybody, as net/http reads them,
// and none with an identity.
func FuzzServer(f *testing.F) {
	for _, seed := range []string{
		"GET /x HTTP/1.1\r\nHost: a\r\n\r\n", "GET /public/x HTTP/1.1\r\nHost: a\r\nX-User-Id: root\r\n\r\n",
		"POST /public/x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhelloGET /x HTTP/1.1\r\nHost: a\r\n\r\n",
		"POST /public/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n" +
			"GET /public/y HTTP/1.1\r\nHost: a\r\n\r\n",
		"POST /public/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
		"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 44\r\n\r\nGET /public/../x HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET /public/..%2fx HTTP/1.1\r\nHost: a\r\n\r\n",
		"PUT /optional/x HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello",
		"GET /public/x HTTP/1.1\r\nHost: a\r\nX-A: b\r\n X-User-Id: root\r\n\r\n",
		"GET /public/x HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\nGET /x HTTP/1.0\r\n\r\n",
		"GET /sessions/whoami HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n", "GET http://a/x HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET /public/x HTTP/1.1\r\nHost: a\nX-A: b\r\n\r\n",
		"POST /public/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: X-User-Id\r\n\r\n0\r\nX-User-Id: root\r\n\r\n",
		"\r\n\r\nGET /public/x HTTP/1.1\r\nHost: a\r\n\r\n",
	} {
		f.Add([]byte(seed))
	}
	var mu sync.Mutex
	var bad []string
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, err := io.Copy(io.Discard, r.Body)
		clean := path.Clean(r.URL.Path) + "/"
		if err == nil && !strings.HasPrefix(clean, "/public/") && !strings.HasPrefix(clean, "/optional/") ||
			r.Header["X-User-Id"] != nil || r.Trailer["X-User-Id"] != nil {
			mu.Lock()
			bad = append(bad, r.Method+" "+r.RequestURI)
			mu.Unlock()
		}
	}))
	f.Cleanup(app.Close)
	g := newGateway(f, app.Listener)
	f.Fuzz(func(t *testing.T, sent []byte) {
		nc, err := net.Dial(g.network, g.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = nc.Close() }()
		_ = nc.SetDeadline(time.Now().Add(patience))
		_, _ = nc.Write(sent)
		_ = nc.(*net.TCPConn).CloseWrite()
		if _, err := io.Copy(io.Discard, nc); isTimeout(err) {
			t.Errorf("%q: no end of the connection", sent)
		}
		mu.Lock()
		defer mu.Unlock()
		if bad != nil {
			t.Errorf("%q: the application saw %q", sent, bad)
			bad = nil
		}
	})
}

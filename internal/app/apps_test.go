package app_test

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// newSite starts an application that says its name and by which connection it was asked. change may alter the server before it starts.
func newSite(t *testing.T, name string, change func(*httptest.Server)) *httptest.Server {
	t.Helper()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		client := ""
		if r.TLS != nil {
			client = fmt.Sprint(" tls ", r.TLS.ServerName, " ", r.TLS.NegotiatedProtocol, " ", len(r.TLS.PeerCertificates))
		}
		_, _ = fmt.Fprintf(rw, "%s %s by %s%s", name, r.Host, r.RemoteAddr, client)
	}))
	if change != nil {
		change(s)
	}
	if s.TLS != nil {
		s.StartTLS()
	} else {
		s.Start()
	}
	t.Cleanup(s.Close)
	return s
}

// TestSeveralApplications holds that each route leads to its own application, by whichever way, and that applications appear and vanish with a
// reload while the connections to the others stay.
func TestSeveralApplications(t *testing.T) {
	cert := newCertificate(t, time.Now().Add(time.Hour))
	stranger := newCertificate(t, time.Now().Add(time.Hour))
	plain := newSite(t, "plain", nil)
	secured := newSite(t, "secured", func(s *httptest.Server) {
		pair, err := tls.LoadX509KeyPair(cert.cert, cert.key)
		if err != nil {
			t.Fatal(err)
		}
		s.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: cert.trusted}
	})
	path := filepath.Join(t.TempDir(), "app.sock")
	newSite(t, "socket", func(s *httptest.Server) {
		ln, err := net.Listen("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		_ = s.Listener.Close()
		s.Listener = ln
	})

	route := func(path, app string) string {
		if app != "" {
			app = ", app: " + app
		}
		return "{ match: { path: " + path + " }, access: public" + app + " }"
	}
	https := func(more string) string { return "{ url: " + secured.URL + ", " + more + " }" }
	good := fmt.Sprintf("ca_file: %s, server_name: gatehouse.test, %s", cert.cert, cert.files())
	routes := func(all ...string) string { return "routes: [" + strings.Join(all, ", ") + "]" }

	w := start(t, "app: "+plain.URL, routes(
		route("/socket", "unix:"+path),
		route("/https", https(good)),
		route("/bare", https("ca_file: "+cert.cert+", server_name: gatehouse.test")),
		route("/name", https(fmt.Sprintf("ca_file: %s, %s", cert.cert, cert.files()))),
		route("/stranger", https(fmt.Sprintf("ca_file: %s, server_name: gatehouse.test, %s", stranger.cert, cert.files()))),
		route("/system", https("server_name: gatehouse.test, "+cert.files())),
		route("/*", "")))
	f := func(path string, status int, want string) string {
		t.Helper()
		a := w.get(w.url + path)
		if a.status != status || !strings.HasPrefix(a.body, want) {
			t.Errorf("%s: status %d, body %q; want %d, %q", path, a.status, a.body, status, want)
		}
		return a.body
	}
	host := strings.TrimPrefix(w.url, "http://")
	first := f("/", 200, "plain "+host+" by 127.0.0.1:")
	f("/socket", 200, "socket "+host)
	if got := f("/https", 200, "secured "+host); !strings.HasSuffix(got, " tls gatehouse.test http/1.1 1") {
		t.Errorf("https: %q", got)
	}
	const failed = `{"type":"about:blank","title":"Bad Gateway"`
	f("/bare", 502, failed) // without the client certificate that is asked for
	f("/name", 502, failed)
	f("/stranger", 502, failed)
	f("/system", 502, failed)

	metrics := w.get(w.admin + "/metrics").body
	for _, want := range []string{
		fmt.Sprintf("gatehouse_app_down{app=%q} 0\n", plain.URL), fmt.Sprintf("gatehouse_app_down{app=%q} 0\n", "unix:"+path),
		fmt.Sprintf("gatehouse_app_requests_total{app=%q,code=\"2xx\"} 1\n", secured.URL),
		fmt.Sprintf("gatehouse_app_requests_total{app=%q,code=\"none\"} 4\n", secured.URL),
	} {
		if !strings.Contains(metrics, want) {
			t.Errorf("metrics lack %s", want)
		}
	}

	// One appears, one moves to the top, and one stays as it is, with its connection.
	original := w.yaml
	reload := func(lines ...string) answer {
		w.configure(override(strings.Split(strings.TrimSpace(original), "\n"), lines)...)
		return w.do(http.MethodPost, w.admin+"/-/reload", "")
	}
	if a := reload("app: unix:"+path, routes(route("/plain", plain.URL), route("/none", "{ url: http://127.0.0.1:1 }"), route("/*", ""))); a.status != 200 ||
		strings.Contains(a.body, "app") {
		t.Errorf("reload: %d %s", a.status, a.body)
	}
	f("/", 200, "socket "+host)
	f("/none", 502, failed)
	if again := f("/plain", 200, "plain"); again != first {
		t.Errorf("%q became %q: the connection was not kept", first, again)
	}
	if metrics := w.get(w.admin + "/metrics").body; strings.Contains(metrics, fmt.Sprintf("gatehouse_app_down{app=%q}", secured.URL)) {
		t.Error("an application that is no longer named is still watched")
	}

	// What cannot be had changes nothing.
	for _, more := range []string{"ca_file: /none", "ca_file: " + cert.key, fmt.Sprintf("cert_file: %s, key_file: %s", cert.cert, stranger.key)} {
		if a := reload(routes(route("/*", https(more)))); a.status != 500 || !strings.Contains(a.body, "prepare application "+secured.URL) {
			t.Errorf("%s: reload answered %d %s", more, a.status, a.body)
		}
	}
	f("/", 200, "socket "+host)
	w.configure(original)
}

// TestReloadCutsNothingOff holds that an answer of an application that is no longer named goes on to its end.
func TestReloadCutsNothingOff(t *testing.T) {
	arrived, release := make(chan struct{}), make(chan struct{})
	slow := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		_, _ = rw.Write([]byte("begun, "))
		rw.(http.Flusher).Flush()
		close(arrived)
		<-release
		_, _ = rw.Write([]byte("ended"))
	}))
	t.Cleanup(slow.Close)
	w := start(t, "app: "+slow.URL, "routes: [{ match: { path: /* }, access: public }]")
	got := make(chan answer, 1)
	go func() { got <- w.get(w.url + "/") }()
	<-arrived
	w.configure(strings.Replace(w.yaml, "app: "+slow.URL, "app: ''", 1))
	if a := w.do(http.MethodPost, w.admin+"/-/reload", ""); a.status != 200 {
		t.Errorf("reload: %d %s", a.status, a.body)
	}
	if a := w.get(w.url + "/"); a.status != 404 {
		t.Errorf("status %d without an application", a.status)
	}
	close(release)
	if a := <-got; a.body != "begun, ended" {
		t.Errorf("got %q", a.body)
	}
}

// TestRenewedClientCertificate holds that a reload shows applications the certificate that is in the file by then.
func TestRenewedClientCertificate(t *testing.T) {
	cert := newCertificate(t, time.Now().Add(time.Hour))
	serial := ""
	site := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		serial = r.TLS.PeerCertificates[0].SerialNumber.String()
	}))
	authority := newCertificate(t, time.Now().Add(time.Hour))
	pair, err := tls.LoadX509KeyPair(authority.cert, authority.key)
	if err != nil {
		t.Fatal(err)
	}
	site.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAnyClientCert}
	site.StartTLS()
	t.Cleanup(site.Close)
	w := start(t, fmt.Sprintf("app: { url: %s, ca_file: %s, server_name: gatehouse.test, %s }", site.URL, authority.cert, cert.files()),
		"routes: [{ match: { path: /* }, access: public }]")
	w.get(w.url + "/")
	before := serial
	cert.renew(time.Now().Add(2 * time.Hour))
	if a := w.do(http.MethodPost, w.admin+"/-/reload", ""); a.status != 200 {
		t.Errorf("reload: %d %s", a.status, a.body)
	}
	w.get(w.url + "/")
	if before == "" || serial == before {
		t.Errorf("the certificate is still %s", serial)
	}
}

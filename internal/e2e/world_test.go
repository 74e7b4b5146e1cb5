package e2e

import (
	"context"
	"encoding/json"
	"html/template"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/gatehouse-proxy/gatehouse/internal/app"
	"github.com/gatehouse-proxy/gatehouse/upstream/upstreamtest"
)

// host is the host under which the configurations in deploy serve their application.
const host = "app.example.com"

// What the configurations in deploy say of where things are.
const (
	gatehouseAddress = "127.0.0.1:8080"
	appAddress       = "127.0.0.1:3000"
	serviceURL       = "http://127.0.0.1:4433"
	loginURL         = "https://auth.example.com/self-service/login/browser"
)

// places are what a front proxy stands between.
type places struct {
	gatehouse, app string   // host:port
	weakened       []string // what is replaced in the configuration of the front proxy: old and new in turn, with APP for the address of the app
}

// A world is a session service, a Gatehouse with the configuration in deploy, and an application, between which a front proxy belongs.
type world struct {
	places
	service *upstreamtest.Service

	asked atomic.Int64 // requests that the application got
	stop  func()       // ends Gatehouse
}

// startWorld runs a world until the test ends. signIn is the URL of the page where people sign in, or empty for the one in deploy.
func startWorld(t testing.TB, signIn string) *world {
	t.Helper()
	w := &world{service: &upstreamtest.Service{}}
	application := httptest.NewServer(http.HandlerFunc(w.application))
	t.Cleanup(application.Close)
	w.app = application.Listener.Addr().String()

	text := shipped(t, "gatehouse.yaml", gatehouseAddress, "127.0.0.1:0", serviceURL+" }", w.service.Start(t).String()+" }\n  timeout: 10s")
	if signIn != "" {
		text = strings.Replace(text, loginURL, signIn, 1)
	}
	a, stop := run(t, text+"\nadmin: \"\"\n")
	w.stop = stop
	w.gatehouse = a.Address(app.Requests).String()
	return w
}

// shipped returns the text of a file in deploy with every old, which must be there, in place of the new that follows it.
func shipped(t testing.TB, file string, oldnew ...string) string {
	t.Helper()
	text, err := os.ReadFile("../../deploy/" + file)
	if err != nil {
		t.Fatal(err)
	}
	return replace(t, file, string(text), oldnew)
}

// replace puts the new once in place of the old before it, which must be there.
func replace(t testing.TB, file, text string, oldnew []string) string {
	t.Helper()
	for i := 0; i < len(oldnew); i += 2 {
		if !strings.Contains(text, oldnew[i]) {
			t.Fatalf("deploy/%s has no %q", file, oldnew[i])
		}
		text = strings.Replace(text, oldnew[i], oldnew[i+1], 1)
	}
	return text
}

// configuration returns the text of a file in deploy with the addresses of p, and what else is to be replaced as for [shipped].
func (p places) configuration(t testing.TB, file string, oldnew ...string) string {
	t.Helper()
	text := shipped(t, file, append([]string{gatehouseAddress, p.gatehouse, appAddress, p.app}, oldnew...)...)
	return strings.ReplaceAll(replace(t, file, text, p.weakened), "APP", p.app)
}

// A seen request is what the application got.
type seen struct {
	Method, URI, Host, Body string
	Header                  http.Header
}

var page = template.Must(template.New("").Parse(`<!doctype html><html lang="en"><meta charset="utf-8"><title>Application</title>
<body style="font: 20px sans-serif; margin: 3em"><h1>Hello {{.Email}}</h1><p>This is {{.URI}}</p>
<p><a id="out" href="http://{{.Login}}/logout">Sign out</a></p></html>`))

// application answers with the request as it got it, and sets a cookie of its own, or with a page for a browser. A WebSocket handshake it accepts, and sends back what
// comes then.
func (w *world) application(rw http.ResponseWriter, r *http.Request) {
	w.asked.Add(1)
	if strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
		echo(rw, r)
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	rw.Header().Set("Set-Cookie", "theme=dark; Path=/")
	if strings.Contains(r.URL.Path, "/page") {
		_ = page.Execute(rw, map[string]string{"Email": r.Header.Get("X-User-Email"), "URI": r.RequestURI, "Login": loginHost})
		return
	}
	_ = json.NewEncoder(rw).Encode(seen{r.Method, r.RequestURI, r.Host, string(body), r.Header})
}

func echo(rw http.ResponseWriter, r *http.Request) {
	conn, buf, err := http.NewResponseController(rw).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	defer conn.Close()
	_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nX-User-Id: "+strings.Join(r.Header["X-User-Id"], "+")+"\r\n\r\n")
	_, _ = io.Copy(conn, buf)
}

// clientOf returns a client for which every host is at an address. It follows no redirect, and dialed counts its connections.
func clientOf(t testing.TB, address string, dialed *atomic.Int64) *http.Client {
	transport := &http.Transport{
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			dialed.Add(1)
			return (&net.Dialer{}).DialContext(ctx, network, address)
		},
		MaxConnsPerHost: 1,
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

package proxy_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/gatehouse-proxy/gatehouse/upstream"
)

const browserAccept = "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"

// A page is for people, as [TestBrowser] tells them; programs get problem details.
func TestWhoGetsAPage(t *testing.T) {
	g := newGateway(t, nil)
	f := func(page bool, lines ...string) {
		t.Helper()
		res := g.get("/x", lines...)
		want := "application/problem+json"
		if page {
			want = "text/html; charset=utf-8"
		}
		if res.StatusCode != 401 || res.Header.Get("Content-Type") != want || strings.HasPrefix(res.body, "<!doctype html>") != page {
			t.Errorf("%q: status %d, %s", lines, res.StatusCode, res.Header.Get("Content-Type"))
		}
		if csp := res.Header.Get("Content-Security-Policy"); (csp != "") != page {
			t.Errorf("%q: Content-Security-Policy %q", lines, csp)
		}
	}
	f(true, browserAccept)
	f(true, browserAccept, "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document")
	f(true, browserAccept, "User-Agent: curl/8.5.0")
	f(false)
	f(false, "Accept: application/json, text/plain, */*")
	f(false, browserAccept, "Sec-Fetch-Mode: cors")
	f(false, browserAccept, "X-Requested-With: XMLHttpRequest")
	f(false, "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Safari/537.36")
}

// Every refusal has a page that is whole in itself, well-formed, allows itself nothing, and repeats nothing of the request.
func TestPages(t *testing.T) {
	app := newApp(t, func(c *appConn) { c.request() })
	g := newGateway(t, app, trusting)
	g.sessions.know("session_token down"+marked, upstream.Answer{}, errOutage)
	f := func(status int, again bool, raw string) {
		t.Helper()
		res := g.ask(raw)
		h := res.Header
		if res.StatusCode != status || h.Get("Content-Type") != "text/html; charset=utf-8" || h.Get("Cache-Control") != "no-store" ||
			h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Date") == "" {
			t.Errorf("status %d, want %d; head %v", res.StatusCode, status, h)
		}
		if all := strings.Join(flat(h), "\n") + res.body; strings.Contains(all, marked) || strings.Contains(all, "127.0.0.1") ||
			strings.Contains(res.body, "//") {
			t.Errorf("the page says too much: %s", all)
		}
		if !strings.Contains(res.body, "<h1>"+http.StatusText(status)+"</h1>") {
			t.Errorf("no heading in %s", res.body)
		}
		if got := strings.Contains(res.body, `<a href="">Try again</a>`); got != again {
			t.Errorf("status %d: try again is %v", status, got)
		}
		_, rest, _ := strings.Cut(res.body, "<style>")
		style, _, _ := strings.Cut(rest, "</style>")
		sum := sha256.Sum256([]byte(style))
		if want := "style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"; style == "" ||
			!strings.Contains(h.Get("Content-Security-Policy"), want) || !strings.HasPrefix(h.Get("Content-Security-Policy"), "default-src 'none';") {
			t.Errorf("policy %q, want %q", h.Get("Content-Security-Policy"), want)
		}
		// Well-formed but for the elements that have no end.
		d := xml.NewDecoder(strings.NewReader(strings.TrimPrefix(res.body, "<!doctype html>")))
		d.Strict, d.AutoClose = false, xml.HTMLAutoClose
		for {
			if _, err := d.Token(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("status %d: %v", status, err)
			}
		}
	}
	get := func(path string, more ...string) string {
		return request("GET", path, "", append(more, browserAccept, "X-A: "+marked)...)
	}
	f(400, false, get("/a/../"+marked))
	f(401, false, get("/"+marked+"?"+marked))
	f(403, false, get("/deny/"+marked))
	f(405, false, request("TRACE", "/"+marked, "", browserAccept))
	f(502, true, get("/public/"+marked))
	f(503, true, get("/"+marked, "X-Session-Token: down"+marked))
	f(505, false, "GET /"+marked+" HTTP/1.9\r\nHost: "+marked+"\r\n"+browserAccept+"\r\n\r\n")
	f(401, false, get(authPath, "X-Forwarded-Method: GET", "X-Forwarded-Host: app.example.com", "X-Forwarded-Uri: /x"))
}

// Where there is no application there is a page that says so. There is none on the whoami face, which is for programs.
func TestPageWithoutApplication(t *testing.T) {
	g := newGateway(t, nil)
	if res := g.get("/public/x", browserAccept); res.StatusCode != 404 || !strings.Contains(res.body, "<h1>Not Found</h1>") {
		t.Errorf("status %d body %q", res.StatusCode, res.body)
	}
	if res := g.get("/sessions/whoami", browserAccept); res.StatusCode != 401 || !strings.HasPrefix(res.body, `{"error"`) {
		t.Errorf("status %d body %q", res.StatusCode, res.body)
	}
	if res := g.ask(request("POST", "/sessions/whoami", "", browserAccept)); res.StatusCode != 405 || !strings.HasPrefix(res.body, `{"type"`) {
		t.Errorf("status %d body %q", res.StatusCode, res.body)
	}
}

// People and programs are told the same: which side has no answer, and which header is at fault.
func TestWhatRefusalsSay(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = ln.Close() // nobody is there
	g := newGateway(t, ln, trusting)
	g.sessions.know("session_token "+marked, upstream.Answer{}, errOutage)
	get := func(status int, path string, lines ...string) (res response) {
		for range 20 { // an application that is down is tried again now and then
			if res = g.get(path, lines...); res.StatusCode == status {
				break
			}
		}
		return res
	}
	f := func(status int, want, path string, lines ...string) {
		t.Helper()
		if res := get(status, path, lines...); res.StatusCode != status || !strings.Contains(res.body, `"detail":"`+want+`"`) {
			t.Errorf("%s: status %d: %s", path, res.StatusCode, res.body)
		}
		if res := get(status, path, append(lines, browserAccept)...); res.StatusCode != status || !strings.Contains(res.body, "<p>"+want+"</p>") {
			t.Errorf("%s: status %d: %s", path, res.StatusCode, res.body)
		}
	}
	f(503, "Whose session this is cannot be known right now. Nobody was signed out. Try again.", "/x", "X-Session-Token: "+marked)
	f(502, "The application could not be reached, or gave no usable answer.", "/public/x")
	f(503, "The application cannot be reached right now, or has too much to do. Try again.", "/public/x")
	f(400, "The header X-Forwarded-Uri must be there once, with one reading.", authPath, "X-Forwarded-Method: GET", "X-Forwarded-Host: a")
	f(400, "The header X-Forwarded-Uri must be there once, with one reading.", authPath+"/traefik", about("GET", "/x", "X-Forwarded-Uri: /y")...)
	f(400, "The header X-Original-URI must be there once, with one reading.", authPath+"/nginx",
		"X-Original-Method: GET", "X-Original-URI: /x", "X-Original-URL: http://a/x")
}

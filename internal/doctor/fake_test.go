package doctor_test

import (
	"fmt"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
)

const (
	secret   = "s3cr3t-and-valid"
	identity = "a11ce000-0000-4000-8000-000000000001"
)

// A fake is a small deployment: a front proxy, what it asks, and an application. It is sound but for one weakness.
type fake struct {
	weak  string
	limit int64 // requests with the session that still pass after the sign-out; negative for ever

	url       string
	signedOut atomic.Bool
	after     atomic.Int64
	requests  atomic.Int64
	methods   chan string
}

func startFake(t *testing.T, weak string) *fake {
	f := &fake{weak: weak, methods: make(chan string, 1000)}
	switch weak {
	case "logout late":
		f.limit = 3
	case "logout ignored":
		f.limit = -1
	}
	server := httptest.NewUnstartedServer(f)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			f.requests.Add(1) // each has a connection of its own
		}
	}
	server.Start()
	t.Cleanup(server.Close)
	f.url = server.URL
	return f
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.methods <- r.Method
	w.Header().Set("Server", "nginx")
	target, h := r.RequestURI, r.Header
	path, _, _ := strings.Cut(target, "?")
	session := f.session(r)
	if path == "/sign-out" {
		f.signedOut.Store(session || f.signedOut.Load())
		return
	}
	if path == "/sign-out/browser" && session { // as Kratos answers
		fmt.Fprintf(w, `{"logout_url":"%s/sign-out?token=%s"}`, f.url, secret)
		return
	}
	if f.surface(w, path) {
		return
	}
	if status := map[string]int{"no route": 403, "no host": 421, "no page": 404, "no upstream": 502}[f.weak]; status != 0 { // for everybody
		w.Header().Set("Cache-Control", "no-store")
		w.WriteHeader(status)
		return
	}
	switch known := []string{"GET", "HEAD", "OPTIONS"}; {
	case f.weak == "method" && !slices.Contains(known, r.Method), f.weak == "options" && r.Method == "OPTIONS",
		f.weak == "version" && r.ProtoMinor == 0:
		session = true
	case !slices.Contains(known, r.Method):
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	if f.weak == "large cookie" && len(h.Get("Cookie")) > 4096 {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	if f.weak == "empty options" && r.Method == "OPTIONS" {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	path, ok := f.route(path, r)
	if !ok {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	if !session && !strings.HasPrefix(path, "/assets/") && !f.opens(r) {
		f.refuse(w, r)
		return
	}
	if h.Get("Upgrade") == "h2c" && f.weak == "upgrade" {
		w.Header().Set("Upgrade", "h2c")
		w.Header().Set("Connection", "Upgrade")
		w.WriteHeader(http.StatusSwitchingProtocols)
		return
	}
	f.forward(h, f.session(r))
	f.application(w, path, h)
}

// session reports whether a request has the session.
func (f *fake) session(r *http.Request) bool {
	cookie, err := r.Cookie("ory_kratos_session")
	has := err == nil && cookie.Value == secret || r.Header.Get("X-Session-Token") == secret
	if f.weak == "any cookie" && err == nil && cookie.Value != "" {
		return true
	}
	if has && f.signedOut.Load() {
		return f.limit < 0 || f.after.Add(1) <= f.limit
	}
	return has
}

// surface answers what is not for the application.
func (f *fake) surface(w http.ResponseWriter, path string) bool {
	switch {
	case f.weak == "metrics" && path == "/metrics":
		fmt.Fprint(w, "gatehouse_requests_total 1\n")
	case strings.HasPrefix(path+"/", "/.gatehouse/auth/") && f.weak == "endpoint":
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprint(w, `{"detail":"X-Forwarded-Method is missing"}`)
	case strings.HasPrefix(path+"/", "/.gatehouse/auth/"):
		w.WriteHeader(http.StatusForbidden)
	default:
		return false
	}
	return true
}

// route returns the path that is judged and served, and whether it has one reading.
func (f *fake) route(path string, r *http.Request) (string, bool) {
	if name := "X-Original-Url"; strings.HasPrefix(f.weak, "application routes") && r.Header.Get(name) != "" {
		if strings.HasPrefix(path, "/assets/") {
			r.Header.Set("Serve", r.Header.Get(name))
		}
	}
	twisted := !strings.HasPrefix(path, "/") || strings.ContainsAny(path, `%\;#`) || strings.Contains(path, "//") || strings.Contains(path, "/.")
	if !twisted {
		return path, true
	}
	if f.weak == "parameters" && strings.HasPrefix(path, "/assets/..;/") {
		r.Header.Set("Serve", strings.TrimPrefix(path, "/assets/..;"))
		return path, true
	}
	if f.weak == "double slash" && path == "//private" {
		r.Header.Set("Serve", "/private")
		return "/assets/", true
	}
	return path, f.weak == "catch-all" && strings.HasPrefix(path, "/assets/")
}

// opens reports whether a weakness lets a request in that has no session.
func (f *fake) opens(r *http.Request) bool {
	h := r.Header
	switch f.weak {
	case "open":
		return true
	case "forwarded uri":
		return strings.HasPrefix(h.Get("X-Forwarded-Uri"), "/assets/")
	case "original url":
		return strings.Contains(h.Get("X-Original-Url"), "/assets/")
	case "local address":
		return h.Get("X-Forwarded-For") == "127.0.0.1"
	case "health check":
		return h.Get("User-Agent") == "GoogleHC/1.0"
	case "identity opens":
		return h.Get("X-User-Id") != ""
	case "upgrade":
		return h.Get("Upgrade") == "h2c"
	}
	return false
}

func (f *fake) refuse(w http.ResponseWriter, r *http.Request) {
	host := r.Host
	if forged := r.Header.Get("X-Forwarded-Host"); f.weak == "redirect" && forged != "" {
		host = forged
	}
	w.Header().Set("Location", "https://auth.example.com/login?return_to=http://"+host+"/")
	w.Header().Set("Cache-Control", "no-store")
	status := http.StatusFound
	switch f.weak {
	case "cacheable":
		w.Header().Set("Cache-Control", "public, max-age=60")
	case "no cache control":
		w.Header().Del("Cache-Control")
	case "explains":
		w.Header().Set("X-Gatehouse-Reason", "no_credential")
	case "fails":
		status = http.StatusInternalServerError
	case "forbids":
		w.Header().Del("Location")
		status = http.StatusForbidden
	case "not found":
		status = http.StatusNotFound
	case "garbage fails":
		if strings.Contains(r.Header.Get("Cookie"), `"`) {
			status = http.StatusInternalServerError
		}
	}
	w.WriteHeader(status)
}

// forward makes the headers of the application from those of the client.
func (f *fake) forward(h http.Header, session bool) {
	listed := h.Get("Connection")
	for name := range h {
		alias := strings.ContainsAny(name, "_.")
		change := strings.HasPrefix(name, "X-Original") || name == "X-Rewrite-Url" || strings.Contains(name, "Method") ||
			name == "X-Middleware-Subrequest" || name == "X-Forwarded-Uri" || name == "X-Envoy-Original-Path"
		change = change && !strings.HasPrefix(f.weak, "echoes")
		switch {
		case alias && f.weak != "alias", change && f.weak != "rewrite headers", name == "X-User-Id" && f.weak != "spoofed":
			delete(h, name)
		case name == "Cookie" && f.weak != "forwards cookie", name == "X-Session-Token", name == "Connection", name == "Trailer":
			delete(h, name)
		}
	}
	if session && f.weak != "no identity" && (f.weak != "dropped" || !strings.Contains(listed, "X-User-Id")) {
		if f.weak != "spoofed" || h.Get("X-User-Id") == "" {
			h.Set("X-User-Id", identity)
		}
	}
	if session && f.weak == "renews" {
		h.Set("Renew", "1")
	}
}

// echo is an application that shows what it got on every page.
func (f *fake) echo(w http.ResponseWriter, h http.Header) {
	if f.weak == "echoes, and never the same" {
		fmt.Fprintln(w, f.requests.Load())
	}
	for _, name := range slices.Sorted(maps.Keys(h)) {
		switch f.weak {
		case "echoes as CGI":
			fmt.Fprintf(w, "HTTP_%s=%s\n", strings.ReplaceAll(strings.ToUpper(name), "-", "_"), h.Get(name))
		case "echoes names":
			fmt.Fprintln(w, name)
		case "echoes what it knows":
			if name == "X-Original-Url" || name == "X-Probe" || name == "X-User-Id" {
				fmt.Fprintln(w, h.Get(name))
			}
		default:
			fmt.Fprintln(w, name, h[name])
		}
	}
}

func (f *fake) application(w http.ResponseWriter, path string, h http.Header) {
	if h.Get("Renew") != "" {
		w.Header().Set("Set-Cookie", "ory_kratos_session=new")
	}
	if to := h.Get("Serve"); to != "" {
		path = to
	}
	switch {
	case strings.HasPrefix(f.weak, "echoes"):
		f.echo(w, h)
	case f.weak == "application routes to one page" && h.Get("Serve") != "":
		fmt.Fprint(w, "The page for all paths.")
	case path == "/private":
		fmt.Fprint(w, "The private page.")
	case path == "/assets/style.css", f.weak == "catch-all" && strings.HasPrefix(path, "/assets/"):
		fmt.Fprint(w, "The public page.")
	case path == "/private/echo", path == "/assets/echo":
		fmt.Fprintln(w, "Headers:")
		for name, values := range h {
			fmt.Fprintln(w, name, values)
		}
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

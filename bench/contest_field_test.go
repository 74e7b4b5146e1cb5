package main

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

// A server is measured only if it makes decisions: whoever lets everybody pass, or nobody, or forgets who it is, would look good.
func TestDecides(t *testing.T) {
	names := func(w http.ResponseWriter) {
		w.Header().Set("Remote-Email", userEmail)
		w.Header().Set("Remote-Name", userName)
	}
	f := func(name string, decides bool, handler http.HandlerFunc) {
		t.Helper()
		s := httptest.NewServer(handler)
		defer s.Close()
		known := new(session)
		known.Cookie.Name, known.Cookie.Value = "session", "known"
		ask := questionAt("/", byCookie)
		p := player{contestant{name: name, request: ask}, &server{address: s.Listener.Addr().String()}, ask(known)}
		if err := p.decides(); (err == nil) != decides {
			t.Errorf("%s: %v", name, err)
		}
	}
	f("one that decides", true, func(w http.ResponseWriter, r *http.Request) {
		if c, err := r.Cookie("session"); err != nil || c.Value != "known" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		names(w)
	})
	f("one that lets everybody pass", false, func(w http.ResponseWriter, _ *http.Request) { names(w) })
	f("one that lets nobody pass", false, func(w http.ResponseWriter, _ *http.Request) {
		names(w)
		w.WriteHeader(http.StatusUnauthorized)
	})
	f("one that breaks without a session", false, func(w http.ResponseWriter, r *http.Request) {
		names(w)
		if _, err := r.Cookie("session"); err != nil {
			w.WriteHeader(http.StatusInternalServerError)
		}
	})
	f("one that names nobody", false, func(w http.ResponseWriter, r *http.Request) {
		if _, err := r.Cookie("session"); err != nil {
			w.WriteHeader(http.StatusUnauthorized)
		}
	})
}

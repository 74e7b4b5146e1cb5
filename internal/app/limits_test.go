package app_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-proxy/gatehouse/upstream/upstreamtest"
)

// A client that tries tokens gets 429 once it has had its share, on every face, and the same share on all. It is whom the trusted proxy
// names. Those who sign in, whoever is signed in, and other clients are not concerned.
func TestShareOfUnknownTokens(t *testing.T) {
	for _, face := range faces {
		t.Run(face.name, func(t *testing.T) {
			t.Parallel()
			w := start(t, "limits: { unknown_per_client: 5 }", "session_cache: { negative_for: 0s }")
			w.service.SignIn(upstreamtest.Login{Token: "known"})
			f := func(client, token string, status int) {
				t.Helper()
				a := face.ask(w, "X-Session-Token", token, "X-Forwarded-For", "198.51.100.9, "+client)
				if a.status != status {
					t.Errorf("%s from %s: status %d, want %d", token, client, a.status, status)
				}
				if status == http.StatusTooManyRequests && (a.header.Get("Retry-After") == "" || a.header.Get("Cache-Control") == "") {
					t.Errorf("header %v", a.header)
				}
			}
			f("192.0.2.1", "known", http.StatusOK)
			for i := range 50 { // an office that signs in
				token := fmt.Sprint("office-", i)
				w.service.SignIn(upstreamtest.Login{Token: token})
				f("192.0.2.1", token, http.StatusOK)
			}
			for i := range 5 {
				f("192.0.2.1", fmt.Sprint("unknown-", i), http.StatusUnauthorized)
			}
			f("192.0.2.1", "unknown", http.StatusTooManyRequests)
			f("192.0.2.1", "known", http.StatusOK) // it is remembered
			f("192.0.2.2", "unknown", http.StatusUnauthorized)
			w.service.SignIn(upstreamtest.Login{Token: "new"})
			f("192.0.2.1", "new", http.StatusTooManyRequests) // nobody knows it yet
			f("192.0.2.2", "new", http.StatusOK)
			f("192.0.2.1", "new", http.StatusOK)
			if metrics := w.get(w.admin + "/metrics").body; !strings.Contains(metrics, `gatehouse_limited_total{limit="unknown_per_client"} 2`) {
				t.Error("what was refused was not counted")
			}
		})
	}
}

// A question that is passed through is on the client's share, too, and its answer stays that of the service.
func TestShareOfPassedThroughTokens(t *testing.T) {
	w := start(t, "limits: { unknown_per_client: 2 }")
	for i, status := range []int{401, 401, 429} {
		a := w.get(w.url+"/sessions/whoami?tokenize_as=x", "X-Session-Token", fmt.Sprint("unknown-", i))
		if a.status != status || !strings.Contains(a.body, `"error"`) {
			t.Errorf("question %d: status %d, want %d; body %q", i, a.status, status, a.body)
		}
	}
}

// The limits of the file are those in force; the length of bodies is the route's, or else that of all. A reload changes the route's only.
func TestLimitsOfTheFile(t *testing.T) {
	w := start(t, "limits: { uri: 256B, body: 10 }",
		"routes: [{ match: { path: /large }, access: public, max_body: 1KiB }, { match: { path: /* }, access: public }]")
	f := func(path string, length, status int) {
		t.Helper()
		if a := w.do(http.MethodPost, w.url+path, strings.Repeat("x", length)); a.status != status {
			t.Errorf("%d bytes to %s: status %d, want %d", length, path, a.status, status)
		}
	}
	f("/"+strings.Repeat("x", 256), 0, http.StatusRequestURITooLong)
	f("/x", 10, http.StatusOK)
	f("/x", 11, http.StatusRequestEntityTooLarge)
	f("/large", 1024, http.StatusOK)
	f("/large", 1025, http.StatusRequestEntityTooLarge)

	w.configure(strings.NewReplacer("1KiB", "2KiB", "body: 10", "body: 20").Replace(w.yaml))
	restart, err := w.app.Reload()
	if err != nil || len(restart) != 1 || restart[0] != "limits" {
		t.Errorf("restart for %v, error %v", restart, err)
	}
	f("/large", 2048, http.StatusOK)
	f("/x", 11, http.StatusRequestEntityTooLarge)
}

// While strangers fill all the places that there are for them, whoever is known is asked about again in time.
func TestKnownSessionsAreRenewedInAFlood(t *testing.T) {
	w := start(t, "upstream: { kratos: { url: SERVICE }, timeout: 10s, max_in_flight: 4 }", "limits: { unknown_per_client: 0 }")
	w.service.SignIn(upstreamtest.Login{Token: "known"})
	ask := func() int {
		return w.get(w.url+"/sessions/whoami", "X-Session-Token", "known", "Cache-Control", "max-age=0").status
	}
	if status := ask(); status != http.StatusOK {
		t.Fatalf("status %d", status)
	}
	<-time.After(1100 * time.Millisecond) // real time: no session is asked about twice in a second
	release := w.service.Hold()
	asked := w.service.Questions()
	var flood sync.WaitGroup
	for i := range 20 {
		flood.Go(func() { w.get(w.url+"/private", "X-Session-Token", fmt.Sprint("unknown-", i)) })
	}
	w.service.Await(asked + 3)
	renewed := make(chan int, 1)
	go func() { renewed <- ask() }()
	w.service.Await(asked + 4) // among 3 of the 20
	release()
	flood.Wait()
	if status := <-renewed; status != http.StatusOK {
		t.Errorf("status %d", status)
	}
	if n := w.service.Questions() - asked; n != 21 {
		t.Errorf("%d questions", n)
	}
}

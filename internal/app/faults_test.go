package app_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/gatehouse-proxy/gatehouse/upstream/upstreamtest"
)

// TestOutages holds that whatever goes wrong with the session service, nobody passes who should not, nobody is logged out, and nothing of it
// is remembered: the first question after the service has recovered is answered.
func TestOutages(t *testing.T) {
	for _, fault := range upstreamtest.Outages() {
		for _, face := range faces {
			t.Run(fault.String()+"/"+face.name, func(t *testing.T) {
				t.Parallel()
				w := start(t, upstreamTimeout(timeoutFor(fault)))
				login := w.service.SignIn(upstreamtest.Login{Token: "known"})
				w.service.Break(fault)
				for range 3 {
					a := face.ask(w, "X-Session-Token", "known")
					if a.status != http.StatusServiceUnavailable {
						t.Fatalf("got status %d during the outage, want 503", a.status)
					}
					if a.header.Get("Retry-After") == "" || a.header.Get("Cache-Control") == "" {
						t.Errorf("got header %v, want Retry-After and Cache-Control", a.header)
					}
					if a.header.Get("X-User-Id") != "" || strings.Contains(a.body, login.IdentityID) {
						t.Error("the answer names an identity")
					}
				}
				w.service.Break(upstreamtest.Healthy)
				if a := face.ask(w, "X-Session-Token", "known"); a.status != http.StatusOK {
					t.Errorf("got status %d after the outage, want 200", a.status)
				}
				if a := face.ask(w, "X-Session-Token", "unknown"); a.status != http.StatusUnauthorized {
					t.Errorf("got status %d for an unknown token after the outage, want 401", a.status)
				}
				log := w.log.String()
				if strings.Count(log, "session service gives no answer") != 1 || strings.Count(log, "session service answers again") != 1 {
					t.Errorf("the log does not tell once that the outage began, and once that it ended:\n%s", log)
				}
			})
		}
	}
}

// timeoutFor returns how long a question may take in a test of the fault: as long as it wants to, unless the fault is that it never ends.
func timeoutFor(fault upstreamtest.Fault) string {
	if fault == upstreamtest.Hang {
		return "1s"
	}
	return "10s"
}

// TestStaleDuringOutage holds that with stale_for, whoever was known goes on, and whoever was not does not get in.
func TestStaleDuringOutage(t *testing.T) {
	for _, fault := range append(upstreamtest.Outages(), upstreamtest.DatabaseDown) {
		t.Run(fault.String(), func(t *testing.T) {
			t.Parallel()
			w := start(t, "session_cache: { fresh_for: 100ms, stale_for: 1h }", upstreamTimeout(timeoutFor(fault)))
			w.service.SignIn(upstreamtest.Login{Token: "known"})
			w.service.SignIn(upstreamtest.Login{Token: "newcomer"})
			for _, face := range faces {
				if a := face.ask(w, "X-Session-Token", "known"); a.status != http.StatusOK {
					t.Fatalf("%s: got status %d before the outage, want 200", face.name, a.status)
				}
			}
			w.service.Break(fault)
			asked := w.service.Questions()
			for stale := false; !stale; { // until the answer is no longer fresh
				for _, face := range faces {
					a := face.ask(w, "X-Session-Token", "known")
					if a.status != http.StatusOK {
						t.Fatalf("%s: got status %d during the outage, want 200", face.name, a.status)
					}
					stale = a.header.Get("X-Gatehouse-Cache") == "stale" || strings.Contains(a.body, "X-Gatehouse-Cache: stale")
				}
			}
			w.service.Await(asked + 1) // it was asked again, and its failure changed nothing
			for _, face := range faces {
				if a := face.ask(w, "X-Session-Token", "known"); a.status != http.StatusOK {
					t.Errorf("%s: got status %d after a failed question, want 200", face.name, a.status)
				}
			}
			if fault == upstreamtest.DatabaseDown {
				return // a newcomer cannot be told from somebody unknown
			}
			for _, face := range faces {
				if a := face.ask(w, "X-Session-Token", "newcomer"); a.status != http.StatusServiceUnavailable {
					t.Errorf("%s: got status %d for a newcomer, want 503", face.name, a.status)
				}
			}
		})
	}
}

// TestDatabaseFailure holds that the 401 with which Kratos reports a failed database logs nobody out whom the gateway knows.
func TestDatabaseFailure(t *testing.T) {
	w := start(t, "session_cache: { fresh_for: 100ms }")
	w.service.SignIn(upstreamtest.Login{Token: "known"})
	if a := w.get(w.url+"/sessions/whoami", "X-Session-Token", "known"); a.status != http.StatusOK {
		t.Fatalf("got status %d, want 200", a.status)
	}
	w.service.Break(upstreamtest.DatabaseDown)
	a := answer{status: http.StatusOK}
	for a.status == http.StatusOK { // as long as the answer is fresh
		a = w.get(w.url+"/sessions/whoami", "X-Session-Token", "known")
	}
	if a.status != http.StatusServiceUnavailable {
		t.Errorf("got status %d while the database was down, want 503", a.status)
	}
	w.service.Break(upstreamtest.Healthy)
	if a := w.get(w.url+"/sessions/whoami", "X-Session-Token", "known"); a.status != http.StatusOK {
		t.Errorf("got status %d after it, want 200", a.status)
	}
	if metrics := w.get(w.admin + "/metrics").body; !strings.Contains(metrics, "gatehouse_session_unbelieved_nos_total{upstream=\"kratos\"} 1\n") {
		t.Error("the metric of unbelieved answers does not tell of it")
	}
}

// TestDatabaseFailureSignsNobodyOut floods a gateway with requests of many sessions while the service denies all of them, since its database
// is down. Nobody is told that there is no session, and everybody is served again after it.
func TestDatabaseFailureSignsNobodyOut(t *testing.T) {
	const people, requests = 40, 3
	w := start(t, "session_cache: { fresh_for: 100ms, negative_for: 1m }", "limits: { unknown_per_client: 0 }")
	flood := func(judge func(status int) bool) {
		t.Helper()
		var all sync.WaitGroup
		for n := range people {
			all.Go(func() {
				for i := range requests {
					face := faces[i%len(faces)]
					if a := face.ask(w, "X-Session-Token", fmt.Sprintf("token-%d", n)); !judge(a.status) {
						t.Errorf("person %d: got status %d from %s", n, a.status, face.name)
					}
				}
			})
		}
		all.Wait()
	}
	served := func(status int) bool { return status == http.StatusOK }
	for n := range people {
		w.service.SignIn(upstreamtest.Login{Token: fmt.Sprintf("token-%d", n)})
	}
	flood(served)
	w.service.Break(upstreamtest.DatabaseDown)
	var unavailable atomic.Int64
	for unavailable.Load() < people && !t.Failed() { // what is fresh is served
		flood(func(status int) bool {
			if status == http.StatusServiceUnavailable {
				unavailable.Add(1)
				return true
			}
			return served(status)
		})
	}
	w.service.Break(upstreamtest.Healthy)
	for n := range people {
		for !t.Failed() && !served(faces[0].ask(w, "X-Session-Token", fmt.Sprintf("token-%d", n)).status) {
			// as long as the breaker is open
		}
	}
	flood(served)
}

// TestRefusal holds that a refusal of the service reaches the client in the service's own words, and is not remembered.
func TestRefusal(t *testing.T) {
	for _, face := range faces {
		t.Run(face.name, func(t *testing.T) {
			w := start(t)
			w.service.SignIn(upstreamtest.Login{SessionID: "s", Token: "known", NeedsAAL2: true})
			a := face.ask(w, "X-Session-Token", "known")
			if a.status != http.StatusForbidden || a.body != upstreamtest.AAL2Body {
				t.Errorf("got status %d and body %q, want 403 and the service's body", a.status, a.body)
			}
			w.service.SignIn(upstreamtest.Login{SessionID: "s", Token: "known"})
			if a := face.ask(w, "X-Session-Token", "known"); a.status != http.StatusOK {
				t.Errorf("got status %d after the second factor, want 200", a.status)
			}
		})
	}
}

// TestNoCredentialLeaks holds that what a client presents is found in no log line, metric, or answer, whatever becomes of it.
func TestNoCredentialLeaks(t *testing.T) {
	w := start(t, "log: { level: debug, access: true }")
	const secret = "s3cr3t-value"
	w.service.SignIn(upstreamtest.Login{Token: secret + "-known", Cookies: []string{secret + "-cookie"}})
	var seen strings.Builder
	for _, fault := range append(upstreamtest.Outages(), upstreamtest.Healthy, upstreamtest.DatabaseDown) {
		w.service.Break(fault)
		for _, face := range faces {
			for _, header := range [][]string{
				{"X-Session-Token", secret + "-known"},
				{"Cookie", upstreamtest.DefaultCookie + "=" + secret + "-cookie"},
				{"Authorization", "Bearer " + secret},
				{"X-Session-Token", secret + " not a token"},
				{"Cookie", upstreamtest.DefaultCookie + "=" + secret + "; " + upstreamtest.DefaultCookie + "=" + secret + "2"},
			} {
				seen.WriteString(face.ask(w, header...).body)
			}
		}
	}
	seen.WriteString(w.do(http.MethodPost, w.admin+"/-/revoke", "credential="+secret, "Content-Type", "application/x-www-form-urlencoded").body)
	seen.WriteString(w.do(http.MethodPost, w.admin+"/-/revoke?credential="+secret, "").body)
	seen.WriteString(w.get(w.admin + "/metrics").body)
	seen.WriteString(w.get(w.admin + "/debug/pprof/goroutine?debug=1").body)
	seen.WriteString(w.get(w.admin + "/config").body)
	seen.WriteString(w.get(w.admin + "/readyz?verbose").body)
	seen.WriteString(w.log.String())
	if i := strings.Index(seen.String(), secret); i >= 0 {
		t.Errorf("a credential was shown: …%s…", seen.String()[max(0, i-200):i+len(secret)])
	}
	if !strings.Contains(w.log.String(), `"session":"`) {
		t.Error("no log line names a session by its digest, so the test saw too little")
	}
}

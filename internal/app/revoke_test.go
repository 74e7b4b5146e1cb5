package app_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/gatehouse-proxy/gatehouse/upstream/upstreamtest"
)

// TestRevokeThenAsk holds, a thousand times, that after a revocation was acknowledged nobody passes: with answers under way that were
// given before it, through other cookies of the session, and while other clients go on asking.
func TestRevokeThenAsk(t *testing.T) {
	w := start(t, "session_cache: { size: 100, fresh_for: 1h, stale_for: 1h, negative_for: 0s }",
		"limits: { unknown_per_client: 0 }") // one client asks about all that were revoked
	const rounds = 1000
	for i := range rounds {
		session, identity := fmt.Sprintf("session-%d", i), fmt.Sprintf("identity-%d", i)
		token, first, second := fmt.Sprintf("token-%d", i), fmt.Sprintf("first-%d", i), fmt.Sprintf("second-%d", i)
		w.service.SignIn(upstreamtest.Login{SessionID: session, IdentityID: identity, Token: token, Cookies: []string{first, second}})
		credentials := [][]string{
			{"X-Session-Token", token},
			{"Cookie", upstreamtest.DefaultCookie + "=" + first},
			{"Cookie", upstreamtest.DefaultCookie + "=" + second},
		}
		for _, c := range credentials[:2] {
			if a := faces[i%len(faces)].ask(w, c...); a.status != http.StatusOK {
				t.Fatalf("round %d: got status %d before the revocation, want 200", i, a.status)
			}
		}
		// The second cookie is asked about while the session still lives, and the answer is held back until it does no longer.
		asked := w.service.Questions()
		release := w.service.Hold()
		var underWay sync.WaitGroup
		underWay.Go(func() { faces[i%len(faces)].ask(w, credentials[2]...) })
		w.service.Await(asked + 1)

		w.service.SignOut(session)
		form := "session_id=" + session
		if i%2 == 1 {
			form = "identity_id=" + identity
		}
		if a := w.do(http.MethodPost, w.admin+"/-/revoke", form, "Content-Type", "application/x-www-form-urlencoded"); a.status != http.StatusOK {
			t.Fatalf("round %d: revoke answered %d: %s", i, a.status, a.body)
		}
		release()
		for _, c := range credentials {
			for _, face := range faces {
				if a := face.ask(w, c...); a.status != http.StatusUnauthorized {
					t.Fatalf("round %d: %s with %s: got status %d after the revocation, want 401", i, face.name, c[0], a.status)
				}
			}
		}
		underWay.Wait()
	}
}

// TestRevokeCredential holds that a credential can be revoked where nothing else is known of its session.
func TestRevokeCredential(t *testing.T) {
	w := start(t, "session_cache: { fresh_for: 1h }")
	w.service.SignIn(upstreamtest.Login{SessionID: "s", Token: "token", Cookies: []string{"cookie"}})
	cookie := upstreamtest.DefaultCookie + "=cookie"
	for range 2 {
		w.get(w.url+"/private", "X-Session-Token", "token")
		w.get(w.url+"/private", "Cookie", cookie)
	}
	asked := w.service.Questions()
	if asked != 2 {
		t.Fatalf("the service was asked %d times, want 2", asked)
	}
	w.do(http.MethodPost, w.admin+"/-/revoke", `{"credential":"token","kind":"session_token"}`, "Content-Type", "application/json")
	w.get(w.url+"/private", "X-Session-Token", "token")
	w.get(w.url+"/private", "Cookie", cookie)
	if n := w.service.Questions() - asked; n != 1 {
		t.Errorf("the service was asked %d times after the revocation of the token, want 1", n)
	}
	w.do(http.MethodPost, w.admin+"/-/flush", "")
	w.get(w.url+"/private", "X-Session-Token", "token")
	w.get(w.url+"/private", "Cookie", cookie)
	if n := w.service.Questions() - asked; n != 3 {
		t.Errorf("the service was asked %d times after the flush, want 3", n)
	}
}

// TestRenewedCookie holds that a renewed session cookie reaches the client that caused it, and nobody after it.
func TestRenewedCookie(t *testing.T) {
	for _, face := range faces {
		t.Run(face.name, func(t *testing.T) {
			w := start(t)
			w.service.SignIn(upstreamtest.Login{Token: "token", Cookies: []string{"old"}, Renewed: "new"})
			cookie := upstreamtest.DefaultCookie + "=old"
			a := face.ask(w, "Cookie", cookie)
			if got := a.header.Values("Set-Cookie"); len(got) != 1 || !strings.HasPrefix(got[0], upstreamtest.DefaultCookie+"=new;") {
				t.Errorf("got Set-Cookie %q, want the renewed cookie", got)
			}
			if got := face.ask(w, "Cookie", cookie).header.Values("Set-Cookie"); len(got) != 0 {
				t.Errorf("got Set-Cookie %q from memory", got)
			}
			if got := face.ask(w, "X-Session-Token", "token").header.Values("Set-Cookie"); len(got) != 0 {
				t.Errorf("got Set-Cookie %q for a token", got)
			}
		})
	}
}

package app_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-proxy/gatehouse/internal/app"
	"github.com/gatehouse-proxy/gatehouse/upstream/upstreamtest"
)

// A round is one session that clients hammer while it ends.
type round struct {
	token string
	acked atomic.Bool  // the end was acknowledged
	after atomic.Int64 // requests that began after that and were answered
}

// raceRevocations signs a session in, hammers it by 8 clients on every face, and ends it, a thousand times: every second time when it is
// remembered, and every second time while it is being asked about. No request that begins after end has returned may get through.
func raceRevocations(t *testing.T, w *world, signIn func(n int) (token, session string), end func(n int, token, session string)) {
	t.Helper()
	const rounds, clients = 1000, 8
	var current atomic.Pointer[round]
	var hammering sync.WaitGroup
	stop := make(chan struct{})
	answered := make(chan struct{}, clients) // after the acknowledgement
	current.Store(&round{})                  // overtaken at once
	defer func() {
		close(stop)
		hammering.Wait()
	}()
	for i := range clients {
		hammering.Go(func() {
			for n := i; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				r := current.Load()
				acked := r.acked.Load()
				face := faces[n%len(faces)]
				a := face.ask(w, "X-Session-Token", r.token)
				switch {
				case acked && a.status < 300:
					t.Errorf("%s: got status %d from %s after the acknowledgement", r.token, a.status, face.name)
				case acked && r.after.Add(1) <= clients:
					answered <- struct{}{}
				}
			}
		})
	}
	took := make([]time.Duration, rounds)
	for n := range rounds {
		r := new(round)
		var session string
		r.token, session = signIn(n)
		asked := w.asked(r.token)
		current.Store(r)
		if n/2%2 == 1 {
			<-asked
		} else if a := faces[n%len(faces)].ask(w, "X-Session-Token", r.token); a.status != http.StatusOK {
			t.Fatalf("round %d: got status %d before the end", n, a.status)
		}
		began := time.Now()
		end(n, r.token, session)
		took[n] = time.Since(began)
		r.acked.Store(true)
		for range clients {
			<-answered
		}
	}
	slices.Sort(took)
	t.Logf("%d rounds, from the call to its acknowledgement: p50 %v, p99 %v, at most %v",
		rounds, took[rounds/2], took[rounds*99/100], took[rounds-1])
}

// asked returns what is closed when the service is asked about a token. The embedded one cannot be watched: it is taken to have been asked.
func (w *world) asked(token string) <-chan struct{} {
	asked := make(chan struct{})
	once := sync.OnceFunc(func() { close(asked) })
	if w.app.Address(app.Service) != nil {
		once()
	}
	w.service.Observe(func(r *http.Request) {
		if r.Header.Get("X-Session-Token") == token {
			once()
		}
	})
	return asked
}

const raceCache = "session_cache: { fresh_for: 1h, stale_for: 1h, negative_for: 0s }"

// TestRevocationRace holds that nobody passes once a revocation was acknowledged, whichever way it came.
func TestRevocationRace(t *testing.T) {
	f := func(name string, end func(w *world, n int, session string) answer) {
		t.Run(name, func(t *testing.T) {
			w := start(t, raceCache, "limits: { unknown_per_client: 0 }", "hooks: { secrets: ["+hookSecret+"], keys: ["+hookKey+"] }")
			w.service.Delay(time.Millisecond) // so that answers are under way
			signIn := func(n int) (string, string) {
				token, session := fmt.Sprintf("token-%d", n), fmt.Sprintf("session-%d", n)
				w.service.SignIn(upstreamtest.Login{SessionID: session, IdentityID: fmt.Sprintf("identity-%d", n), Token: token})
				return token, session
			}
			raceRevocations(t, w, signIn, func(n int, _, session string) {
				w.service.SignOut(session)
				if a := end(w, n, session); a.status >= 300 {
					t.Fatalf("round %d: revocation answered %d: %s", n, a.status, a.body)
				}
			})
		})
	}
	f("admin", func(w *world, n int, session string) answer {
		form := []string{"session_id=" + session, fmt.Sprintf("identity_id=identity-%d", n), fmt.Sprintf("credential=token-%d", n)}[n%3]
		return w.do(http.MethodPost, w.admin+"/-/revoke", form, "Content-Type", "application/x-www-form-urlencoded")
	})
	f("flush", func(w *world, _ int, _ string) answer { return w.do(http.MethodPost, w.admin+"/-/flush", "") })
	f("webhook", func(w *world, n int, session string) answer {
		body := `{"session_id":"` + session + `"}`
		if n%2 == 0 {
			return w.do(http.MethodPost, w.url+"/hooks/revoke", body, "Authorization", "Bearer "+hookKey)
		}
		return w.do(http.MethodPost, w.url+"/hooks/revoke", body, signed(fmt.Sprint("msg_", n), body)...)
	})
	t.Run("session_api", func(t *testing.T) {
		w := startSessionAPI(t, raceCache, "limits: { unknown_per_client: 0 }")
		w.service.Delay(time.Millisecond)
		signIn := func(n int) (string, string) { return signInBoth(w, n) }
		raceRevocations(t, w, signIn, func(n int, _, _ string) {
			if a := endings[n%len(endings)](w, n); a.status >= 400 {
				t.Fatalf("round %d: the end answered %d: %s", n, a.status, a.body)
			}
		})
	})
	t.Run("service", func(t *testing.T) {
		w := start(t, raceCache, "limits: { unknown_per_client: 0 }",
			"upstream: { embedded: { listen: 127.0.0.1:0, admin_listen: 127.0.0.1:0 }, timeout: 10s }")
		public, admin := "http://"+w.app.Address(app.Service).String(), "http://"+w.app.Address(app.ServiceAdmin).String()
		signIn := func(n int) (string, string) {
			var created struct {
				Token   string `json:"session_token"`
				Session struct{ ID string }
			}
			a := w.do(http.MethodPost, admin+"/admin/sessions", fmt.Sprintf(`{"identity":{"traits":{"email":"u%d@example.com"}}}`, n),
				"Content-Type", "application/json")
			if err := json.Unmarshal([]byte(a.body), &created); err != nil || a.status != http.StatusCreated {
				t.Fatalf("sign in: status %d, %v: %s", a.status, err, a.body)
			}
			return created.Token, created.Session.ID
		}
		raceRevocations(t, w, signIn, func(n int, token, session string) {
			var a answer
			if n%2 == 0 {
				a = w.do(http.MethodDelete, public+"/self-service/logout/api", `{"session_token":"`+token+`"}`, "Content-Type", "application/json")
			} else {
				a = w.do(http.MethodDelete, admin+"/admin/sessions/"+session, "")
			}
			if a.status != http.StatusNoContent {
				t.Fatalf("round %d: the end answered %d: %s", n, a.status, a.body)
			}
		})
	})
}

const (
	hookSecret = "a-secret-of-at-least-24-bytes"
	hookKey    = "a-key-of-24-bytes-or-a-few-more"
)

// signed returns the header lines of a signed message.
func signed(id, body string) []string {
	stamp := fmt.Sprint(time.Now().Unix())
	mac := hmac.New(sha256.New, []byte(hookSecret))
	mac.Write([]byte(id + "." + stamp + "." + body))
	return []string{
		"Webhook-Id", id, "Webhook-Timestamp", stamp, "Webhook-Signature", "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)),
	}
}

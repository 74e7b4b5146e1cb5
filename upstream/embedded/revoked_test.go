package embedded_test

import (
	"encoding/json"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-proxy/gatehouse/upstream/embedded"
)

// Every way in which a session ends is told exactly once: when it is over, in memory and in the file, and not yet answered.
func TestRevoked(t *testing.T) {
	// f ends one or both of two sessions of one identity, and says which of them are to be told.
	f := func(name string, end func(w *world, mine, other embedded.Created) answer, want func(mine, other embedded.Created) []string) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "sessions.db")
			var w *world
			var told []string
			answered := false
			tokens := map[string]string{}
			w = open(t, embedded.Config{Path: path, Revoked: func(sessionID, identityID string) {
				told = append(told, sessionID)
				if answered {
					t.Errorf("%s was told after the answer", sessionID)
				}
				if got := w.whoami("X-Session-Token: " + tokens[sessionID]); got != 401 {
					t.Errorf("whoami when told: %d", got)
				}
				copied := filepath.Join(dir, "copy-"+sessionID)
				data, err := os.ReadFile(path)
				if err == nil {
					err = os.WriteFile(copied, data, 0o600)
				}
				if err != nil {
					t.Error(err)
					return
				}
				later := open(t, embedded.Config{Path: copied})
				if got := later.whoami("X-Session-Token: " + tokens[sessionID]); got != 401 {
					t.Errorf("whoami of the file when told: %d", got)
				}
			}})
			mine := w.create(user("a@example.test"))
			other := w.create(embedded.NewSession{IdentityID: mine.IdentityID})
			bystander := w.create(user("b@example.test"))
			for _, c := range []embedded.Created{mine, other, bystander} {
				tokens[c.SessionID] = c.SessionToken
			}
			for range 2 { // the second time there is nothing left to tell
				answered = false
				if a := end(w, mine, other); a.status >= 500 {
					t.Fatalf("got %d %s", a.status, a.body)
				}
				answered = true
			}
			ids := want(mine, other)
			slices.Sort(ids)
			slices.Sort(told)
			if !slices.Equal(told, ids) {
				t.Errorf("told of %v; want %v", told, ids)
			}
			if got := w.whoami(tokenHeader(bystander)); got != 200 {
				t.Errorf("somebody else's session: %d", got)
			}
		})
	}
	onlyMine := func(mine, _ embedded.Created) []string { return []string{mine.SessionID} }
	onlyOther := func(_, other embedded.Created) []string { return []string{other.SessionID} }
	both := func(mine, other embedded.Created) []string { return []string{mine.SessionID, other.SessionID} }
	none := func(embedded.Created, embedded.Created) []string { return nil }

	f("logout by token", func(w *world, mine, _ embedded.Created) answer {
		return w.public("DELETE", "/self-service/logout/api", `{"session_token":"`+mine.SessionToken+`"}`)
	}, onlyMine)
	var flow struct {
		URL string `json:"logout_url"`
	}
	f("logout in the browser", func(w *world, mine, _ embedded.Created) answer {
		_ = json.Unmarshal([]byte(w.public("GET", "/self-service/logout/browser", "", cookieHeader(mine)).body), &flow)
		return w.public("GET", strings.TrimPrefix(flow.URL, "http://127.0.0.1:4433"), "", cookieHeader(mine))
	}, onlyMine)
	f("the caller's other sessions", func(w *world, mine, _ embedded.Created) answer {
		return w.public("DELETE", "/sessions", "", tokenHeader(mine))
	}, onlyOther)
	f("one of the caller's other sessions", func(w *world, mine, other embedded.Created) answer {
		return w.public("DELETE", "/sessions/"+other.SessionID, "", tokenHeader(mine))
	}, onlyOther)
	f("one by the admin", func(w *world, mine, _ embedded.Created) answer {
		return w.adminCall("DELETE", "/admin/sessions/"+mine.SessionID, "")
	}, onlyMine)
	f("an identity's sessions", func(w *world, mine, _ embedded.Created) answer {
		return w.adminCall("DELETE", "/admin/identities/"+mine.IdentityID+"/sessions", "")
	}, both)
	f("an identity removed", func(w *world, mine, _ embedded.Created) answer {
		return w.adminCall("DELETE", "/admin/identities/"+mine.IdentityID, "")
	}, both)
	f("an identity deactivated", func(w *world, mine, _ embedded.Created) answer {
		return w.adminCall("PATCH", "/admin/identities/"+mine.IdentityID, `[{"op":"replace","path":"/state","value":"inactive"}]`)
	}, both)
	f("an identity changed", func(w *world, mine, _ embedded.Created) answer {
		return w.adminCall("PATCH", "/admin/identities/"+mine.IdentityID, `[{"op":"replace","path":"/traits","value":{}}]`)
	}, none)
	f("extended", func(w *world, mine, _ embedded.Created) answer {
		return w.adminCall("PATCH", "/admin/sessions/"+mine.SessionID+"/extend", "")
	}, none)
}

// An end that cannot be written is not an end: it is answered with 500, told to nobody, and the session lives on.
func TestChangeThatCannotBeWritten(t *testing.T) {
	w := open(t, embedded.Config{Path: filepath.Join(t.TempDir(), "sessions.db"), Revoked: func(string, string) {
		t.Error("somebody was told")
	}})
	c := w.create(user("a@example.test"))
	before := w.s.Counts()
	if err := w.s.BreakFile(); err != nil {
		t.Fatal(err)
	}
	f := func(a answer) {
		t.Helper()
		if a.status != 500 || !strings.Contains(a.body, "write session file: ") {
			t.Errorf("got %d %s; want 500", a.status, a.body)
		}
	}
	f(w.adminCall("DELETE", "/admin/sessions/"+c.SessionID, ""))
	f(w.adminCall("DELETE", "/admin/identities/"+c.IdentityID, ""))
	f(w.adminCall("PATCH", "/admin/sessions/"+c.SessionID+"/extend", ""))
	f(w.adminCall("POST", "/admin/sessions", `{"identity":{"traits":{}}}`))
	f(w.public("DELETE", "/self-service/logout/api", `{"session_token":"`+c.SessionToken+`"}`))
	if got := w.whoami(tokenHeader(c)); got != 200 {
		t.Errorf("the session: %d", got)
	}
	if got := w.s.Counts(); got != before {
		t.Errorf("memory has changed: %v, was %v", got, before)
	}
}

// A session that has expired is no news when it is revoked, or dropped.
func TestRevokedIsNotToldOfExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := open(t, embedded.Config{Lifespan: time.Hour, Revoked: func(id, _ string) { t.Errorf("told of %s", id) }})
		c := w.create(user("a@example.test"))
		time.Sleep(time.Hour)
		w.must("DELETE", "/admin/sessions/"+c.SessionID, "")
		time.Sleep(time.Hour)
		w.create(user("b@example.test"))
		if got, want := w.s.Counts()[0], 1; got != want {
			t.Errorf("%d sessions; want %d", got, want)
		}
	})
}

// Nobody is answered that a session has ended while Revoked is still being told of it, not even who comes second.
func TestSecondAnswerWaitsForRevoked(t *testing.T) {
	for range 50 {
		var told atomic.Bool
		var s *embedded.Service
		second := make(chan struct{})
		s, err := embedded.Open(embedded.Config{Revoked: func(string, string) {
			<-second // has come in
			for range 20 {
				s.Public().ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/sessions/whoami", nil))
			}
			told.Store(true)
		}})
		if err != nil {
			t.Fatal(err)
		}
		c, err := s.Create(user("a@example.test"))
		if err != nil {
			t.Fatal(err)
		}
		var calls atomic.Int32
		var both sync.WaitGroup
		for range 2 {
			both.Go(func() {
				if calls.Add(1) == 2 {
					close(second)
				}
				got := httptest.NewRecorder()
				s.Admin().ServeHTTP(got, httptest.NewRequest("DELETE", "/admin/sessions/"+c.SessionID, nil))
				if got.Code != 204 || !told.Load() {
					t.Errorf("got %d, and Revoked was told: %v", got.Code, told.Load())
				}
			})
		}
		both.Wait()
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

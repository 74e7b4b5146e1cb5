package embedded_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-proxy/gatehouse/upstream/embedded"
)

// No cookie value but one that was issued opens a session, and nothing that a client sends makes the service panic.
func FuzzCookie(f *testing.F) {
	s, err := embedded.Open(embedded.Config{})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = s.Close() })
	c, err := s.Create(user("a@example.test"))
	if err != nil {
		f.Fatal(err)
	}
	good := c.SessionCookie.Value
	if id, ok := s.ReadCookie(good, time.Now()); !ok || id != c.SessionID || len(good) != 428 {
		f.Fatalf("the cookie itself is not read: %q, %v, %d bytes", id, ok, len(good))
	}
	// The key is new in each run, so a seed says how to change the good cookie: put text at a place instead of some bytes.
	f.Add(0, 0, "")
	f.Add(0, 428, "garbage")
	f.Add(427, 1, "")
	f.Add(426, 2, "R=")
	f.Add(100, 0, "\r\n")
	f.Add(0, 14, "OTk5OTk5OTk5OX")
	f.Add(200, 1, "A")
	f.Add(0, 428, strings.Repeat("A", 428))
	f.Add(428, 0, good)
	f.Fuzz(func(t *testing.T, at, instead int, text string) {
		at = min(max(at, 0), len(good))
		instead = min(max(instead, 0), len(good)-at)
		value := good[:at] + text + good[at+instead:]
		if _, ok := s.ReadCookie(value, time.Now()); ok != (value == good) {
			t.Errorf("%q is read: %v", value, ok)
		}
		r := httptest.NewRequest("GET", "/sessions/whoami", nil)
		r.Header["Cookie"] = []string{"ory_kratos_session=" + value}
		got := httptest.NewRecorder()
		s.Public().ServeHTTP(got, r)
		if got.Code != http.StatusUnauthorized && !strings.Contains(value, good) {
			t.Errorf("whoami with %q: %d", value, got.Code)
		}
	})
}

// Whatever is posted: it is refused and leaves nothing, or it makes one session that whoami knows.
func FuzzCreate(f *testing.F) {
	for _, body := range []string{
		`{"identity":{"traits":{}}}`,
		`{"identity":{"id":"6cbca666-9125-4d34-baca-a7c8ded9902e","traits":{"email":"a@example.test"},"metadata_public":[1],"schema_id":"x"},"aal":"aal2"}`,
		`{"identity":{"traits":{"email":1}},"expires_in":"1ns","require_aal2":true}`,
		`{"identity":{"traits":{"":null}},"devices":[{"ip_address":"192.0.2.1","user_agent":"x","location":"y"},{}],"expires_in":"1h"}`,
		`{"identity_id":"6cbca666-9125-4d34-baca-a7c8ded9902e"}`,
		`{"identity":null}`, `{"identity":{"traits":null}}`, `[]`, `null`, `{`, ``, "\xff", `{"identity":{"traits":{"\ud800":"<>&"}}}`,
	} {
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, body string) {
		s, err := embedded.Open(embedded.Config{})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		r := httptest.NewRequest("POST", "/admin/sessions", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		got := httptest.NewRecorder()
		s.Admin().ServeHTTP(got, r)
		switch sessions := s.Counts(); {
		case got.Code/100 == 4 && sessions == [4]int{}:
		case got.Code == http.StatusCreated && sessions == [4]int{1, 1, 1, 1}:
			var made struct {
				SessionToken string `json:"session_token"`
				Session      struct {
					ExpiresAt time.Time `json:"expires_at"`
				}
			}
			if err := json.Unmarshal(got.Body.Bytes(), &made); err != nil {
				t.Fatal(err)
			}
			r := httptest.NewRequest("GET", "/sessions/whoami", nil)
			r.Header.Set("X-Session-Token", made.SessionToken)
			known := httptest.NewRecorder()
			s.Public().ServeHTTP(known, r)
			short := !time.Now().Before(made.Session.ExpiresAt)
			if known.Code != http.StatusOK && known.Code != http.StatusForbidden && !short {
				t.Errorf("%q made a session that whoami answers with %d", body, known.Code)
			}
		default:
			t.Errorf("%q: %d %s, and there are %v", body, got.Code, got.Body, sessions)
		}
	})
}

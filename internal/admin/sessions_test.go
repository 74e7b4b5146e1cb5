package admin_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-proxy/gatehouse/internal/admin"
	"github.com/gatehouse-proxy/gatehouse/upstream"
)

func (f *fixture) remembered(limit int, want func(*upstream.Session) bool) ([]admin.Remembered, bool) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	list := []admin.Remembered{
		{
			&upstream.Session{ID: "s1", IdentityID: "i1", AAL: upstream.AAL2, AuthenticatedAt: at, ExpiresAt: at.Add(time.Hour)},
			"0a1b2c3d", "hot", 1500 * time.Millisecond, true,
		},
		{&upstream.Session{ID: "s1", IdentityID: "i1", AAL: upstream.AAL2}, "0a1b2c3e", "window", 0, true},
		{&upstream.Session{ID: "s2", IdentityID: "i2", AAL: upstream.AAL1}, "0a1b2c3f", "joined", time.Minute, false},
	}
	list = slices.DeleteFunc(list, func(r admin.Remembered) bool { return !want(r.Session) })
	return list[:min(limit, len(list))], len(list) > limit
}

func TestSessions(t *testing.T) {
	const (
		first = `{"session_id":"s1","identity_id":"i1","aal":"aal2","authenticated_at":"2026-01-02T03:04:05Z","expires_at":"2026-01-02T04:04:05Z",` +
			`"credential":"0a1b2c3d","table":"hot","state":"fresh","age_seconds":1.5}`
		second = `{"session_id":"s1","identity_id":"i1","aal":"aal2","credential":"0a1b2c3e","table":"window","state":"fresh","age_seconds":0}`
		third  = `{"session_id":"s2","identity_id":"i2","aal":"aal1","credential":"0a1b2c3f","table":"joined","state":"stale","age_seconds":60}`
	)
	f := func(query, more string, want ...string) {
		t.Helper()
		w := newFixture(t).do("GET", "/-/sessions"+query, "")
		if body := `{"sessions":[` + strings.Join(want, ",") + `],"more":` + more + "}\n"; w.Code != 200 || w.Body.String() != body {
			t.Errorf("%s: %d %s, want %s", query, w.Code, w.Body, body)
		}
	}
	f("", "false", first, second, third)
	f("?limit=2", "true", first, second)
	f("?identity_id=i2", "false", third)
	f("?session_id=s1&identity_id=i1&limit=10000", "false", first, second)
	f("?session_id=s1&identity_id=i2", "false")
	for _, query := range []string{"?limit=0", "?limit=10001", "?limit=x", "?limit=1&limit=2", "?session_id=", "?session=s1"} {
		if w := newFixture(t).do("GET", "/-/sessions"+query, ""); w.Code != 400 {
			t.Errorf("%s: %d %s", query, w.Code, w.Body)
		}
	}
}

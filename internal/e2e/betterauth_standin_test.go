package e2e

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/gatehouse-proxy/gatehouse/internal/app"
)

// TestBetterAuthClient lets the official client of Better Auth find its session at gateways in front of other services, and do all that it
// does with sessions at the one that stands in for Better Auth.
func TestBetterAuthClient(t *testing.T) {
	node := install(t, "betterauth")
	ask := func(base string, c created, method, parameters string) (data, failure string) {
		t.Helper()
		var got struct{ Data, Error json.RawMessage }
		node.run(&got, base, c.Cookie.Name+"="+c.Cookie.Value, method, parameters)
		return string(got.Data), string(got.Error)
	}
	for _, dialect := range []string{"kratos", "wacht", "crossid"} {
		g := startWith(t, "listen: 127.0.0.1:0\nadmin: ''\nwhoami: { dialect: better_auth, path: /api/auth/get-session }\n"+
			"upstream: { embedded: { dialect: "+dialect+", listen: '', admin_listen: 127.0.0.1:0 } }")
		c := g.createSession(t, "alice@example.com")
		data, failure := ask(g.url, c, "getSession", "{}")
		var s struct{ User struct{ ID, Email string } }
		if err := json.Unmarshal([]byte(data), &s); err != nil || s.User.ID == "" || s.User.Email != "alice@example.com" {
			t.Errorf("%s: %s, %s, %v", dialect, data, failure, err)
		}
		c.Cookie.Value = "nobody"
		if data, failure := ask(g.url, c, "getSession", "{}"); data != "null" || failure != "null" {
			t.Errorf("%s: nobody gets %s, %s", dialect, data, failure)
		}
	}

	a, _ := run(t, "listen: 127.0.0.1:0\nadmin: ''\n"+
		"upstream: { embedded: { dialect: better_auth, listen: 127.0.0.1:0, admin_listen: 127.0.0.1:0 } }")
	g := &gatehouse{service: "http://" + a.Address(app.ServiceAdmin).String()}
	own := "http://" + a.Address(app.Service).String()
	mine := g.createSession(t, "alice@example.com")
	data, _ := ask(own, mine, "getSession", "{}")
	var me struct{ User struct{ ID string } }
	if err := json.Unmarshal([]byte(data), &me); err != nil {
		t.Fatal(err)
	}
	other := g.create(t, fmt.Sprintf(`{"identity_id":%q}`, me.User.ID))
	third := g.create(t, fmt.Sprintf(`{"identity_id":%q}`, me.User.ID))

	var sessions []struct{ ID, Token, UserID string }
	data, failure := ask(own, mine, "listSessions", "{}")
	if err := json.Unmarshal([]byte(data), &sessions); err != nil || len(sessions) != 3 || sessions[0].UserID != me.User.ID {
		t.Fatalf("sessions: %s %s", data, failure)
	}
	f := func(c created, method, parameters, want string) {
		t.Helper()
		data, failure := ask(own, c, method, parameters)
		if !strings.Contains(data+failure, want) {
			t.Errorf("%s %s: %s %s, want %s", method, parameters, data, failure, want)
		}
	}
	f(mine, "revokeSession", fmt.Sprintf(`{"token":%q}`, sessions[0].Token), `{"status":true}`) // the newest
	f(third, "getSession", "{}", "null")
	f(third, "listSessions", "{}", `"status":401`)
	f(other, "getSession", "{}", me.User.ID)
	f(mine, "revokeOtherSessions", "{}", `{"status":true}`)
	f(other, "getSession", "{}", "null")
	f(mine, "getSession", "{}", me.User.ID)
	f(mine, "signOut", "{}", `{"success":true}`)
	f(mine, "getSession", "{}", "null")
}

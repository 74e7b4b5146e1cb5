package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/gatehouse-proxy/gatehouse/internal/app"
)

// An oryAnswer is what the official client got.
type oryAnswer struct {
	Status int
	Data   json.RawMessage
	Total  int
}

type orySession struct {
	ID       string
	Active   bool
	Identity struct {
		ID     string
		Traits struct{ Email string }
	}
}

func (a *oryAnswer) read(t *testing.T, v any) {
	t.Helper()
	if err := json.Unmarshal(a.Data, v); err != nil {
		t.Fatalf("%d %s: %v", a.Status, a.Data, err)
	}
}

// TestOryClient lets the official client for JavaScript, which an application would have that was written for Kratos, ask Gatehouse whose
// session it is, and the service behind it for the rest.
func TestOryClient(t *testing.T) {
	node := install(t, "ory")
	ask := func(gate string, calls ...any) (answers []oryAnswer) {
		t.Helper()
		list, err := json.Marshal(calls)
		if err != nil {
			t.Fatal(err)
		}
		if node.run(&answers, gate, string(list)); len(answers) != len(calls) {
			t.Fatalf("%d answers to %d calls", len(answers), len(calls))
		}
		return answers
	}
	type parameters = map[string]any
	call := func(method string, p parameters) any { return []any{method, p} }

	t.Run("whoami", func(t *testing.T) {
		for _, dialect := range []string{"kratos", "wacht", "crossid", "better_auth"} {
			g := startWith(t, "listen: 127.0.0.1:0\nadmin: ''\nwhoami: { dialect: kratos }\n"+
				"upstream: { embedded: { dialect: "+dialect+", listen: '', admin_listen: 127.0.0.1:0 } }")
			c := g.createSession(t, "alice@example.com")
			cookie := parameters{"cookie": "theme=dark; " + c.Cookie.Name + "=" + c.Cookie.Value}
			got := ask(g.url, call("toSession", cookie), call("toSession", cookie), call("toSession", parameters{}),
				call("toSession", parameters{"xSessionToken": "ory_st_unknown"}), call("toSession", parameters{"cookie": c.Cookie.Name + "=x"}))
			for _, a := range got[:2] { // asked, and remembered
				var s orySession
				if a.read(t, &s); a.Status != 200 || !s.Active || s.ID == "" || s.Identity.Traits.Email != "alice@example.com" {
					t.Errorf("%s: %d %s", dialect, a.Status, a.Data)
				}
			}
			for _, a := range got[2:] {
				var e struct{ Error struct{ Code int } }
				if a.read(t, &e); a.Status != 401 || e.Error.Code != 401 {
					t.Errorf("%s to nobody: %d %s", dialect, a.Status, a.Data)
				}
			}
		}
	})

	t.Run("sessions", func(t *testing.T) {
		// Two gateways: the service of the one is what the other asks, and passes other calls on to.
		inner, _ := run(t, "listen: 127.0.0.1:0\nadmin: ''\nupstream: { embedded: { listen: 127.0.0.1:0, admin_listen: 127.0.0.1:0 } }")
		service := &gatehouse{service: "http://" + inner.Address(app.ServiceAdmin).String()}
		own := "http://" + inner.Address(app.Service).String()
		outer, _ := run(t, "listen: 127.0.0.1:0\nadmin: ''\napp: "+own+"\nupstream: { kratos: { url: "+own+" }, timeout: 30s }\n"+
			"routes: [{ match: { path: /sessions }, access: public, forward_credential: true }]")
		gate := "http://" + outer.Address(app.Requests).String()

		mine := service.createSession(t, "alice@example.com")
		token := parameters{"xSessionToken": mine.Token}
		var alice orySession
		ask(gate, call("toSession", token))[0].read(t, &alice)
		others := map[string]bool{}
		for range 3 {
			others[service.create(t, fmt.Sprintf(`{"identity_id":%q}`, alice.Identity.ID)).Session.ID] = true
		}
		service.createSession(t, "bob@example.com")

		first := call("listMySessions", parameters{"xSessionToken": mine.Token, "pageSize": 2})
		next := call("listMySessions", parameters{"xSessionToken": mine.Token, "pageSize": 2, "pageToken": "next"})
		last := call("listMySessions", parameters{"xSessionToken": mine.Token, "perPage": 2, "page": 2})
		// Kratos counts pages from 0 in its links and from 1 in its database, so that the first page comes twice, and no link leads to the
		// last one.
		got := ask(gate, first, next, last, call("listMySessions", parameters{}), call("disableMyOtherSessions", token),
			call("listMySessions", token), call("toSession", token))
		listed := map[string]bool{}
		for n, a := range got[:3] {
			var page []orySession
			if a.read(t, &page); a.Status != 200 || a.Total != 3 || len(page) != []int{2, 2, 1}[n] {
				t.Errorf("page %d: %d, %d of %d: %s", n, a.Status, len(page), a.Total, a.Data)
			}
			for _, s := range page {
				listed[s.ID] = true
			}
		}
		if !maps.Equal(others, listed) {
			t.Errorf("listed are %v, want %v", listed, others)
		}
		f := func(n, status int, data string) {
			t.Helper()
			if a := got[n]; a.Status != status || !strings.Contains(string(a.Data), data) {
				t.Errorf("call %d: %d %s, want %d %s", n, a.Status, a.Data, status, data)
			}
		}
		f(3, 401, "No valid session cookie found.")
		f(4, 200, `{"count":3}`)
		f(5, 200, `[]`)
		f(6, 200, alice.ID)
	})
}

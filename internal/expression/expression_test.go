//go:build !core

package expression_test

import (
	"strings"
	"sync"
	"testing"

	"github.com/tidwall/gjson"

	"github.com/gatehouse-proxy/gatehouse/internal/expression"
)

const statement = `{"active":true,"identity":{"id":"i1","traits":{"email":"a@example.com","role":"admin","age":41}},
"authentication_methods":[{"method":"password"},{"method":"totp"}],"secret":"s3cr3t","none":null}`

func TestHolds(t *testing.T) {
	session := gjson.Parse(statement).Value()
	f := func(text string, want bool) {
		t.Helper()
		e, err := expression.Compile(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			return
		}
		for range 2 { // it says the same every time
			if got, err := e.Holds(session); got != want || err != nil {
				t.Errorf("%s: %v, %v", text, got, err)
			}
		}
		if e.String() != text {
			t.Errorf("%s reads %s", text, e)
		}
	}
	f(`session.identity.traits.role in ["admin", "editor"]`, true)
	f(`session.identity.traits.role in ["editor"]`, false)
	f(`session.identity.traits.email.endsWith("@example.com")`, true)
	f(`session.identity.traits.email.matches("^[a-z]+@example[.]com$")`, true)
	f(`session.authentication_methods.exists(m, m.method == "totp")`, true)
	f(`session.authentication_methods.all(m, m.method == "totp")`, false)
	f(`session.identity.traits.age >= 18`, true)
	f(`session.identity.traits.age == 41`, true)
	f(`session.active`+` == true`, true)
	f(`session.active && true`, true)
	f(`has(session.identity.traits.group) && session.identity.traits.group == "x"`, false)
	f(`session.none == null`, true)
	f(`true`, true)
}

func TestCannotBeSaid(t *testing.T) {
	session := gjson.Parse(statement).Value()
	f := func(text, want string) {
		t.Helper()
		e, err := expression.Compile(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			return
		}
		ok, err := e.Holds(session)
		if ok || err == nil || err.Error() != want {
			t.Errorf("%s: %v, %v\nwant %s", text, ok, err, want)
		}
		if err != nil && strings.Contains(strings.ReplaceAll(err.Error(), "session.secret", ""), "s3cr3t") {
			t.Errorf("%s: the error tells of the session: %v", text, err)
		}
	}
	f(`session.identity.traits.group == "x"`, "character 24, at `.group == \"x\"`: no such key")
	f(`session.none.x == 1`, "character 13, at `.x == 1`: no such key")
	f(`session.authentication_methods[7].method == "x"`, "character 34, at `.method == \"x\"`: index out of bounds")
	f(`session[session.secret] == 1`, "character 8, at `[session.secret] == 1`: no such key")
	f(`int(session.secret) == 1`, "character 4, at `(session.secret) == 1`: type conversion error")
	f(`timestamp(session.secret) > timestamp("2026-01-01T00:00:00Z")`,
		"character 10, at `(session.secret) > times…`: invalid RFC 3339 timestamp")
	f(`session.identity.id > 1`, "character 21, at `> 1`: no such overload")
	f(`session.secret || false`, "character 16, at `|| false`: no such overload")
	f(`session.active == true && session.identity.traits.group == "x" && true`,
		"character 50, at `.group == \"x\" && true`: no such key")
	f(`uint(session.identity.traits.age - 100.0) == 1u`, "character 5, at `(session.identity.traits…`: it has no value")
	ten := "[1,2,3,4,5,6,7,8,9,10]"
	f(ten+`.all(a, `+ten+`.all(b, `+ten+`.all(c, `+ten+`.all(d, `+ten+`.all(e, session.active == true)))))`,
		"it takes more than 100000 steps")
	if e, err := expression.Compile(`session.a == 1`); err != nil {
		t.Error(err)
	} else if ok, err := e.Holds("no object"); ok || err == nil {
		t.Errorf("a session that is no object: %v, %v", ok, err)
	}
}

func TestMistakes(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		if e, err := expression.Compile(text); e != nil || err == nil || err.Error() != want {
			t.Errorf("%s: %v, %v\nwant %s", text, e, err, want)
		}
	}
	const known = ": what is known is session, and the functions of CEL"
	f("", "is empty: say what must be true of the session")
	f(`sesion.id == "x"`, "character 1, at `sesion.id == \"x\"`: there is nothing called 'sesion'"+known)
	f(`session.id == "x" && now() > 1`, "character 25, at `() > 1`: there is nothing called 'now'"+known)
	f(`session.id = "a"`, "character 12, at `= \"a\"`: syntax error: write == to compare")
	f(`session.id ="a" && true`, "character 12, at `=\"a\" && true`: syntax error: write == to compare")
	f(`session.id ==`, "character 14: syntax error: something is missing at the end")
	f(`session.id == 'x`, "character 15, at `'x`: syntax error: ''x'")
	f(`é == session.id`, "character 1, at `é == session.id`: syntax error: 'é'")
	f(`"é" == 1`, "character 5, at `== 1`: found no matching overload for '_==_' applied to '(string, int)'")
	f("true &&\n foo", "line 2, character 2: there is nothing called 'foo'"+known)
	f(`session.identity.traits.role in "admin"`,
		"character 30, at `in \"admin\"`: found no matching overload for '@in' applied to '(dyn, string)'")
	f(`session.id.matches("[")`, "character 20, at `\"[\")`: this is no regular expression of RE2")
	f(`session.active`, "want a condition, and what this is depends on the session: compare it with something, such as == true")
	f(`size(session)`, "want a condition, which is true or false, got int")
	f(`session`, "want a condition, which is true or false, got map(string, dyn)")
	f(strings.Repeat(" ", expression.MaxLength)+"true", "want at most 4096 bytes, got 4100")
	if _, err := expression.Compile(strings.Repeat("(", 1000) + "true" + strings.Repeat(")", 1000)); err == nil {
		t.Error("brackets without end are taken")
	}
}

// One expression is used by many requests at once.
func TestConcurrentUse(t *testing.T) {
	e, err := expression.Compile(`session.identity.traits.role == "admin" && session.authentication_methods.exists(m, m.method == "totp")`)
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			session := gjson.Parse(statement).Value()
			for range 200 {
				if ok, err := e.Holds(session); !ok || err != nil {
					t.Error(ok, err)
					return
				}
			}
		})
	}
	all.Wait()
}

// Whatever is written: nothing panics, and what is accepted always ends in an answer or an error.
func FuzzCompile(f *testing.F) {
	for _, text := range []string{
		`session.a == "b"`, `has(session.a.b)`,
		`session.a.exists(x, x > 1) || [1][session.b] == 2`, `{1: 2}[session] == 3`, "'''",
	} {
		f.Add(text)
	}
	session := gjson.Parse(statement).Value()
	f.Fuzz(func(t *testing.T, text string) {
		e, err := expression.Compile(text)
		if (e == nil) == (err == nil) {
			t.Fatalf("%v and %v", e, err)
		}
		if err != nil {
			if !strings.Contains(text, "\n") && strings.Contains(err.Error(), "\n") {
				t.Errorf("a message of several lines: %q", err)
			}
			return
		}
		first, err := e.Holds(session)
		if first && err != nil {
			t.Errorf("true, with an error: %v", err)
		}
		if second, _ := e.Holds(session); second != first {
			t.Errorf("it says %v, then %v", first, second)
		}
	})
}

func TestReply(t *testing.T) {
	f := func(text string, status int, headers map[string]string, body string, want, wantErr bool) {
		t.Helper()
		r, err := expression.CompileReply(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			return
		}
		var value any
		if body != "" {
			value = gjson.Parse(body).Value()
		}
		if got, err := r.Holds(status, headers, value); got != want || (err != nil) != wantErr {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	f("status == 200", 200, nil, "", true, false)
	f("status == 200", 401, nil, "", false, false)
	f("has(body.user)", 200, nil, `{"user":1}`, true, false)
	f("has(body.user)", 200, nil, `{}`, false, false)
	f("body != null", 200, nil, "", false, false)
	f("body == {}", 200, nil, "{}", true, false)
	f("has(body.user)", 200, nil, "", false, false)
	f("body.user != 1", 200, nil, "", false, true)
	f("body.active == true", 200, nil, `{"active":false}`, false, false)
	f("body.active == true", 200, nil, `{}`, false, true)
	f(`headers["x-user"] != ""`, 200, map[string]string{"x-user": "1"}, "", true, false)
	f(`"x-user" in headers`, 200, nil, "", false, false)
	_, err := expression.CompileReply("session.active == true")
	if want := "character 1, at `session.active == true`: there is nothing called 'session': what is known is status, headers and body, " +
		"and the functions of CEL"; err == nil || err.Error() != want {
		t.Errorf("got %v\nwant %s", err, want)
	}
	if _, err := expression.CompileReply(""); err == nil || err.Error() != "is empty: say what must be true of the answer" {
		t.Errorf("an empty condition: %v", err)
	}
}

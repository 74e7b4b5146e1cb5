package expression_test

import (
	"testing"

	"github.com/tidwall/gjson"

	"github.com/gatehouse-proxy/gatehouse/internal/expression"
)

func TestProbe(t *testing.T) {
	for _, text := range []string{
		`sesion.x == 1`, `session.x ==`, `session.x`, `"a" == 1`, `session.identity.traits.role in "admin"`, `1 + "a" == 2`, `now() > 1`, `size(session)`, `session.x.matches("[")`,
		`timestamp("x") > timestamp("y")`, `session.x in ["a"] && `, `é == session.x`, "", `session.x == "abc`, `session == 1`, `session["a"] == 1 || foo.bar`, `session.x == duration("foo")`, `session.a.foo() == 1`, "session.a ==\n  1 &&\n foo",
		`!session.x`, `session.a && session.b`, `session.x ? true : 1`,
	} {
		_, err := expression.Compile(text)
		t.Logf("%s\n   -> %v", text, err)
	}
	body := gjson.Parse(`{"a":{"b":1,"s":"secret","l":[1,2],"big":1e3},"n":null}`).Value()
	for _, text := range []string{
		`session.x == 1`, `session.a.b == 1`, `session.a.b > 0`, `session.a.c == 1`, `session.a.b.c == 1`, `session.a.s > 1`, `int(session.a.s) == 1`, `session.a.l[7] == 1`, `session[session.a.s] == 1`,
		`duration(session.a.s) == duration("1s")`, `session.a.s.matches(session.a.s)`, `session.n == 1`, `session.n.x == 1`, `session.a.b / 0 == 1`, `1 / 0 == 1`,
		`session.a.l.all(x, session.a.l.all(y, x > y))`, `has(session.x.y)`, `has(session.x) && session.x == 1`, `session.a.s || true`, `session.a.s || false`,
		`[1,2,3,4,5,6,7,8,9,10].all(a,[1,2,3,4,5,6,7,8,9,10].all(b,[1,2,3,4,5,6,7,8,9,10].all(c,[1,2,3,4,5,6,7,8,9,10].all(d,[1,2,3,4,5,6,7,8,9,10].all(e, session.a.b == 1)))))`,
		`timestamp(session.a.s) > timestamp("2026-01-01T00:00:00Z")`, `session.a.s.foo == 1`, `session.a.s in session.a.b`, `session.a.l.exists(x, x == 2)`, `session.a.s ? true : false`,
		`"[" .matches(session.a.s + "[")`,
	} {
		e, err := expression.Compile(text)
		if err != nil {
			t.Logf("COMPILE %s\n   -> %v", text, err)
			continue
		}
		ok, err := e.Holds(body)
		t.Logf("%s\n   -> %v %v", text, ok, err)
	}
}

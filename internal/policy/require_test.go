package policy_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/gatehouse-proxy/gatehouse/internal/policy"
	"github.com/gatehouse-proxy/gatehouse/upstream"
)

// says is an expression that says what its text does, and counts how often it is asked.
type says struct {
	text  string
	asked *atomic.Int32
}

var errUnsaid = errors.New("no such key")

func (s says) String() string { return s.text }

func (s says) Holds(session any) (bool, error) {
	if s.asked != nil {
		s.asked.Add(1)
	}
	if s.text == "fails" {
		return true, errUnsaid
	}
	fields, _ := session.(map[string]any)
	return fields["id"] == "s1" && s.text == "true", nil
}

// unmet says why a session may not take the one route of a policy that requires r.
func unmet(t testing.TB, r policy.Requirement, s *upstream.Session) (policy.Reason, error) {
	t.Helper()
	p := compile(t, []policy.Rule{{Path: "/*", Access: policy.SessionAccess, Require: r}})
	view, err := p.View(s, nil)
	if err != nil {
		t.Fatal(err)
	}
	return p.Routes()[0].Unmet(s, view)
}

func TestRequirements(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := time.Now()
		full := &upstream.Session{
			AAL: upstream.AAL2, AuthenticatedAt: now.Add(-time.Hour),
			Body: []byte(`{"id":"s1","authentication_methods":[{"method":"password"},{"method":"totp"},{"method":7},{}]}`),
		}
		f := func(s *upstream.Session, r policy.Requirement, want policy.Reason, detail string) {
			t.Helper()
			got, err := unmet(t, r, s)
			if got != want || (err == nil) != (detail == "") || err != nil && err.Error() != detail {
				t.Errorf("%+v: %q, %v; want %q, %s", r, got, err, want, detail)
			}
		}
		ok := func(r policy.Requirement) { t.Helper(); f(full, r, "", "") }
		methods := func(m ...string) policy.Requirement { return policy.Requirement{Methods: [][]string{m}} }
		expression := func(text ...string) (r policy.Requirement) {
			for _, text := range text {
				r.Expressions = append(r.Expressions, says{text, nil})
			}
			return r
		}
		ok(policy.Requirement{})
		ok(policy.Requirement{AAL: upstream.AAL2})
		f(full, policy.Requirement{AAL: upstream.AAL3}, policy.InsufficientAAL, "")

		ok(policy.Requirement{MaxAge: time.Hour})
		f(full, policy.Requirement{MaxAge: time.Hour - 1}, policy.SessionTooOld, "")
		f(&upstream.Session{Body: full.Body}, policy.Requirement{MaxAge: 8760 * time.Hour}, policy.SessionTooOld, "") // the service did not say
		ahead := &upstream.Session{AuthenticatedAt: now.Add(time.Second), Body: full.Body}
		f(ahead, policy.Requirement{MaxAge: time.Second}, "", "") // by the clock of the service

		ok(methods("totp"))
		ok(methods("webauthn", "password"))
		ok(policy.Requirement{Methods: [][]string{{"totp"}, {"password"}}})
		f(full, policy.Requirement{Methods: [][]string{{"totp"}, {"x", "webauthn"}}}, policy.RequirementFailed,
			"session was authenticated by none of: webauthn x")
		f(full, methods("7"), policy.RequirementFailed, "session was authenticated by none of: 7")
		f(full, methods(""), policy.RequirementFailed, "session was authenticated by none of: ")

		ok(expression("true"))
		ok(expression("true", "true"))
		f(full, expression("true", "false"), policy.RequirementFailed, "expression is not true: false")
		f(full, expression("fails"), policy.RequirementFailed, "evaluate fails: no such key")

		// A session without a statement meets nothing that is asked of it, and does not end the process.
		for _, body := range [][]byte{nil, {}, []byte("{"), []byte("null")} {
			bare := &upstream.Session{AAL: upstream.AAL3, AuthenticatedAt: now, Body: body}
			f(bare, expression("true"), policy.RequirementFailed, "session has no statement in JSON")
			f(bare, methods("totp"), policy.RequirementFailed, "session has no statement in JSON")
			f(bare, policy.Requirement{AAL: upstream.AAL3, MaxAge: time.Second}, "", "")
		}
		f(&upstream.Session{Body: []byte(`{"authentication_methods":"totp"}`)}, methods("totp"), policy.RequirementFailed,
			"session was authenticated by none of: totp")

		// What the client can mend by signing in again is said first.
		all := policy.Requirement{AAL: upstream.AAL3, MaxAge: time.Second}.And(methods("x")).And(expression("false"))
		f(full, all, policy.InsufficientAAL, "")
		all.AAL = upstream.AAL1
		f(full, all, policy.SessionTooOld, "")
		all.MaxAge = 0
		f(full, all, policy.RequirementFailed, "session was authenticated by none of: x")
	})
}

// An age is judged at every request, and not when the view was made.
func TestSessionsGrowOld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := compile(t, []policy.Rule{{Path: "/*", Access: policy.SessionAccess, Require: policy.Requirement{MaxAge: time.Minute}}})
		s := &upstream.Session{AuthenticatedAt: time.Now()}
		view, err := p.View(s, nil)
		if err != nil {
			t.Fatal(err)
		}
		f := func(later time.Duration, want policy.Reason) {
			t.Helper()
			time.Sleep(later)
			if got, _ := p.Routes()[0].Unmet(s, view); got != want {
				t.Errorf("after %s: %q, want %q", time.Since(s.AuthenticatedAt), got, want)
			}
		}
		f(0, "")
		f(time.Minute, "")
		f(1, policy.SessionTooOld)
	})
}

// An expression is evaluated once a session and policy, however many routes and requests ask for it.
func TestExpressionsAreEvaluatedOnce(t *testing.T) {
	var asked atomic.Int32
	var rules []policy.Rule
	for i := range 10 {
		require := policy.Requirement{Expressions: []policy.Expression{says{"true", &asked}}, Methods: [][]string{{"b", "a"}, {"a", "b"}}}
		rules = append(rules, policy.Rule{Path: fmt.Sprintf("/%d", i), Access: policy.SessionAccess, Require: require})
	}
	first, second := compile(t, rules), compile(t, rules)
	s := &upstream.Session{Body: []byte(`{"id":"s1","authentication_methods":[{"method":"a"}]}`)}
	for n, p := range []*policy.Policy{first, first, first, second, second} {
		view, err := p.View(s, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range p.Routes() {
			if why, err := r.Unmet(s, view); why != "" || err != nil {
				t.Error(why, err)
			}
		}
		want := int32(1)
		if n > 2 {
			want = 2
		}
		if got := asked.Load(); got != want {
			t.Errorf("round %d: evaluated %d times, want %d", n, got, want)
		}
	}
	view, _ := second.View(s, nil)
	route := second.Routes()[9]
	if n := testing.AllocsPerRun(100, func() { _, _ = route.Unmet(s, view) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// A session meets two requirements together exactly if it meets both.
func TestAndIsBoth(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		method := rapid.SampledFrom([]string{"password", "totp", "webauthn"})
		requirement := rapid.Custom(func(t *rapid.T) (r policy.Requirement) {
			r.AAL = upstream.AAL(rapid.IntRange(0, 3).Draw(t, "aal"))
			r.MaxAge = time.Duration(rapid.IntRange(0, 3).Draw(t, "age")) * time.Hour
			r.Methods = rapid.SliceOfN(rapid.SliceOfN(method, 1, 2), 0, 2).Draw(t, "methods")
			for _, text := range rapid.SliceOfN(rapid.SampledFrom([]string{"true", "true", "false", "fails"}), 0, 2).Draw(t, "expressions") {
				r.Expressions = append(r.Expressions, says{text, nil})
			}
			return r
		})
		a, b := requirement.Draw(t, "a"), requirement.Draw(t, "b")
		before := fmt.Sprint(a, b)
		used := rapid.SliceOfDistinct(method, func(s string) string { return s }).Draw(t, "used")
		s := &upstream.Session{
			AAL:             upstream.AAL(rapid.IntRange(0, 3).Draw(t, "level")),
			AuthenticatedAt: time.Now().Add(-time.Duration(rapid.IntRange(0, 3).Draw(t, "ago"))*time.Hour - time.Minute),
		}
		var list []string
		for _, m := range used {
			list = append(list, `{"method":"`+m+`"}`)
		}
		s.Body = []byte(`{"id":"s1","authentication_methods":[` + strings.Join(list, ",") + `]}`)
		meets := func(r policy.Requirement) bool {
			p, err := policy.Compile([]policy.Rule{{Path: "/*", Access: policy.SessionAccess, Require: r}}, nil)
			if err != nil {
				t.Fatal(err)
			}
			view, err := p.View(s, nil)
			if err != nil {
				t.Fatal(err)
			}
			why, _ := p.Routes()[0].Unmet(s, view)
			if want := model(r, s, used); (why == "") != want {
				t.Fatalf("%+v: %q, want it met: %v", r, why, want)
			}
			return why == ""
		}
		if got, want := meets(a.And(b)), meets(a) && meets(b); got != want {
			t.Fatalf("together %v, each %v", got, want)
		}
		if after := fmt.Sprint(a, b); after != before {
			t.Fatalf("And changed what it was given: %s to %s", before, after)
		}
	})
}

// model says whether a session meets a requirement, in the plainest way.
func model(r policy.Requirement, s *upstream.Session, used []string) bool {
	ok := s.AAL >= r.AAL && (r.MaxAge == 0 || time.Since(s.AuthenticatedAt) <= r.MaxAge)
	for _, any := range r.Methods {
		ok = ok && slices.ContainsFunc(any, func(m string) bool { return slices.Contains(used, m) })
	}
	for _, e := range r.Expressions {
		ok = ok && e.String() == "true"
	}
	return ok
}

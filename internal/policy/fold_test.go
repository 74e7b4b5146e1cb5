package policy_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-proxy/gatehouse/internal/policy"
	"github.com/gatehouse-proxy/gatehouse/upstream"
)

// remembered is what a cache keeps of a session.
type remembered struct {
	body []byte
	kept bool
	memo string
}

func (r remembered) Body() ([]byte, bool) { return r.body, r.kept }
func (r remembered) Told() []byte         { return nil }
func (r remembered) Memo() []byte         { return []byte(r.memo) }

// A view that was folded is the view that it was, to the policy that made it.
func TestFoldedViews(t *testing.T) {
	var rules []policy.Rule
	for i, r := range []policy.Requirement{
		{Methods: [][]string{{"totp"}}},
		{Expressions: []policy.Expression{says{"true", nil}}},
		{Expressions: []policy.Expression{says{"false", nil}}},
		{Expressions: []policy.Expression{says{"fails", nil}}},
	} {
		rules = append(rules, policy.Rule{Path: fmt.Sprintf("/%d", i), Access: policy.SessionAccess, Require: r})
	}
	headers := []policy.Header{{Name: "X-A", Path: "a"}, {Name: "X-B", Path: "b"}, {Name: "X-C", Path: "c"}}
	p, other := compile(t, rules, headers...), compile(t, rules, headers...)
	f := func(body string) {
		t.Helper()
		s := &upstream.Session{ID: "S", IdentityID: "I", Body: []byte(body)}
		p.Prepare(s, nil)
		made, err := p.View(s, nil)
		if err != nil || s.Memo() != any(made) {
			t.Fatalf("view is %v, %v, and the memo %v", made, err, s.Memo())
		}
		folded := string(made.AppendFolded(nil))
		session := func(kept bool) *upstream.Session {
			r := remembered{kept: kept, memo: folded}
			if kept {
				r.body = []byte(body)
			}
			return upstream.Unfold(&upstream.Session{ID: "S", IdentityID: "I"}, r)
		}
		for _, kept := range []bool{true, false} {
			s := session(kept)
			view, err := p.View(s, nil)
			if err != nil || view.Policy() != p {
				t.Fatalf("%s: view is %v, %v", body, view, err)
			}
			if diff := cmp.Diff(made.Fields, view.Fields, cmp.Comparer(func(a, b []byte) bool { return string(a) == string(b) })); diff != "" {
				t.Error(diff)
			}
			for _, r := range p.Routes() {
				want, wantErr := r.Unmet(s, made)
				got, err := r.Unmet(s, view)
				_, failed := errors.AsType[*policy.EvaluationError](wantErr)
				_, failedToo := errors.AsType[*policy.EvaluationError](err)
				if got != want || failed != failedToo || kept && (err == nil) != (wantErr == nil) || kept && err != nil && err.Error() != wantErr.Error() {
					t.Errorf("%s, kept %v: %s, %v, want %s, %v", body, kept, got, err, want, wantErr)
				}
			}
			if again, _ := p.View(s, nil); again != view {
				t.Error("the view was made again")
			}
		}
		// Another policy, the same but for when it was made, believes none of it.
		if view, err := other.View(session(true), nil); err != nil || view.Policy() != other {
			t.Errorf("other policy: %v, %v", view, err)
		}
		if view, err := other.View(session(false), nil); !errors.Is(err, policy.ErrForgotten) {
			t.Errorf("other policy, not kept: %v, %v", view, err)
		}
	}
	f(`{"id":"s1","a":"1","b":"` + "Zoë" + `","c":["x",{"y":1}],"authentication_methods":[{"method":"totp"}]}`)
	f(`{"a":"","authentication_methods":[{"method":"password"}]}`)
	f(`no JSON`)
	f(``)
}

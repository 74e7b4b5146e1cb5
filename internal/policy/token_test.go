package policy_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-proxy/gatehouse/internal/policy"
	"github.com/gatehouse-proxy/gatehouse/upstream"
)

// A signer signs with a number.
type signer struct {
	signed int
	fails  error
	long   bool
}

func (s *signer) Sign(session *upstream.Session, audience string) (policy.Token, error) {
	s.signed++
	value := fmt.Sprintf("%s for %s #%d", session.ID, audience, s.signed)
	if s.long {
		value = strings.Repeat("x", policy.MaxValue+1)
	}
	return policy.Token{Value: []byte(value), RenewAt: time.Now().Add(time.Minute).Round(0)}, s.fails
}

// A token is signed once a session and audience, and again when it is to be renewed.
func TestTokensAreRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var by signer
		rules := []policy.Rule{
			{Path: "/a", Access: policy.SessionAccess, Audience: "a"},
			{Path: "/b", Access: policy.SessionAccess, Audience: "b"},
			{Path: "/c", Access: policy.SessionAccess, Audience: "a"},
		}
		plain := compile(t, rules, policy.Header{Name: "X-User-Id", Path: "id"})
		p := plain.WithTokens(policy.Tokens{Header: "X-Jwt", Signer: &by, KeysPath: "/keys", Keys: []byte("{}")})
		s := &upstream.Session{ID: "s1", Body: []byte(`{"id":"s1"}`)}
		token := func(p *policy.Policy, s *upstream.Session, route int, want string) {
			t.Helper()
			view, err := p.View(s, nil)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := view.Token(s, p.Routes()[route]); string(got) != want || err != nil {
				t.Errorf("%q, %v; want %q", got, err, want)
			}
		}
		for range 3 {
			token(p, s, 0, "s1 for a #1")
			token(p, s, 1, "s1 for b #2")
			token(p, s, 2, "s1 for a #1")
			token(p, nil, 0, "")
			time.Sleep(time.Minute/3 - 1)
		}
		view, _ := p.View(s, nil)
		route := p.Routes()[0]
		if n := testing.AllocsPerRun(100, func() { _, _ = view.Token(s, route) }); n != 0 {
			t.Errorf("%v allocations for a token that is remembered", n)
		}
		time.Sleep(3 * time.Nanosecond)
		token(p, s, 0, "s1 for a #3")
		token(p, s, 1, "s1 for b #4")
		token(p, &upstream.Session{ID: "s2"}, 0, "s2 for a #5") // another session's is another
		token(p, s, 0, "s1 for a #3")

		// Another policy signs its own, and one without tokens has none.
		again := plain.WithTokens(policy.Tokens{Header: "X-Jwt", Signer: &by})
		token(again, s, 0, "s1 for a #6")
		token(plain, s, 0, "")
		if path, keys := plain.Keys(); path != "" || keys != nil || plain.TokenHeader() != nil {
			t.Errorf("a policy without tokens has %q %q %q", path, keys, plain.TokenHeader())
		}
		if path, keys := p.Keys(); path != "/keys" || string(keys) != "{}" || string(p.TokenHeader()) != "X-Jwt" {
			t.Errorf("%q %q %q", path, keys, p.TokenHeader())
		}
		if view, err := p.View(nil, nil); err != nil || view.Policy() != p || len(view.Fields) != 1 {
			t.Errorf("the view of nobody is %v, %v", view, err)
		}
	})
}

// What cannot be signed is an error each time, and nothing is remembered of it.
func TestTokensThatCannotBeSigned(t *testing.T) {
	f := func(by *signer, want string) {
		t.Helper()
		p := compile(t, []policy.Rule{{Path: "/*"}}).WithTokens(policy.Tokens{Header: "X-Jwt", Signer: by})
		s := &upstream.Session{ID: "s1"}
		view, err := p.View(s, nil)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if got, err := view.Token(s, p.Routes()[0]); got != nil || err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%q, %v", got, err)
			}
		}
	}
	f(&signer{fails: errors.New("no key")}, "sign identity token: no key")
	f(&signer{long: true}, "sign identity token: 8193 bytes are over the limit of 8192: choose fewer or smaller claims")
}

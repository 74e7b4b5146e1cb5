package policy_test

import (
	"testing"

	"github.com/gatehouse-proxy/gatehouse/internal/policy"
)

// No mistake makes every page act for its user: with credentials an origin must be named.
func TestCORSAllows(t *testing.T) {
	const origin = "https://www.example.com"
	f := func(c policy.CORS, origin string, want bool) {
		t.Helper()
		if got := c.Allows([]byte(origin)); got != want {
			t.Errorf("%+v allows %q: %v, want %v", c, origin, got, want)
		}
	}
	f(policy.CORS{}, origin, false)
	f(policy.CORS{}, "", false)
	f(policy.CORS{Origins: []string{origin}}, origin, true)
	f(policy.CORS{Origins: []string{origin}}, origin+"x", false)
	f(policy.CORS{Origins: []string{"*"}}, origin, true)
	f(policy.CORS{Origins: []string{"*"}}, "null", true)
	for _, o := range []string{origin, "null", "*", ""} {
		f(policy.CORS{Origins: []string{"*"}, Credentials: true}, o, false)
	}
	if c := (policy.CORS{Origins: []string{"*"}, Credentials: true}); c.Any() {
		t.Error("every origin, with credentials")
	}
}

package policy_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-proxy/gatehouse/internal/policy"
)

// The list is closed: what is not on it in its own letters is not served, and what is safe is on it.
func TestKnownMethods(t *testing.T) {
	all := policy.Methods()
	for _, m := range all {
		if !policy.KnownMethod([]byte(m)) || policy.KnownMethod([]byte(strings.ToLower(m))) || policy.KnownMethod([]byte(m+"X")) ||
			policy.KnownMethod([]byte(m[:len(m)-1])) {
			t.Errorf("%s is not known in its own letters only", m)
		}
	}
	for _, m := range []string{"", "CONNECT", "TRACE", "PRI", "TRACK", "DEBUG", "GET ", "G\x00T", "*"} {
		if policy.KnownMethod([]byte(m)) || policy.SafeMethod([]byte(m)) {
			t.Errorf("%q is known", m)
		}
	}
	for m, safe := range map[string]bool{
		"GET": true, "HEAD": true, "OPTIONS": true, "QUERY": true, "PROPFIND": true, "REPORT": true, "SEARCH": true,
		"POST": false, "PUT": false, "PATCH": false, "DELETE": false, "PROPPATCH": false, "MKCOL": false, "COPY": false, "MOVE": false,
		"LOCK": false, "UNLOCK": false, "ACL": false, "MKCALENDAR": false,
	} {
		if policy.SafeMethod([]byte(m)) != safe || !slices.Contains(all, m) {
			t.Errorf("%s: want safe %v", m, safe)
		}
		all = slices.DeleteFunc(all, func(n string) bool { return n == m })
	}
	if len(all) > 0 {
		t.Errorf("not thought about: %v", all)
	}
}

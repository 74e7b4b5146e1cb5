//go:build !race

package app_test

import (
	"context"
	"testing"

	"github.com/gatehouse-proxy/gatehouse/internal/policy"
	"github.com/gatehouse-proxy/gatehouse/proxy"
	"github.com/gatehouse-proxy/gatehouse/upstream"
)

// TestDecideDoesNotAllocate holds that a decision about a known session, with the real cache, allocates nothing. The race detector makes
// pools forget at random, so this is measured without it.
func TestDecideDoesNotAllocate(t *testing.T) {
	f := func(name string, c upstream.Credential, routes int) {
		t.Helper()
		g := newGate(t, routes)
		presented := &presents{proxy.Presented{Credential: c}}
		decide := func() {
			if d := g.Decide(context.Background(), target, presented); d.Verdict != policy.Allowed {
				t.Fatalf("%s: verdict is %v", name, d.Verdict)
			}
		}
		decide()
		if n := testing.AllocsPerRun(1000, decide); n != 0 {
			t.Errorf("%s: a decision allocates %v times", name, n)
		}
	}
	f("39-byte token", token, 1)
	f("428-byte cookie", cookie, 1)
	f("1,000 routes", token, 1000)
}

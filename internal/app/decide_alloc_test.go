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

// TestMissesAllocateLittle holds that a question to the session service does not become dearer unnoticed. It takes 53 allocations, of which
// net/http makes 17 as it reads the answer, and the contexts with which a question can be given up 12.
func TestMissesAllocateLittle(t *testing.T) {
	const misses, most = 5000, 55
	s := inMemory(t, missServer(t))
	asked := 0
	n := testing.AllocsPerRun(3, func() {
		s.strangers(t, asked, misses)
		asked += misses
	}) / misses
	t.Logf("a miss allocates %.1f times", n)
	if n > most {
		t.Errorf("a miss allocates %.1f times, and may allocate %d times", n, most)
	}
}

package proxy_test

import (
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-proxy/gatehouse/upstream"
)

// When many requests wait for the session service, none holds the memory that the largest head would need.
func TestRequestsThatWaitHoldLittle(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector takes memory")
	}
	const waiting, most = 200, 56 << 10 // of which the test's own client has some 5
	g := newGateway(t, nil)
	arrived, answered := make(chan struct{}, waiting), make(chan struct{})
	g.sessions.decide("session_token stranger", func(time.Duration) (upstream.Answer, error) {
		arrived <- struct{}{}
		<-answered
		return hit(session("alice")), nil
	})
	before := held()
	var clients []*client
	for range waiting {
		c := g.dial()
		c.send(request("GET", "/sessions/whoami", "", "X-Session-Token: stranger"))
		clients = append(clients, c)
	}
	for range clients {
		receive(t, arrived)
	}
	each := (held() - before) / waiting
	close(answered)
	for _, c := range clients {
		if res := c.next("GET"); res.StatusCode != 200 {
			t.Fatalf("status %d", res.StatusCode)
		}
	}
	if each > most {
		t.Errorf("a request that waits holds %d bytes, want at most %d", each, most)
	}
}

// held returns how much of the heap is in use.
func held() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// Requests of every size that is allowed are served when somebody has to be asked about them, one after the other.
func TestRequestsOfEverySizeGoTheLongWay(t *testing.T) {
	g := newGateway(t, answering(t, ok("ok")), func(s *setup) { s.Limits.Head = 32 << 10 })
	g.sessions.decide("session_token stranger", func(time.Duration) (upstream.Answer, error) { return hit(session("alice")), nil })
	c := g.dial()
	for _, size := range []int{500, 8<<10 - 1, 8 << 10, 8<<10 + 1, 500, 16 << 10, 32<<10 - 1, 500} {
		for _, body := range []string{"", strings.Repeat("b", 300), strings.Repeat("b", 20<<10)} {
			method := map[bool]string{true: "GET", false: "POST"}[body == ""]
			head := func(filler string) string {
				return request(method, "/app/x", body, "X-Session-Token: stranger", "X-Filler: "+filler)
			}
			c.send(head(strings.Repeat("f", size-len(head(""))+len(body))))
			if res := c.next(method); res.StatusCode != 200 || res.body != "ok" {
				t.Fatalf("head of %d bytes, body of %d: status %d, body %q", size, len(body), res.StatusCode, res.body)
			}
		}
	}
}

package proxy_test

import (
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-proxy/gatehouse/upstream"
)

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

//go:build !race

package proxy_test

import (
	"context"
	"io"
	"net"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-proxy/gatehouse/internal/policy"
	"github.com/gatehouse-proxy/gatehouse/proxy"
	"github.com/gatehouse-proxy/gatehouse/upstream"
)

// The race detector allocates on its own account and drops pooled objects at random, so that all of this runs without it.

// A request that is answered from memory allocates nothing.
func TestAnswersFromMemoryDoNotAllocate(t *testing.T) {
	for name, request := range benchRequests() {
		b := newBench(t, nil, request)
		if status := b.serve(); status != 200 {
			t.Fatalf("%s: status %d", name, status)
		}
		if n := testing.AllocsPerRun(1000, func() { b.serve() }); n != 0 {
			t.Errorf("%s: %v allocations a request", name, n)
		}
	}
}

// Nor does one whose session cookie is found by the beginning of its name.
func TestACookieByAPatternDoesNotAllocate(t *testing.T) {
	b := newBenchFor(t, nil, "ory_session_*", request("GET", "/sessions/whoami", "", "Cookie: a=1; ory_session_romanticswirles9ixv6n="+realCookie))
	if status := b.serve(); status != 200 {
		t.Fatalf("status %d", status)
	}
	if n := testing.AllocsPerRun(1000, func() { b.serve() }); n != 0 {
		t.Errorf("%v allocations a request", n)
	}
}

func TestDecideDoesNotAllocate(t *testing.T) {
	g := proxy.NewGate(&proxy.Service{Sessions: oneSession{able("alice")}}, quickPolicy(t, nil))
	target := proxy.Target{Method: []byte("GET"), Host: []byte("app.example.com"), Path: []byte("/app/page")}
	for _, c := range []upstream.Credential{
		{Kind: upstream.SessionToken, Name: "X-Session-Token", Value: []byte(realToken)},
		{Kind: upstream.Cookie, Name: "ory_kratos_session", Value: []byte(realCookie)},
	} {
		presented := &proxy.Presented{Credential: c}
		n := testing.AllocsPerRun(1000, func() {
			d := g.Decide(context.Background(), target, presented)
			if d.Verdict != policy.Allowed || len(d.View.Fields) != 5 || len(d.Token) == 0 {
				t.Fatal("not allowed")
			}
		})
		if n != 0 {
			t.Errorf("%s: %v allocations", c.Kind, n)
		}
	}
}

// Nor does one where there are several services, each with credentials of its own.
func TestAnswersOfSeveralServicesDoNotAllocate(t *testing.T) {
	names := []proxy.Credentials{{TokenHeader: "X-Session-Token", Cookie: "sid", Bearer: true}, {TokenHeader: "X-Sid", Cookie: "ory_kratos_session"}}
	for _, line := range []string{"X-Sid: " + realToken, "Cookie: sid=x; ory_kratos_session=" + realCookie} {
		var services []*proxy.Service
		for _, c := range names {
			services = append(services, &proxy.Service{Label: c.Cookie, Sessions: oneSession{able("alice")}, Credentials: c})
		}
		p, err := policy.Compile([]policy.Rule{{Path: "/*", Access: policy.SessionAccess, App: quickApp(t), Service: services[1]}}, someHeaders)
		if err != nil {
			t.Fatal(err)
		}
		b := newBenchOf(t, proxy.NewGate(nil, p), services, request("GET", "/app/page?q=1", "", "Accept: */*", line))
		if status := b.serve(); status != 200 {
			t.Fatalf("status %d", status)
		}
		if n := testing.AllocsPerRun(1000, func() { b.serve() }); n != 0 {
			t.Errorf("%.20s: %v allocations a request", line, n)
		}
	}
}

// Nor does one that is passed on, if the response is small.
func TestProxiedRequestDoesNotAllocate(t *testing.T) {
	b := newBench(t, quickApp(t), request("GET", "/app/page?q=1", "", "Accept: */*", "User-Agent: x",
		"Cookie: a=1; ory_kratos_session="+realCookie))
	if status := b.serve(); status != 200 {
		t.Fatalf("status %d", status)
	}
	if n := testing.AllocsPerRun(1000, func() { b.serve() }); n != 0 {
		t.Errorf("%v allocations a request", n)
	}
}

// Nothing in a lane allocates.
func TestTheLaneDoesNotAllocate(t *testing.T) {
	service := quickService("ory_kratos_session")
	server := proxy.NewServer(benchConfig(proxy.NewGate(service, quickPolicy(t, quickApp(t))), []*proxy.Service{service}))
	ln, err := net.Listen("unix", filepath.Join(t.TempDir(), "lane")) // whose peers are trusted
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(ln) }()
	t.Cleanup(func() {
		_ = server.Shutdown(t.Context())
		<-served
	})
	all := benchRequests()
	all["proxy cookie"] = request("GET", "/app/page?q=1", "", "Accept: */*", "User-Agent: x", "Cookie: a=1; ory_kratos_session="+realCookie)
	all["proxy token"] = request("GET", "/app/page?q=1", "", "X-Session-Token: "+realToken)
	for name, sent := range all {
		c, err := net.Dial("unix", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		out, in := []byte(sent), make([]byte, 16<<10)
		size := 0
		exchange := func() {
			if _, err := c.Write(out); err != nil {
				t.Fatal(err)
			}
			n, err := io.ReadAtLeast(c, in, max(1, size))
			if err != nil || !strings.HasPrefix(string(in[:15]), "HTTP/1.1 200 OK") || server.Handed() != 0 {
				t.Fatalf("%s: %q, %v", name, in[:n], err)
			}
			size = n
		}
		for range 10 {
			exchange()
		}
		if n := testing.AllocsPerRun(1000, exchange); n != 0 {
			t.Errorf("%s: %v allocations a request", name, n)
		}
		_ = c.Close()
	}
}

// When many requests wait for the session service, none holds the memory that the largest head would need.
func TestRequestsThatWaitHoldLittle(t *testing.T) {
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

package proxy_test

import (
	"bufio"
	"context"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/gatehouse-proxy/gatehouse/internal/policy"
	"github.com/gatehouse-proxy/gatehouse/proxy"
	"github.com/gatehouse-proxy/gatehouse/upstream"
)

// The credentials of Kratos have these lengths.
var (
	realToken  = "ory_st_" + strings.Repeat("x", 32)
	realCookie = strings.Repeat("c", 428)
)

// oneSession answers every question with a session that is remembered.
type oneSession struct{ *upstream.Session }

func (s oneSession) Lookup(context.Context, upstream.Credential, time.Duration) (upstream.Answer, error) {
	return upstream.Answer{Session: s.Session, Source: upstream.Hit, BelieveFor: time.Minute}, nil
}

func (s oneSession) Recall(upstream.Credential, time.Time) (upstream.Answer, bool) {
	return upstream.Answer{Session: s.Session, Source: upstream.Hit, BelieveFor: time.Minute}, true
}

// idle observes nothing.
type idle struct{}

func (idle) Began(proxy.Face)                                    {}
func (idle) Decided(proxy.Face, *policy.Decision, time.Duration) {}
func (idle) Ended(proxy.Face, time.Duration)                     {}
func (idle) TunnelEnded(proxy.TunnelEnd)                         {}
func (idle) ForeignHeaders(proxy.Dialect)                        {}
func (idle) LargeAnswer()                                        {}
func (idle) Answered(int, time.Duration)                         {}
func (idle) Cut(proxy.Side)                                      {}
func (idle) Limited(proxy.Limit)                                 {}
func (idle) Forward(context.Context, upstream.Credential, []byte) (upstream.Reply, error) {
	return upstream.Reply{}, errOutage
}

// quickPolicy has five identity headers and signed tokens, and everything that a route can require.
func quickPolicy(t testing.TB, app *proxy.App) *policy.Policy {
	t.Helper()
	all := policy.Rule{Path: "/*", Access: policy.SessionAccess, Audience: "app", Require: policy.Requirement{
		AAL: upstream.AAL1, MaxAge: time.Hour, Methods: [][]string{{"totp", "password"}}, Expressions: []policy.Expression{condition{}},
	}}
	p, err := policy.Compile(leadingTo(app, []policy.Rule{all}), []policy.Header{
		{Name: "X-User-Id", Path: "identity.id"},
		{Name: "X-User-Email", Path: "identity.traits.email"},
		{Name: "X-User-Phone", Path: "identity.traits.phone"},
		{Name: "X-Session-Id", Path: "id"},
		{Name: "X-Active", Path: "active"},
	})
	if err != nil {
		t.Fatal(err)
	}
	return p.WithTokens(policy.Tokens{Header: "X-Id-Token", Signer: plainSigner{}, KeysPath: "/keys", Keys: []byte(keys)})
}

// able returns a session that meets what quickPolicy requires.
func able(name string) *upstream.Session {
	s := session(name)
	s.AuthenticatedAt = time.Now()
	s.Body = append([]byte(`{"admin":true,"authentication_methods":[{"method":"password"}],`), s.Body[1:]...)
	return s
}

// A bench serves one request over and over, without a network.
type bench struct {
	*proxy.Server
	ctx fasthttp.RequestCtx
}

func newBench(t testing.TB, app *proxy.App, request string) *bench {
	t.Helper()
	return newBenchFor(t, app, "ory_kratos_session", request)
}

// newBenchFor is newBench for a session cookie of another name.
func newBenchFor(t testing.TB, app *proxy.App, cookie, request string) *bench {
	t.Helper()
	service := quickService(cookie)
	return newBenchOf(t, proxy.NewGate(service, quickPolicy(t, app)), []*proxy.Service{service}, request)
}

// quickService is a session service that remembers one session.
func quickService(cookie string) *proxy.Service {
	return &proxy.Service{
		Sessions: oneSession{able("alice")}, Passthrough: idle{},
		Credentials: proxy.Credentials{
			TokenHeader: "X-Session-Token", CookieHeader: "X-Session-Cookie", Cookie: cookie, Bearer: true,
		},
	}
}

// benchConfig is the configuration of a server that takes time for nothing.
func benchConfig(gate *proxy.Gate, services []*proxy.Service) proxy.Config {
	return proxy.Config{
		Gate: gate, Services: services,
		Observer: idle{}, ForwardAuthPath: authPath, WhoamiPath: "/sessions/whoami",
		Trusted: &proxy.Trusted{Unix: true}, Logger: slog.New(slog.DiscardHandler),
	}
}

func newBenchOf(t testing.TB, gate *proxy.Gate, services []*proxy.Service, request string) *bench {
	t.Helper()
	b := &bench{Server: proxy.NewServer(benchConfig(gate, services))}
	peer, own := net.Pipe()
	t.Cleanup(func() { _, _ = peer.Close(), own.Close() })
	b.ctx.Init2(proxy.NewConn(unixConn{own}, &proxy.Trusted{Unix: true}), nil, false)
	if err := b.ctx.Request.Header.Read(bufio.NewReader(strings.NewReader(request))); err != nil {
		t.Fatal(err)
	}
	return b
}

// unixConn is a connection by a unix socket.
type unixConn struct{ net.Conn }

func (unixConn) RemoteAddr() net.Addr { return &net.UnixAddr{Net: "unix"} }

// serve serves the request once and returns the status.
func (b *bench) serve() int {
	b.ctx.Response.Reset()
	b.Handle(&b.ctx)
	return b.ctx.Response.StatusCode()
}

// benchRequests are the requests that are answered from memory, with each kind of credential.
func benchRequests() map[string]string {
	all := map[string]string{}
	for name, line := range map[string]string{
		"token":  "X-Session-Token: " + realToken,
		"cookie": "Cookie: a=1; ory_kratos_session=" + realCookie + "; b=2",
		"bearer": "Authorization: Bearer " + realToken,
		"header": "X-Session-Cookie: " + realCookie,
	} {
		all["forward-auth "+name] = request("GET", authPath, "", about("GET", "/app/page?q=1", "Accept: */*", "User-Agent: x", line)...)
		all["traefik "+name] = request("GET", authPath+"/traefik", "", about("GET", "/app/page?q=1", "Accept: */*", line)...)
		all["nginx "+name] = request("GET", authPath+"/nginx", "", "X-Original-Method: GET", "X-Original-URL: https://app.example.com/app/page?q=1", line)
		all["envoy "+name] = request("GET", authPath+"/envoy//app/page?q=1", "", "X-Forwarded-Proto: https", line)
		all["whoami "+name] = request("GET", "/sessions/whoami", "", "Accept: */*", line)
	}
	return all
}

// quickApp returns the pool of an application that answers without an allocation.
func quickApp(t testing.TB) *proxy.App {
	t.Helper()
	answer := []byte(ok(strings.Repeat("x", 1024), "Content-Type: text/plain"))
	app := newApp(t, func(c *appConn) {
		_ = c.SetDeadline(time.Time{})
		buf := make([]byte, 16<<10)
		for {
			if _, err := c.Read(buf); err != nil {
				return
			}
			if _, err := c.Write(answer); err != nil {
				return
			}
		}
	})
	a := proxy.NewApp(proxy.AppConfig{
		Network: "tcp", Address: app.Addr().String(), MaxConns: 64,
		DialTimeout: patience, ConnWait: patience, HeadTimeout: patience, IdleTimeout: patience, KeepAlive: time.Hour,
		MaxAge: time.Hour, LookEvery: time.Hour, Observer: idle{},
	})
	t.Cleanup(a.Close)
	return a
}

func BenchmarkFaces(b *testing.B) {
	all := benchRequests()
	all["proxy cookie"] = request("GET", "/app/page?q=1", "", "Accept: */*", "User-Agent: x",
		"Cookie: a=1; ory_kratos_session="+realCookie)
	for name, request := range all {
		b.Run(strings.ReplaceAll(name, " ", "/"), func(b *testing.B) {
			s := newBench(b, quickApp(b), request)
			b.ReportAllocs()
			for b.Loop() {
				if status := s.serve(); status != 200 {
					b.Fatal(status)
				}
			}
		})
	}
}

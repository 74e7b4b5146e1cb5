package app_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"testing"
	"time"

	"github.com/gatehouse-proxy/gatehouse/internal/metrics"
	"github.com/gatehouse-proxy/gatehouse/internal/policy"
	"github.com/gatehouse-proxy/gatehouse/proxy"
	"github.com/gatehouse-proxy/gatehouse/sessioncache"
	"github.com/gatehouse-proxy/gatehouse/upstream"
	"github.com/gatehouse-proxy/gatehouse/upstream/guard"
	"github.com/gatehouse-proxy/gatehouse/upstream/httpclient"
	"github.com/gatehouse-proxy/gatehouse/upstream/kratos"
)

// missServer is a gateway as it is built from a configuration, before a session service that is only memory.
func missServer(tb testing.TB) *proxy.Server {
	client, err := kratos.New(kratos.Config{Cookie: "s", HTTP: httpclient.Config{
		URL: &url.URL{Scheme: "http", Host: "kratos.test"}, MaxConns: 65,
		Dial: func(context.Context, string, string) (net.Conn, error) {
			return &wordyConn{ready: make(chan struct{}, 1)}, nil
		},
	}})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(client.Close)
	m := metrics.New(metrics.BuildInfo{})
	g := guard.New(client, guard.Config{UnknownPerClient: 1000, Observe: m.Upstream("kratos")})
	var gate *proxy.Gate
	var service *proxy.Service
	cache, err := sessioncache.New(g, sessioncache.Config{
		Service: "test", Size: 100_000, FreshFor: time.Hour, StaleFor: time.Minute, NegativeFor: time.Second, Known: g.Known(), Ready: client.Ready,
		Prepare: func(s *upstream.Session) { gate.Policy().Prepare(s, service) },
	})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(cache.Close)
	service = serviceOf(cache)
	compiled, err := policy.Compile([]policy.Rule{{Path: "/*", Access: policy.SessionAccess}}, []policy.Header{
		{Name: "X-User-Id", Path: "identity.id"},
		{Name: "X-User-Email", Path: "identity.traits.email"},
		{Name: "X-Session-Id", Path: "id"},
		{Name: "X-Session-Aal", Path: "authenticator_assurance_level"},
		{Name: "X-User-Name", Path: "identity.traits.name"},
	})
	if err != nil {
		tb.Fatal(err)
	}
	gate = proxy.NewGate(service, compiled)
	m.SetPolicy(gate.Policy())
	s := proxy.NewServer(proxy.Config{
		Gate: gate, Observer: m,
		Trusted:         &proxy.Trusted{Prefixes: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}},
		ForwardAuthPath: "/.gatehouse/auth", WhoamiPath: "/sessions/whoami", Logger: slog.New(slog.DiscardHandler),
	})
	tb.Cleanup(func() { _ = s.Shutdown(context.Background()) })
	return s
}

// A wordyConn is a connection to Kratos, who has a session for every token, which is a number. It counts as one in memory, and so as quiet.
type wordyConn struct {
	answer, unread []byte
	ready          chan struct{}
}

func (c *wordyConn) Write(p []byte) (int, error) {
	_, rest, _ := bytes.Cut(p, []byte("X-Session-Token: "))
	number, _, _ := bytes.Cut(rest, []byte("\r"))
	n, err := strconv.Atoi(string(number))
	if err != nil {
		return 0, err
	}
	c.answer = append(c.answer[:0], wordyAnswer...)
	for at := 0; ; {
		i := bytes.Index(c.answer[at:], []byte("########"))
		if i < 0 {
			break
		}
		at += i
		spell(c.answer[at:at+8], n)
	}
	c.ready <- struct{}{}
	return len(p), nil
}

func (c *wordyConn) Read(p []byte) (int, error) {
	if len(c.unread) == 0 {
		<-c.ready
		c.unread = c.answer
	}
	n := copy(p, c.unread)
	c.unread = c.unread[n:]
	return n, nil
}

func (*wordyConn) Close() error                     { return nil }
func (*wordyConn) LocalAddr() net.Addr              { return &net.UnixAddr{Net: "pipe"} }
func (*wordyConn) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (*wordyConn) SetDeadline(time.Time) error      { return nil }
func (*wordyConn) SetReadDeadline(time.Time) error  { return nil }
func (*wordyConn) SetWriteDeadline(time.Time) error { return nil }

var wordyAnswer = func() []byte {
	const at = "2026-01-02T03:04:05.123456Z"
	const id = "########-1111-4222-8333-1234########"
	body := fmt.Sprintf(`{"id":"%[1]s","active":true,"expires_at":"2099-01-01T00:00:00.12Z","authenticated_at":"%[2]s","authenticator_assurance_level":"aal1",`+
		`"authentication_methods":[{"method":"password","aal":"aal1","completed_at":"%[2]s"}],"issued_at":"%[2]s","identity":{"id":"%[1]s",`+
		`"schema_id":"default","schema_url":"http://127.0.0.1:4433/schemas/ZGVmYXVsdA","state":"active","state_changed_at":"%[2]s",`+
		`"traits":{"email":"alice.########@example.test","name":{"first":"First########","last":"Last########"}},`+
		`"verifiable_addresses":[{"id":"%[1]s","value":"alice.########@example.test","verified":false,"via":"email",`+
		`"status":"pending","created_at":"%[2]s","updated_at":"%[2]s"}],"recovery_addresses":[{"id":"%[1]s","value":"alice.########@example.test","via":"email",`+
		`"created_at":"%[2]s","updated_at":"%[2]s"}],"metadata_public":{"role":"user","n":1########},"created_at":"%[2]s","updated_at":"%[2]s",`+
		`"organization_id":null},"devices":[{"id":"%[1]s","ip_address":"192.0.2.1:1234","user_agent":"Mozilla/5.0 (X11; Linux x86_64; rv:100.0)",`+
		`"location":""}]}`+"\n", id, at)
	return fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nDate: Fri, 02 Jan 2026 03:04:05 GMT\r\nContent-Type: application/json; charset=utf-8\r\n"+
		"Cache-Control: private, no-cache, no-store, must-revalidate\r\nVary: Origin\r\nX-Kratos-Authenticated-Identity-Id: %s\r\n"+
		"Content-Length: %d\r\n\r\n%s", id, len(body), body)
}()

// strangers asks n times for a decision about a session that is not known, a new one each time, and fails if any is not allowed.
func (m memoryServer) strangers(tb testing.TB, from, n int) {
	tb.Helper()
	request := []byte("GET /.gatehouse/auth HTTP/1.1\r\nHost: auth.internal\r\nX-Session-Token: 00000000\r\nX-Forwarded-For: 192.0.2.7\r\n" +
		"X-Forwarded-Host: app.example.com\r\nX-Forwarded-Method: GET\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Uri: /\r\n\r\n")
	token := request[bytes.Index(request, []byte("00000000")):][:8]
	c := &memoryConn{request: request, left: n, done: make(chan struct{}), each: func() {
		from++
		spell(token, from)
	}}
	m.ln.conns <- c
	<-c.done
	if c.answers != n {
		tb.Fatalf("%d of %d answers are 200, the last is %q", c.answers, n, c.answer)
	}
}

// spell writes the last eight digits of n.
func spell(to []byte, n int) {
	for i := 7; i >= 0; i-- {
		to[i] = byte('0' + n%10)
		n /= 10
	}
}

// BenchmarkMiss measures a decision about a session that is not known, without a kernel in it.
func BenchmarkMiss(b *testing.B) {
	s := inMemory(b, missServer(b))
	b.ReportAllocs()
	b.ResetTimer()
	s.strangers(b, 0, b.N)
}

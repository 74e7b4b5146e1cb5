package app_test

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/gatehouse-proxy/gatehouse/internal/metrics"
	"github.com/gatehouse-proxy/gatehouse/proxy"
)

// A hit is a request about a session that is in memory.
type hit struct {
	name    string
	request []byte

	// mostInstructions is how many times as many as the bare handler it may take: what it took when this was last set, and a
	// fifteenth more.
	mostInstructions float64
}

// hits are the requests that have to be cheap.
func hits() []hit {
	const browser = "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36\r\nAccept: text/html,application/xhtml+xml\r\n" +
		"Accept-Encoding: gzip\r\nAccept-Language: en\r\n"
	const question = "GET /.gatehouse/auth HTTP/1.1\r\nHost: auth.internal\r\n" + browser +
		"X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Host: app.example.com\r\nX-Forwarded-Method: GET\r\nX-Forwarded-Proto: https\r\n" +
		"X-Forwarded-Uri: /orders/2026?page=2\r\n"
	const whoami = "GET /sessions/whoami HTTP/1.1\r\nHost: app.example.com\r\nAccept: application/json\r\n"
	tokenLine := "X-Session-Token: " + string(token.Value) + "\r\n\r\n"
	return []hit{
		{"decision-token39", []byte(question + tokenLine), 0.90},
		{"decision-cookie428", []byte(question + "Cookie: " + cookie.Name + "=" + string(cookie.Value) + "\r\n\r\n"), 1.04},
		{"whoami-token39", []byte(whoami + tokenLine), 1.05},
	}
}

// BenchmarkHit measures hits without a kernel in them: the whole server, metrics included, but connections that are only memory. Bare is a
// handler of fasthttp that gives the same answer, and decides nothing.
func BenchmarkHit(b *testing.B) {
	for _, h := range hits() {
		b.Run(h.name, func(b *testing.B) {
			gate, bare := contestants(b, h)
			f := func(name string, s memoryServer) {
				b.Run(name, func(b *testing.B) {
					b.ReportAllocs()
					s.ask(b, h.request, b.N)
				})
			}
			f("gate", gate)
			f("bare", bare)
		})
	}
}

// contestants returns the two who answer h in the same bytes.
func contestants(tb testing.TB, h hit) (gate, bare memoryServer) {
	tb.Helper()
	gate = inMemory(tb, gateServer(tb))
	gate.ask(tb, h.request, 1) // the first question is no hit
	answer := slices.Clone(gate.ask(tb, h.request, 1))
	bare = inMemory(tb, bareServer(tb, answer))
	if n := len(bare.ask(tb, h.request, 1)); n != len(answer) {
		tb.Fatalf("%s: the bare handler answers with %d bytes, the gateway with %d:\n%s", h.name, n, len(answer), answer)
	}
	return gate, bare
}

func gateServer(tb testing.TB) *proxy.Server { return serverOf(tb, newGate(tb, 2)) }

func serverOf(tb testing.TB, g *proxy.Gate) *proxy.Server {
	tb.Helper()
	m := metrics.New(metrics.BuildInfo{})
	m.SetPolicy(g.Policy())
	s := proxy.NewServer(proxy.Config{
		Gate: g, Observer: m,
		Trusted:         &proxy.Trusted{Prefixes: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}},
		ForwardAuthPath: "/.gatehouse/auth", WhoamiPath: "/sessions/whoami", Logger: slog.New(slog.DiscardHandler),
	})
	tb.Cleanup(func() { _ = s.Shutdown(context.Background()) })
	return s
}

// bareServer returns a server of fasthttp, set up as ours, that gives everybody the same answer.
func bareServer(tb testing.TB, answer []byte) *fasthttp.Server {
	tb.Helper()
	resp, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(answer)), nil)
	if err != nil {
		tb.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		tb.Fatal(err)
	}
	_, dated := resp.Header["Date"]
	var fields [][2][]byte
	for name, values := range resp.Header {
		if name != "Date" && name != "Content-Length" {
			fields = append(fields, [2][]byte{[]byte(name), []byte(values[0])})
		}
	}
	return &fasthttp.Server{
		Handler: func(ctx *fasthttp.RequestCtx) {
			for _, f := range fields {
				ctx.Response.Header.SetCanonical(f[0], f[1])
			}
			ctx.Response.SetBodyRaw(body)
		},
		ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second, IdleTimeout: 90 * time.Second, ReadBufferSize: 64 << 10,
		NoDefaultServerHeader: true, NoDefaultContentType: true, NoDefaultDate: !dated,
	}
}

//go:build !core

package extauthz_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/gatehouse-proxy/gatehouse/internal/extauthz"
	"github.com/gatehouse-proxy/gatehouse/internal/policy"
	"github.com/gatehouse-proxy/gatehouse/proxy"
	"github.com/gatehouse-proxy/gatehouse/upstream"
	"github.com/gatehouse-proxy/gatehouse/upstream/upstreamtest"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1")) // one a process
}

// patience is how long a test waits for what must happen. It only bounds failures.
const patience = 20 * time.Second

// sessions answers by the value of the credential.
type sessions struct{}

func (sessions) Lookup(_ context.Context, c upstream.Credential, _ time.Duration) (upstream.Answer, error) {
	s := &upstream.Session{ID: "s1", IdentityID: "alice", AAL: upstream.AAL1, Body: []byte(`{"identity":{"id":"alice"}}`)}
	switch string(c.Value) {
	case "alice":
		return upstream.Answer{Session: s, Source: upstream.Hit}, nil
	case "renewed":
		return upstream.Answer{Session: s, Renewed: upstreamtest.SetCookie("session=new; Path=/", "session=newer; Path=/")}, nil
	case "weak":
		return upstream.Answer{}, &upstream.Refusal{
			Status: 403, ContentType: "application/json", ErrorID: "session_aal2_required", Body: []byte("{\"a\":\"\xff\"}"),
			Redirect: "https://id.example.com/login?aal=aal2",
		}
	case "odd":
		return upstream.Answer{}, &upstream.Refusal{Status: 499, ContentType: "application/json", Body: []byte("{}")}
	case "down":
		return upstream.Answer{}, errors.New("down")
	case "panic":
		panic("a fault of ours")
	default:
		return upstream.Answer{}, upstream.ErrNoSession
	}
}

// observer keeps what it is told.
type observer struct {
	mu           sync.Mutex
	began, ended int
	reasons      []policy.Reason
	foreign      []proxy.Dialect
}

func (o *observer) Began(f proxy.Face) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if f == proxy.ExtAuthzFace {
		o.began++
	}
}

func (o *observer) Decided(_ proxy.Face, d *policy.Decision, _ time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.reasons = append(o.reasons, d.Reason)
}

func (o *observer) Ended(proxy.Face, time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.ended++
}

func (o *observer) ForeignHeaders(d proxy.Dialect) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.foreign = append(o.foreign, d)
}

func (o *observer) LargeAnswer()                {}
func (o *observer) Limited(proxy.Limit)         {}
func (o *observer) TunnelEnded(proxy.TunnelEnd) {}

func (o *observer) last() policy.Reason {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.reasons[len(o.reasons)-1]
}

// A gate is a server that listens, and a client of it.
type gate struct {
	t        testing.TB
	client   authv3.AuthorizationClient
	observer *observer
	log      *strings.Builder
}

func newGate(t testing.TB, trusted string, explain bool) *gate {
	t.Helper()
	g := &gate{t: t, observer: &observer{}, log: &strings.Builder{}}
	p, err := policy.Compile([]policy.Rule{
		{Name: "public", Path: "/public/*", Access: policy.PublicAccess},
		{Name: "keeps", Path: "/keeps/*", Access: policy.SessionAccess, ForwardCredential: true},
		{Name: "deny", Path: "/deny/*", Access: policy.DenyAccess},
		{Name: "strong", Path: "/strong/*", Access: policy.SessionAccess, Require: policy.Requirement{AAL: upstream.AAL2}},
		{Name: "pass", Path: "/pass/*", Access: policy.SessionAccess, CORS: &policy.CORS{Pass: true}},
		{Name: "all", Host: "app.example.com", Path: "/*", Access: policy.SessionAccess},
	}, []policy.Header{{Name: "X-User-Id", Path: "identity.id"}, {Name: "X-User-Phone", Path: "identity.traits.phone"}})
	if err != nil {
		t.Fatal(err)
	}
	login, err := proxy.NewLogin("https://auth.example.com/login", "return_to", []string{"app.example.com"})
	if err != nil {
		t.Fatal(err)
	}
	service := &proxy.Service{
		Sessions: sessions{}, Credentials: proxy.Credentials{TokenHeader: "X-Session-Token", Cookie: "session", Bearer: true},
		Tag: func(upstream.Credential) string { return "0123abcd" },
	}
	judge := proxy.NewServer(proxy.Config{
		Gate: proxy.NewGate(service, p), Services: []*proxy.Service{service}, Observer: g.observer, Login: login, Explain: explain, AccessLog: true,
		Trusted: &proxy.Trusted{Prefixes: []netip.Prefix{netip.MustParsePrefix(trusted)}},
		Logger:  slog.New(slog.NewTextHandler(&locked{w: g.log}, nil)),
	})
	server := extauthz.New(judge)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(ln) }()
	conn, err := grpc.NewClient(ln.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	g.client = authv3.NewAuthorizationClient(conn)
	t.Cleanup(func() {
		_ = conn.Close()
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := errors.Join(server.Shutdown(ctx), <-served, judge.Shutdown(ctx)); err != nil {
			t.Errorf("end: %v", err)
		}
	})
	return g
}

type locked struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}

// about returns a question as Envoy asks it.
func about(method, path string, headers map[string]string) *authv3.CheckRequest {
	all := map[string]string{":method": method, ":path": path, ":authority": "app.example.com", "x-forwarded-proto": "https"}
	for name, value := range headers {
		all[name] = value
	}
	return &authv3.CheckRequest{Attributes: &authv3.AttributeContext{Request: &authv3.AttributeContext_Request{
		Http: &authv3.AttributeContext_HttpRequest{
			Id: "1", Method: method, Path: path, Host: "app.example.com", Scheme: "https", Protocol: "HTTP/2", Headers: all,
		},
	}}}
}

func (g *gate) check(req *authv3.CheckRequest) *authv3.CheckResponse {
	g.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	res, err := g.client.Check(ctx, req)
	if err != nil {
		g.t.Fatalf("check: %v", err)
	}
	return res
}

// lines returns header lines, with a + where Envoy is to add one rather than to overwrite.
func lines(options []*corev3.HeaderValueOption) (all []string) {
	for _, o := range options {
		mark := ""
		if o.AppendAction == corev3.HeaderValueOption_APPEND_IF_EXISTS_OR_ADD {
			mark = "+"
		}
		if o.Header.Value == "" && !o.KeepEmptyValue {
			mark = "dropped "
		}
		all = append(all, mark+o.Header.Key+": "+o.Header.Value)
	}
	slices.Sort(all)
	return all
}

func (g *gate) allows(req *authv3.CheckRequest, headers, removed, cookies []string) {
	g.t.Helper()
	res := g.check(req)
	o := res.GetOkResponse()
	if res.GetStatus().GetCode() != int32(codes.OK) || o == nil {
		g.t.Errorf("got %v", res)
		return
	}
	slices.Sort(o.HeadersToRemove)
	for name, d := range map[string]string{
		"headers": cmp.Diff(headers, lines(o.Headers)), "removed": cmp.Diff(removed, o.HeadersToRemove),
		"cookies": cmp.Diff(cookies, lines(o.ResponseHeadersToAdd)),
	} {
		if d != "" {
			g.t.Errorf("%s (-want +got):\n%s", name, d)
		}
	}
}

type judgeFunc func(*proxy.Description) proxy.Outcome

func (f judgeFunc) Judge(q *proxy.Description) proxy.Outcome { return f(q) }

package kratos_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-proxy/gatehouse/upstream"
	"github.com/gatehouse-proxy/gatehouse/upstream/httpclient"
	"github.com/gatehouse-proxy/gatehouse/upstream/kratos"
	"github.com/gatehouse-proxy/gatehouse/upstream/upstreamtest"
)

func TestClientIsAStore(t *testing.T) {
	upstreamtest.TestStore(t, func(t *testing.T) upstreamtest.Subject {
		service := new(upstreamtest.Service)
		client := newClient(t, kratos.Config{HTTP: httpclient.Config{URL: service.Start(t), MaxConns: 4}, Cookie: upstreamtest.DefaultCookie})
		credential := func(k upstream.Kind, l upstreamtest.Login) upstream.Credential {
			switch k {
			case upstream.SessionToken:
				return upstreamtest.Token(l.Token)
			case upstream.Bearer:
				return upstreamtest.Bearer(l.Token)
			default:
				return upstreamtest.Cookie(upstreamtest.DefaultCookie, l.Cookies...)
			}
		}
		outages := make(map[string]func())
		for _, fault := range upstreamtest.Outages() {
			if fault != upstreamtest.Hang {
				outages[fault.String()] = func() { service.Break(fault) }
			}
		}
		return upstreamtest.Subject{
			Store: client,
			Kinds: []upstream.Kind{upstream.SessionToken, upstream.Cookie, upstream.Bearer},
			SignIn: func(k upstream.Kind) (upstream.Credential, *upstream.Session) {
				l := service.SignIn(upstreamtest.Login{AAL: upstream.AAL2})
				return credential(k, l), l.Session()
			},
			Stranger: func(k upstream.Kind) upstream.Credential {
				return credential(k, upstreamtest.Login{Token: "nobody-at-all", Cookies: []string{"nobody-at-all"}})
			},
			Refused: func(k upstream.Kind) upstream.Credential {
				return credential(k, service.SignIn(upstreamtest.Login{NeedsAAL2: true}))
			},
			Outages:   outages,
			Hang:      func() { service.Break(upstreamtest.Hang) },
			Repair:    func() { service.Break(upstreamtest.Healthy) },
			Questions: service.Questions,
		}
	})
}

// TestQuestion tests what is written of a credential: one header line, or nothing is asked.
func TestQuestion(t *testing.T) {
	f := func(c upstream.Credential, want string) {
		t.Helper()
		peer, client := newPeer(t, say(response(200, goodBody)))
		_, err := client.Session(t.Context(), c)
		var requests []string
		if want != "" {
			requests = []string{question("/sessions/whoami", want)}
		} else if !errors.Is(err, upstream.ErrNoSession) {
			t.Errorf("error = %v, want ErrNoSession", err)
		}
		if diff := cmp.Diff(requests, peer.asked()); diff != "" {
			t.Errorf("requests (-want +got):\n%s", diff)
		}
	}
	long := strings.Repeat("x", 8<<10)

	f(upstreamtest.Token("ory_st_1"), "X-Session-Token: ory_st_1")
	f(upstream.Credential{Kind: upstream.SessionToken, Name: "Authorization", Value: []byte("x")}, "X-Session-Token: x")
	f(upstreamtest.Token(`a;b,c"d\e`), `X-Session-Token: a;b,c"d\e`)
	f(upstreamtest.Token(long), "X-Session-Token: "+long)
	f(upstreamtest.Bearer("ory_st_1"), "Authorization: Bearer ory_st_1")
	f(upstream.Credential{Kind: upstream.Bearer, Name: "Cookie", Value: []byte("x")}, "Authorization: Bearer x")
	f(upstreamtest.Cookie(cookieName, "MTc5-_="), "Cookie: ory_kratos_session=MTc5-_=")
	f(upstreamtest.Cookie("", "v"), "Cookie: ory_kratos_session=v")
	f(upstreamtest.Cookie("ory_session_slug", "v"), "Cookie: ory_session_slug=v")
	f(upstreamtest.Cookie(cookieName, "v2", "v1", "v2"), "Cookie: ory_kratos_session=v2; ory_kratos_session=v1; ory_kratos_session=v2")
	f(upstreamtest.Cookie("s", "", "v", ""), "Cookie: s=; s=v; s=")
	f(upstreamtest.Cookie(cookieName, long), "Cookie: ory_kratos_session="+long)

	f(upstream.Credential{}, "")
	f(upstream.Credential{Name: cookieName, Value: []byte("v")}, "")
	f(upstream.Credential{Kind: 77, Value: []byte("v")}, "")
	for _, bad := range []string{
		"", " ", "a b", " a", "a ", "\ta", "a\r\nX-Session-Token: b", "a\n", "a\x00", "a\x7f", "a\x80", "é", long + "x",
	} {
		f(upstreamtest.Token(bad), "")
		f(upstreamtest.Bearer(bad), "")
		f(upstreamtest.Cookie(cookieName, bad), "")
	}
	for _, bad := range []string{";", ";;;", `"v"`, "a,b", `a\b`, "good;a b", strings.Repeat(";", 1000) + "v"} {
		f(upstreamtest.Cookie(cookieName, bad), "")
	}
	for _, name := range []string{"a b", "a=b", "a;b", "a\r\nb", "é"} {
		f(upstreamtest.Cookie(name, "v"), "")
	}
}

func TestNew(t *testing.T) {
	f := func(url, cookie, want string) {
		t.Helper()
		_, err := kratos.New(kratos.Config{HTTP: httpclient.Config{URL: parseURL(t, url)}, Cookie: cookie})
		if err == nil || err.Error() != "use kratos: "+want {
			t.Errorf("%s: error = %v, want %q", url, err, want)
		}
	}
	const absolute = "url must be absolute, such as http://127.0.0.1:4433"
	f("127.0.0.1", "s", absolute)
	f("/sessions", "s", absolute)
	f("ftp://127.0.0.1", "s", absolute)
	f("http:///sessions", "s", absolute)
	f("http:127.0.0.1", "s", absolute)
	f("http://krätos.example", "s", "host of the url must be as it is in the DNS, in ASCII: xn--... if it has other letters")
	f("http://eve:secret@127.0.0.1", "s", "url must not hold a user name or password: the service's public API takes none")
	f("http://127.0.0.1?a=b", "s", "url must not hold a query or a fragment: give the base of the public API")
	f("http://127.0.0.1?", "s", "url must not hold a query or a fragment: give the base of the public API")
	f("http://127.0.0.1#a", "s", "url must not hold a query or a fragment: give the base of the public API")
	f("http://127.0.0.1", "", `cookie must be the name of a cookie, such as ory_kratos_session, and not ""`)
	f("http://127.0.0.1", "a=b", `cookie must be the name of a cookie, such as ory_kratos_session, and not "a=b"`)

	g := func(cfg httpclient.Config, want string) {
		t.Helper()
		if _, err := kratos.New(kratos.Config{HTTP: cfg, Cookie: "s"}); err == nil || err.Error() != "use kratos: "+want {
			t.Errorf("error = %v, want %q", err, want)
		}
	}
	u := parseURL(t, "http://127.0.0.1")
	g(httpclient.Config{}, absolute)
	g(httpclient.Config{URL: u, UserAgent: "a\r\nb"}, "user agent must be printable ASCII")
	g(httpclient.Config{URL: u, MaxConns: -1}, "number of connections must not be negative")
}

// The question goes to the configured host and path, and through no proxy, whatever the environment says.
func TestURL(t *testing.T) {
	f := func(url, wantAddr, wantLine, wantHost string) {
		t.Helper()
		peer := &peer{answer: say(response(200, goodBody))}
		var addr string
		client := newClient(t, kratos.Config{Cookie: cookieName, HTTP: httpclient.Config{
			URL:       parseURL(t, url),
			UserAgent: "test/1",
			Dial: func(ctx context.Context, network, a string) (net.Conn, error) {
				addr = network + " " + a
				return peer.dial(ctx, network, a)
			},
		}})
		if _, err := client.Session(t.Context(), upstreamtest.Token("v")); err != nil {
			t.Fatal(err)
		}
		client.Close()
		peer.wg.Wait()
		want := []string{"GET " + wantLine + " HTTP/1.1\r\nHost: " + wantHost + "\r\nUser-Agent: test/1\r\nX-Session-Token: v\r\n\r\n"}
		if diff := cmp.Diff(want, peer.asked()); diff != "" || addr != wantAddr {
			t.Errorf("%s: dialled %s, want %s; requests (-want +got):\n%s", url, addr, wantAddr, diff)
		}
	}
	f("http://kratos.example", "tcp kratos.example:80", "/sessions/whoami", "kratos.example")
	f("http://kratos.example:4433/", "tcp kratos.example:4433", "/sessions/whoami", "kratos.example:4433")
	f("http://kratos.example/.ory/kratos", "tcp kratos.example:80", "/.ory/kratos/sessions/whoami", "kratos.example")
	f("http://kratos.example/a%2Fb/", "tcp kratos.example:80", "/a%2Fb/sessions/whoami", "kratos.example")
	f("http://[::1]:4433", "tcp [::1]:4433", "/sessions/whoami", "[::1]:4433")
}

// Every answer leaves the connection fit for the next question, so that a flood of strangers does not become a flood of connections.
func TestConnectionIsKept(t *testing.T) {
	answers := []string{
		response(200, goodBody),
		response(401, upstreamtest.NoSessionBody),
		response(403, upstreamtest.AAL2Body),
		response(404, "404 page not found\n"),
		response(500, strings.Repeat("x", 10_000)),
		chunked(strings.Repeat("x", 10_000)),
		"HTTP/1.1 204 No Content\r\n\r\n",
		response(302, "moved", "Location: /"),
	}
	next := 0
	peer, client := newPeer(t, func(c net.Conn) {
		say(answers[next])(c)
		next = (next + 1) % len(answers)
	})
	for range 2 * len(answers) {
		_, _ = client.Session(t.Context(), upstreamtest.Token("v")) // what it says is tested elsewhere
	}
	if len(peer.asked()) != 2*len(answers) || peer.dials != 1 {
		t.Errorf("%d questions took %d connections, want %d and 1", len(peer.asked()), peer.dials, 2*len(answers))
	}
}

// All connections of a rush are kept for the next.
func TestConnectionsAreKept(t *testing.T) {
	f := func(maxConns int) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			peer := &peer{answer: func(c net.Conn) {
				time.Sleep(time.Second)
				say(response(200, goodBody))(c)
			}}
			client := newClient(t, kratos.Config{Cookie: cookieName, HTTP: httpclient.Config{
				URL: parseURL(t, "http://kratos.example"), MaxConns: maxConns, Dial: peer.dial,
			}})
			for range 3 {
				var wg sync.WaitGroup
				for range 32 {
					wg.Go(func() {
						if _, err := client.Session(t.Context(), upstreamtest.Token("v")); err != nil {
							t.Errorf("error = %v", err)
						}
					})
				}
				wg.Wait()
				synctest.Wait()
			}
			if peer.dials != 32 {
				t.Errorf("three rushes of 32 questions took %d connections, want 32", peer.dials)
			}
			time.Sleep(time.Minute)
			synctest.Wait()
			if open := peer.open.Load(); open != 0 {
				t.Errorf("%d connections were kept idle for too long: Kratos would close them at the wrong moment", open)
			}
		})
	}
	f(0)
	f(32)
}

// A question that cannot have reached the service may be asked again, and no other.
func TestNotSent(t *testing.T) {
	f := func(what string, cfg httpclient.Config, want bool) {
		t.Helper()
		if cfg.URL == nil {
			cfg.URL = parseURL(t, "http://kratos.example")
		}
		client := newClient(t, kratos.Config{HTTP: cfg, Cookie: cookieName})
		_, err := client.Session(t.Context(), upstreamtest.Token("secret"))
		if err == nil || upstream.Definite(err) || errors.Is(err, upstream.ErrNotSent) != want || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: error = %v, want an outage that says that the question was not sent: %v", what, err, want)
		}
		err = client.Ready(t.Context())
		if err == nil || errors.Is(err, upstream.ErrNotSent) != want {
			t.Errorf("%s: Ready = %v, want an error that says that the question was not sent: %v", what, err, want)
		}
	}
	listen := func(serve func(net.Conn)) net.Listener {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = l.Close() })
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				serve(c)
			}
		}()
		return l
	}
	gone := listen(nil)
	_ = gone.Close()
	f("connection refused", httpclient.Config{URL: parseURL(t, "http://"+gone.Addr().String())}, true)

	f("dial failed", httpclient.Config{Dial: func(context.Context, string, string) (net.Conn, error) {
		return nil, errors.New("no way")
	}}, true)

	plain := listen(func(c net.Conn) { sayAndClose(response(400, "this is HTTP"))(c) })
	f("no TLS", httpclient.Config{URL: parseURL(t, "https://"+plain.Addr().String())}, true)

	reset := listen(func(c net.Conn) {
		_, _ = c.Read(make([]byte, 1))
		_ = c.(*net.TCPConn).SetLinger(0)
		_ = c.Close()
	})
	f("connection reset", httpclient.Config{URL: parseURL(t, "http://"+reset.Addr().String())}, false)

	noCertificate := func(context.Context, string, string) (net.Conn, error) {
		client, server := net.Pipe()
		go func() {
			_ = tls.Server(server, &tls.Config{}).Handshake()
			_ = server.Close()
		}()
		return client, nil
	}
	f("TLS handshake", httpclient.Config{URL: parseURL(t, "https://kratos.example"), Dial: noCertificate}, true)
}

// A question that waits for a connection when its time is up was not sent, and the next one finds the client in order.
func TestNoConnectionInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		peer := &peer{answer: func(c net.Conn) {
			<-release
			say(response(200, goodBody))(c)
		}}
		client := newClient(t, kratos.Config{Cookie: cookieName, HTTP: httpclient.Config{
			URL: parseURL(t, "http://kratos.example"), MaxConns: 1, Dial: peer.dial,
		}})
		first := make(chan error)
		go func() {
			_, err := client.Session(t.Context(), upstreamtest.Token("first"))
			first <- err
		}()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := client.Session(ctx, upstreamtest.Token("second"))
		if !errors.Is(err, upstream.ErrNotSent) || !errors.Is(err, context.DeadlineExceeded) || upstream.Definite(err) {
			t.Errorf("error = %v, want one of a question that was not sent in time", err)
		}
		close(release)
		if err := <-first; err != nil {
			t.Errorf("first question: %v", err)
		}
		if _, err := client.Session(t.Context(), upstreamtest.Token("third")); err != nil {
			t.Errorf("third question: %v", err)
		}
		client.Close()
		peer.wg.Wait()
		if len(peer.asked()) != 2 || peer.dials != 1 {
			t.Errorf("%d questions reached the service over %d connections, want 2 over 1", len(peer.asked()), peer.dials)
		}
	})
}

// A dial that never ends is given up, and frees its place among the connections.
func TestDialTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := newClient(t, kratos.Config{Cookie: cookieName, HTTP: httpclient.Config{
			URL: parseURL(t, "http://kratos.example"), MaxConns: 1,
			Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
				<-ctx.Done()
				return nil, ctx.Err()
			},
		}})
		for range 2 {
			start := time.Now()
			_, err := client.Session(t.Context(), upstreamtest.Token("v"))
			if took := time.Since(start); !errors.Is(err, upstream.ErrNotSent) || took != 10*time.Second {
				t.Errorf("error = %v after %v, want ErrNotSent after 10s", err, took)
			}
		}
	})
}

func TestReady(t *testing.T) {
	peer, client := newPeer(t, say(readCapture(t, "testdata/health-ready.http").raw))
	if err := client.Ready(t.Context()); err != nil {
		t.Errorf("Ready = %v", err)
	}
	if diff := cmp.Diff([]string{question("/health/ready")}, peer.asked()); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
	f := func(status int) {
		t.Helper()
		_, client := newPeer(t, say(response(status, `{"errors":{"database":"whisper"}}`, "Location: /")))
		if err := client.Ready(t.Context()); err == nil || strings.Contains(err.Error(), "whisper") {
			t.Errorf("status %d: Ready = %v, want an error", status, err)
		}
	}
	f(201)
	f(302)
	f(401)
	f(404)
	f(500)
	f(503)
}

// The body of a session is kept for long: it must not share memory with anything larger.
func TestBodyIsNoLargerThanItIs(t *testing.T) {
	body := padded(40_000)
	_, client := newPeer(t, say(chunked(body)))
	a, err := client.Session(t.Context(), upstreamtest.Token("v"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(a.Session.Body, []byte(body)) || cap(a.Session.Body) > len(body)+len(body)/8 {
		t.Errorf("body of %d bytes holds %d", len(body), cap(a.Session.Body))
	}
}

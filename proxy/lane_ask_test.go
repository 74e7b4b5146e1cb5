package proxy_test

import (
	"context"
	"errors"
	"net"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-proxy/gatehouse/internal/policy"
	"github.com/gatehouse-proxy/gatehouse/proxy"
	"github.com/gatehouse-proxy/gatehouse/upstream"
)

// wordless is what is remembered of a session without the words of the service.
type wordless struct{}

func (wordless) Body() ([]byte, bool) { return nil, false }
func (wordless) Told() []byte         { return nil }
func (wordless) Memo() []byte         { return nil }

// strangers are credentials about which somebody has to be asked, with what comes of it.
func strangers() map[string]func(within time.Duration) (upstream.Answer, error) {
	asked := func(s *upstream.Session, renewed ...upstream.Field) func(time.Duration) (upstream.Answer, error) {
		return func(time.Duration) (upstream.Answer, error) {
			return upstream.Answer{Session: s, Source: upstream.Asked, Renewed: renewed}, nil
		}
	}
	fails := func(err error) func(time.Duration) (upstream.Answer, error) {
		return func(time.Duration) (upstream.Answer, error) { return upstream.Answer{}, err }
	}
	strong, odd := session("strong"), session("odd")
	strong.AAL, odd.IdentityID = upstream.AAL2, "a\r\nX-B: c"
	return map[string]func(within time.Duration) (upstream.Answer, error){
		"known":     asked(session("known")),
		"strong":    asked(strong),
		"odd":       asked(odd),
		"wordless":  asked(upstream.Unfold(&upstream.Session{ID: "s", IdentityID: "i"}, wordless{})),
		"renewed":   asked(session("renewed"), upstream.Field{Name: "Set-Cookie", Value: "a=new"}, upstream.Field{Name: "Set-Cookie", Value: "b=new"}),
		"nobody":    fails(upstream.ErrNoSession),
		"outage":    fails(errors.New("nobody answers")),
		"limited":   fails(upstream.ErrLimited),
		"refused":   fails(&upstream.Refusal{Status: 403, ContentType: "text/plain", ErrorID: "no", Body: []byte("no")}),
		"forgotten": fails(policy.ErrForgotten),
		"grown": func(within time.Duration) (upstream.Answer, error) { // since what is remembered, but not by Recall
			if within == upstream.Unlimited {
				return hit(session("grown")), nil
			}
			return upstream.Answer{Session: strong, Source: upstream.Asked}, nil
		},
	}
}

// Whatever the session service says, and whatever the lane does with that, everybody is asked and told what they would be without it, once.
func TestTheLaneAsksAsFasthttpWould(t *testing.T) {
	for name, change := range map[string]func(*setup){"stranger": func(*setup) {}, "front proxy": trusting} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ways := newTwoWays(t, change, func(s *setup) {
				s.AccessLog = true
				s.Rules = append(slices.Clone(someRules[:1]), append([]policy.Rule{
					{Path: "/pages/*", Access: policy.SessionAccess, CORS: &policy.CORS{Origins: []string{"https://b"}}},
				}, someRules[1:]...)...)
			})
			f := func(pieces ...string) {
				t.Helper()
				short, long := ways.compare(t, pieces...)
				if diff := cmp.Diff(long.Looked, short.Looked, cmp.AllowUnexported(question{})); diff != "" {
					t.Errorf("%q (-asked by fasthttp +asked by the lane):\n%s", pieces, diff)
				}
				if short.Told.Began == 0 || short.Told.Began != short.Told.Ended || short.Told.Began != len(short.Decided) {
					t.Errorf("%q: told of %+v and %v", pieces, short.Told, short.Decided)
				}
			}
			for who, answer := range strangers() {
				for i := range ways.both {
					ways.both[i].sessions.decide("session_token "+who, answer)
				}
				line := "X-Session-Token: " + who
				known := request("GET", "/x", "", "X-Session-Token: known")
				var all []string
				// Of what ends in "a", the application's answer is plain.
				for _, path := range []string{"/a", "/optional/a?b=c", "/strong/a", "/deny/a", "/pages/a", "/a%2fa"} {
					preflight := []string{line, "Origin: https://b", "Access-Control-Request-Method: PUT"}
					for _, method := range []string{"GET", "HEAD", "OPTIONS"} {
						all = append(all, request(method, path, "", line), request(method, authPath, "", about(method, path, line)...))
					}
					all = append(all, request("OPTIONS", path, "", preflight...), request("GET", path, "", line, "Origin: https://b"),
						request("GET", path, "", line, "Accept: text/html"),
						request("GET", authPath+"/nginx", "", "X-Original-Method: GET", "X-Original-URL: https://app.example.com"+path, line),
						request("GET", authPath+"/traefik", "", about("GET", path, line, "X-Original-URI: /y")...))
				}
				all = append(all, request("GET", "/sessions/whoami", "", line), request("HEAD", "/sessions/whoami", "", line),
					request("GET", "/sessions/whoami", "", line, "Cache-Control: max-age=5"), request("GET", "/a", "", line, "Authorization: Negotiate x"))
				for _, sent := range all {
					f(sent[:20], sent[20:]+known)
					f(known + sent + known)
					f(strings.Replace(sent, "\r\n", "\r\nConnection: close\r\n", 1) + known)
				}
			}
			lines := func(g *gateway) int { return strings.Count(g.log.String(), "msg=request ") }
			if short, long := lines(ways.both[0].gateway), lines(ways.both[1].gateway); short != long {
				t.Errorf("%d lines of access log, and by fasthttp %d", short, long)
			}
		})
	}
}

// slowSessions makes a gateway wait, when it asks about "slow", until it may go on. asked says when it does.
func slowSessions(g *gateway, answer func() upstream.Answer) (asked, may chan struct{}) {
	asked, may = make(chan struct{}, 1), make(chan struct{})
	g.sessions.decide("session_token slow", func(time.Duration) (upstream.Answer, error) {
		asked <- struct{}{}
		<-may
		return answer(), nil
	})
	return asked, may
}

func slowAnswer() upstream.Answer {
	return upstream.Answer{Session: session("slow"), Source: upstream.Asked}
}

const slow = "X-Session-Token: slow"

// slowRequests are for all faces that ask about a session.
func slowRequests() map[string]string {
	return map[string]string{
		"proxy":        request("GET", "/x", "", slow),
		"forward_auth": request("GET", authPath, "", about("GET", "/x", slow)...),
		"whoami":       request("GET", "/sessions/whoami", "", slow),
	}
}

// A request waits in the lane, which fasthttp knows nothing of. What came before it is answered meanwhile, and what is behind it after it.
func TestWaitingInTheLane(t *testing.T) {
	app := answering(t, ok("hello"))
	for name, sent := range slowRequests() {
		for _, where := range []func(*setup){func(*setup) {}, withoutSocket(t)} {
			g := newGateway(t, app, trusting, where)
			asked, may := slowSessions(g, slowAnswer)
			c := g.dial()
			for range 2 {
				c.send(request("GET", "/sessions/whoami", "", alice) + sent)
				if res := c.next("GET"); res.StatusCode != 200 {
					t.Fatalf("%s: status %d", name, res.StatusCode)
				}
				receive(t, asked)
				if n := g.Handed(); n != 0 {
					t.Errorf("%s: fasthttp has %d connections", name, n)
				}
				c.send(request("GET", "/sessions/whoami", "", bob) + request("GET", "/x", ""))
				may <- struct{}{}
				if res := c.next("GET"); res.StatusCode != 200 || res.Close || strings.Contains(res.body, "bob") {
					t.Errorf("%s: status %d, body %q", name, res.StatusCode, res.body)
				}
				if res := c.next("GET"); !strings.Contains(res.body, "bob") {
					t.Errorf("%s: body %q", name, res.body)
				}
				if res := c.next("GET"); res.StatusCode != 401 {
					t.Errorf("%s: status %d", name, res.StatusCode)
				}
			}
		}
	}
}

// wrapped hides what a connection is.
type wrapped struct{ net.Conn }

type wrapping struct{ net.Listener }

func (l wrapping) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	return wrapped{c}, err
}

// withoutSocket makes a gateway read and write by the ordinary way.
func withoutSocket(t *testing.T) func(*setup) {
	return func(s *setup) {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		s.Listener = wrapping{ln}
	}
}

// Shutdown waits for a request that waits, and its connection ends with the answer.
func TestShutdownWhileTheLaneWaits(t *testing.T) {
	app := answering(t, ok("hello"))
	for name, sent := range slowRequests() {
		for _, before := range []string{"", request("GET", "/sessions/whoami", "", alice)} {
			g := newGateway(t, app, trusting)
			asked, may := slowSessions(g, slowAnswer)
			c := g.dial()
			if c.send(before + sent); before != "" {
				c.next("GET")
			}
			receive(t, asked)
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			done := g.shutDown(ctx)
			close(may)
			if res := c.next("GET"); res.StatusCode != 200 || !res.Close {
				t.Errorf("%s: status %d, close %v", name, res.StatusCode, res.Close)
			}
			c.nothing()
			if err := receive(t, done); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

// When its time is up, Shutdown waits for nobody, and the client is not answered.
func TestShutdownCutsOffWhoWaitsInTheLane(t *testing.T) {
	for name, sent := range slowRequests() {
		g := newGateway(t, answering(t, ok("hello")), trusting)
		asked, may := slowSessions(g, slowAnswer)
		c := g.dial()
		c.send(sent)
		receive(t, asked)
		over, cancel := context.WithCancel(context.Background())
		cancel()
		if err := g.Shutdown(over); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", name, err)
		}
		if rest := c.rest(); rest != "" {
			t.Errorf("%s: %q", name, rest)
		}
		close(may)
	}
}

// A client that does not wait for its answer is counted once, like every other, and nothing of it stays.
func TestWhoLeavesWhileTheLaneWaits(t *testing.T) {
	for name, sent := range slowRequests() {
		g := newGateway(t, answering(t, ok("hello")), trusting, limiting(proxy.Limits{RequestsPerClient: 1}))
		asked, may := slowSessions(g, slowAnswer)
		for range 3 {
			c := g.dial()
			c.send(sent + sent)
			receive(t, asked)
			_ = c.Close()
			may <- struct{}{}
			for deadline := time.Now().Add(patience); g.Connections() > 0; runtime.Gosched() {
				select {
				case <-asked: // the second, as nobody has looked whether the client is there
					may <- struct{}{}
				default:
				}
				if time.Now().After(deadline) {
					t.Fatalf("%s: %d connections", name, g.Connections())
				}
			}
		}
		g.observer.mu.Lock()
		if n := g.observer.began; n != g.observer.ended || n != len(g.observer.decided) || n != len(g.sessions.questions()) {
			t.Errorf("%s: %d began, %d ended, %d decided, %d asked", name, n, g.observer.ended, len(g.observer.decided), len(g.sessions.questions()))
		}
		g.observer.mu.Unlock()
	}
}

// A piped listener hands out one end of a pipe.
type piped struct {
	net.Listener
	ends chan net.Conn
}

func (l piped) Accept() (net.Conn, error) {
	if c, ok := <-l.ends; ok {
		return c, nil
	}
	return nil, net.ErrClosed
}

// Nobody is asked for a client who has not taken the answers before, and has gone.
func TestWhoTakesNoAnswerBeforeTheLaneWaits(t *testing.T) {
	for name, sent := range slowRequests() {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		client, end := net.Pipe()
		ends := make(chan net.Conn, 1)
		ends <- end
		close(ends)
		g := newGateway(t, answering(t, ok("hello")), func(s *setup) { s.Listener = piped{ln, ends} })
		if _, err := client.Write([]byte(request("GET", "/sessions/whoami", "", alice) + sent)); err != nil {
			t.Fatal(err)
		}
		_ = client.Close()
		for deadline := time.Now().Add(patience); g.Connections() > 0 && time.Now().Before(deadline); {
			runtime.Gosched()
		}
		if n := len(g.sessions.questions()); n != 1 || g.observer.began != 1 || g.observer.ended != 1 || strings.Contains(g.log.String(), "panic") {
			t.Errorf("%s: asked %d times, told of %d, log %s", name, n, g.observer.began, g.log)
		}
	}
}

// A panic while somebody is asked is answered for once, and the log says where it was.
func TestAPanicWhileTheLaneAsks(t *testing.T) {
	for name, sent := range slowRequests() {
		g := newGateway(t, answering(t, ok("hello")), trusting)
		g.sessions.decide("session_token slow", func(time.Duration) (upstream.Answer, error) { panic("startled") })
		c := g.dial()
		c.send(sent)
		if res := c.next("GET"); res.StatusCode != 500 || !res.Close {
			t.Errorf("%s: status %d, close %v", name, res.StatusCode, res.Close)
		}
		c.nothing()
		if n := len(g.sessions.questions()); n != 1 {
			t.Errorf("%s: asked %d times", name, n)
		}
		if g.observer.began != 1 || g.observer.ended != 1 || g.observer.last().Reason != policy.InternalError {
			t.Errorf("%s: %d began, %d ended, %v", name, g.observer.began, g.observer.ended, g.observer.last())
		}
		if log := g.log.String(); strings.Count(log, "panic while") != 1 || !strings.Contains(log, "TestAPanicWhileTheLaneAsks") {
			t.Errorf("%s: log %s", name, log)
		}
	}
}

// Who has too many requests at the application by the time that it is known whose they are is told so, and the session service is not asked
// again.
func TestTooManyRequestsThatWaitedInTheLane(t *testing.T) {
	release := make(chan struct{})
	app := newApp(t, func(c *appConn) {
		c.request()
		<-release
		c.write(ok("first"))
	})
	g := newGateway(t, app, limiting(proxy.Limits{RequestsPerClient: 1}))
	g.sessions.decide("session_token slow", func(time.Duration) (upstream.Answer, error) { return slowAnswer(), nil })
	first, second := g.dial(), g.dial()
	first.send(request("GET", "/x", "", slow))
	for len(app.heads()) == 0 {
		runtime.Gosched()
	}
	second.send(request("GET", "/x", "", slow))
	if res := second.next("GET"); res.StatusCode != 429 {
		t.Errorf("status %d", res.StatusCode)
	}
	close(release)
	if res := first.next("GET"); res.StatusCode != 200 || res.body != "first" {
		t.Errorf("status %d, body %q", res.StatusCode, res.body)
	}
	if n := len(g.sessions.questions()); n != 2 || g.observer.began != 2 {
		t.Errorf("asked %d times, told of %d requests", n, g.observer.began)
	}
}

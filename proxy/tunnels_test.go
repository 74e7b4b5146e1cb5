package proxy

import (
	"context"
	"encoding/binary"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-proxy/gatehouse/internal/policy"
	"github.com/gatehouse-proxy/gatehouse/upstream"
)

// A watched is a Server's tunnels without a network, and all that decides about them.
type watched struct {
	service *Service
	*tunnels
	t      *testing.T
	server *Server
	ended  chan TunnelEnd
	answer func(context.Context) (upstream.Answer, error) // of the session service
	asked  int
	seq    atomic.Uint64
	looked int             // how often it was asked what has been revoked
	hit    map[uint64]bool // which revocations concern the session
	mu     sync.Mutex
}

func (w *watched) Lookup(ctx context.Context, c upstream.Credential, _ time.Duration) (upstream.Answer, error) {
	w.mu.Lock()
	w.asked++
	answer := w.answer
	w.mu.Unlock()
	if c.Kind == upstream.NoCredential {
		w.t.Error("asked about nothing")
	}
	return answer(ctx)
}

func (w *watched) LatestRevocation() uint64 { return w.seq.Load() }

func (w *watched) RevokedSince(n uint64, c upstream.Credential, s *upstream.Session) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.looked++
	if string(c.Value) != "token" || s.ID != "S" {
		w.t.Errorf("asked for %q and %s", c.Value, s.ID)
	}
	for ; n < w.seq.Load(); n++ {
		if w.hit[n+1] {
			return true
		}
	}
	return false
}

func (w *watched) revoke(concerns bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.hit[w.seq.Load()+1] = concerns
	w.seq.Add(1)
}

func (w *watched) say(answer func(context.Context) (upstream.Answer, error)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.answer = answer
}

func (w *watched) questions() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.asked
}

func (w *watched) Began(Face)                                    {}
func (w *watched) Decided(Face, *policy.Decision, time.Duration) {}
func (w *watched) Ended(Face, time.Duration)                     {}
func (*watched) ForeignHeaders(Dialect)                          {}
func (*watched) LargeAnswer()                                    {}
func (w *watched) Limited(Limit)                                 {}
func (w *watched) TunnelEnded(why TunnelEnd)                     { w.ended <- why }

// yes is an answer that is believed for d.
func yes(id string, d time.Duration, expires time.Time) func(context.Context) (upstream.Answer, error) {
	s := &upstream.Session{ID: id, IdentityID: "I", AAL: upstream.AAL1, ExpiresAt: expires}
	return func(context.Context) (upstream.Answer, error) { return upstream.Answer{Session: s, BelieveFor: d}, nil }
}

func fails(err error) func(context.Context) (upstream.Answer, error) {
	return func(context.Context) (upstream.Answer, error) { return upstream.Answer{}, err }
}

func compileRules(t *testing.T, rules ...policy.Rule) *policy.Policy {
	t.Helper()
	p, err := policy.Compile(rules, nil)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// A testApp is an application of a route, by its name.
type testApp string

func (a testApp) Name() string { return string(a) }

func newWatched(t *testing.T, idle time.Duration) *watched {
	w := &watched{t: t, server: NewTestServer(nil), ended: make(chan TunnelEnd, 1000), hit: map[uint64]bool{}}
	w.service = &Service{Sessions: w, Unattended: w, Revocations: w}
	gate := NewGate(w.service, compileRules(t, policy.Rule{Path: "/*", Access: policy.OptionalAccess, App: testApp("first")}))
	w.tunnels = &tunnels{
		cfg: TunnelConfig{Max: 1000, Idle: idle}, gate: gate.forTunnels(), base: t.Context(), observer: w,
		logger: slog.New(slog.DiscardHandler),
	}
	return w
}

// A peer is one end of a tunnel as a test holds it.
type peer struct {
	net.Conn
	rest chan string // all that came, once the connection has ended
}

// open begins a tunnel that is let in by whatever the session service answers now. Unless it is anonymous, it presents a token.
func (w *watched) open(anonymous bool) (client, app peer) {
	w.t.Helper()
	appNear, appFar := net.Pipe()
	return w.openTo(appNear, anonymous), peer{appFar, readRest(appFar)}
}

// openTo is open for a connection to an application that is there already.
func (w *watched) openTo(app net.Conn, anonymous bool) (client peer) {
	w.t.Helper()
	clientNear, clientFar := net.Pipe()
	g := grounds{
		at:     testApp("first"),
		target: Target{Method: []byte("GET"), Host: []byte("app.example.com"), Path: []byte("/x")},
		origin: origin{lines: 1, line: []byte("https://app.example.com"), host: []byte("app.example.com")},
		policy: w.gate.Policy(), mark: w.LatestRevocation(), quiet: time.Now(),
	}
	if !anonymous {
		g.service = w.service
		g.credential = Presented{Credential: upstream.Credential{Kind: upstream.SessionToken, Value: []byte("token")}}
		d := w.gate.Decide(w.t.Context(), g.target, &g)
		g.session = d.Session
		g.believe(&d)
	}
	if over := w.take(netip.Addr{}); over != 0 {
		w.t.Fatal("no room: ", over)
	}
	t := &tunnel{grounds: g, registry: w.tunnels, client: newConn(clientNear, w.server), app: app, began: time.Now()}
	w.add(t)
	go t.run(nil, nil, nil)
	return peer{clientFar, readRest(clientFar)}
}

func readRest(c net.Conn) chan string {
	rest := make(chan string, 1)
	go func() {
		all, _ := io.ReadAll(c)
		_ = c.Close()
		rest <- string(all)
	}()
	return rest
}

// lives fails unless no tunnel has ended.
func (w *watched) lives() {
	w.t.Helper()
	synctest.Wait()
	select {
	case why := <-w.ended:
		w.t.Fatalf("ended: %v", why)
	default:
	}
}

// ends fails unless the tunnel ends within d for the reason, and both peers learn of it, the client by a close frame of the code.
func (w *watched) ends(d time.Duration, why TunnelEnd, code uint16, client, app peer) {
	w.t.Helper()
	began := time.Now()
	select {
	case got := <-w.ended:
		if got != why {
			w.t.Errorf("ended: %v, want %v", got, why)
		}
	case <-time.After(time.Hour):
		w.t.Fatal("did not end")
	}
	<-app.rest
	rest := <-client.rest
	if len(rest) < 4 || rest[0] != 0x88 || int(rest[1]) != len(rest)-2 || binary.BigEndian.Uint16([]byte(rest[2:])) != code {
		w.t.Errorf("the client was told %q, want code %d", rest, code)
	}
	if took := time.Since(began); took > d {
		w.t.Errorf("took %v, want %v at most", took, d)
	}
	if w.count() != 0 || w.taken != 0 {
		w.t.Errorf("%d tunnels are left, %d places are taken", w.count(), w.taken)
	}
}

// watch runs f in fake time and sees that nothing is left behind.
func watch(t *testing.T, name string, idle time.Duration, f func(w *watched)) {
	t.Helper()
	t.Run(name, func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newWatched(t, idle)
			w.say(yes("S", 30*time.Second, time.Time{}))
			f(w)
			w.close()
			synctest.Wait()
		})
	})
}

// A tunnel ends within a second of whatever ends its right to be, and not before.
func TestTunnelIsWatched(t *testing.T) {
	const soon = time.Second
	watch(t, "revoked", 0, func(w *watched) {
		client, app := w.open(false)
		time.Sleep(10 * time.Second)
		w.revoke(false)
		time.Sleep(10 * time.Second)
		w.lives()
		if w.looked != 1 {
			t.Errorf("looked %d times at one revocation", w.looked)
		}
		w.revoke(true)
		w.revoke(false)
		w.ends(soon, EndedByRevocation, 1008, client, app)
	})
	watch(t, "revoked before it began", 0, func(w *watched) {
		w.revoke(true)
		w.open(false)
		time.Sleep(time.Minute)
		w.lives()
	})
	watch(t, "revoked while the service hangs", 0, func(w *watched) {
		client, app := w.open(false)
		w.say(func(ctx context.Context) (upstream.Answer, error) {
			<-ctx.Done()
			return upstream.Answer{}, ctx.Err()
		})
		time.Sleep(31 * time.Second)
		w.lives()
		w.revoke(true)
		w.ends(soon, EndedByRevocation, 1008, client, app)
	})
	watch(t, "service hangs", 0, func(w *watched) {
		client, app := w.open(false)
		w.say(func(ctx context.Context) (upstream.Answer, error) {
			<-ctx.Done()
			return upstream.Answer{}, ctx.Err()
		})
		time.Sleep(30 * time.Second)
		w.lives()
		w.ends(overdue+soon, EndedByOutage, 1013, client, app)
	})
	watch(t, "expires", 0, func(w *watched) {
		w.say(yes("S", 30*time.Second, time.Now().Add(10*time.Second)))
		client, app := w.open(false)
		time.Sleep(10*time.Second - 1)
		w.lives()
		w.ends(soon, EndedByExpiry, 1008, client, app)
	})
	watch(t, "extended", 0, func(w *watched) {
		w.say(yes("S", 30*time.Second, time.Now().Add(time.Minute)))
		client, app := w.open(false)
		time.Sleep(29 * time.Second)
		w.say(yes("S", 30*time.Second, time.Now().Add(time.Hour)))
		time.Sleep(59 * time.Minute)
		w.lives()
		if n := w.questions(); n < 100 || n > 122 {
			t.Errorf("%d questions in an hour", n)
		}
		w.say(yes("S", 30*time.Second, time.Now()))
		w.ends(31*time.Second, EndedByExpiry, 1008, client, app)
	})
	watch(t, "ended without a word", 0, func(w *watched) {
		client, app := w.open(false)
		w.say(fails(upstream.ErrNoSession))
		time.Sleep(30*time.Second - 1)
		w.lives()
		w.ends(soon, EndedByRevocation, 1008, client, app)
	})
	watch(t, "refused", 0, func(w *watched) {
		client, app := w.open(false)
		w.say(fails(&upstream.Refusal{Status: 403}))
		w.ends(30*time.Second+soon, EndedByRevocation, 1008, client, app)
	})
	watch(t, "another session", 0, func(w *watched) {
		client, app := w.open(false)
		w.say(yes("T", 30*time.Second, time.Time{}))
		w.ends(30*time.Second+soon, EndedByRevocation, 1008, client, app)
	})
	watch(t, "outage", 0, func(w *watched) {
		client, app := w.open(false)
		w.say(fails(io.ErrUnexpectedEOF))
		time.Sleep(30*time.Second - 1)
		w.lives()
		w.ends(soon, EndedByOutage, 1013, client, app)
	})
	watch(t, "panic", 0, func(w *watched) {
		client, app := w.open(false)
		w.say(func(context.Context) (upstream.Answer, error) { panic("no") })
		w.ends(30*time.Second+soon, EndedByOutage, 1013, client, app)
	})
	watch(t, "believed for the moment only", 0, func(w *watched) {
		w.say(yes("S", 0, time.Time{}))
		w.open(false)
		time.Sleep(time.Minute)
		w.lives()
		if n := w.questions(); n < 40 || n > 61 {
			t.Errorf("%d questions in a minute", n)
		}
	})
	watch(t, "believed for ever", 0, func(w *watched) {
		w.say(yes("S", upstream.Unlimited, time.Time{}))
		w.open(false)
		time.Sleep(time.Hour)
		w.lives()
		if n := w.questions(); n != 1 {
			t.Errorf("%d questions in an hour", n)
		}
	})
	watch(t, "shutdown", 0, func(w *watched) {
		client, app := w.open(false)
		w.lives()
		w.close()
		w.ends(0, EndedByShutdown, 1001, client, app)
	})
}

// A reload ends the tunnels that would not be let in any more, and no others.
func TestReloadEndsTunnels(t *testing.T) {
	all := policy.Rule{Path: "/*", Access: policy.SessionAccess}
	f := func(name string, why TunnelEnd, anonymous bool, rule policy.Rule) {
		t.Helper()
		if rule.App == nil {
			rule.App = testApp("first")
		}
		watch(t, name, 0, func(w *watched) {
			client, app := w.open(anonymous)
			time.Sleep(time.Second)
			w.gate.SetPolicy(compileRules(t, rule))
			if why == 0 {
				time.Sleep(time.Minute)
				w.lives()
				return
			}
			w.ends(time.Second, why, 1008, client, app)
		})
	}
	f("still let in", 0, false, all)
	f("still let in without a session", 0, true, policy.Rule{Path: "/*", Access: policy.PublicAccess})
	f("a session is needed now", EndedByPolicy, true, all)
	f("denied", EndedByPolicy, false, policy.Rule{Path: "/*"})
	f("no route", EndedByPolicy, false, policy.Rule{Path: "/y", Access: policy.SessionAccess})
	f("more is required", EndedByPolicy, false, policy.Rule{Path: "/*", Access: policy.SessionAccess, Require: policy.Requirement{AAL: upstream.AAL2}})
	f("another origin", EndedByPolicy, false, policy.Rule{Path: "/*", Access: policy.SessionAccess, Origins: []string{"https://other.example.com"}})
	f("public", EndedByPolicy, false, policy.Rule{Path: "/*", Access: policy.PublicAccess})
	f("another application", EndedByPolicy, false, policy.Rule{Path: "/*", Access: policy.SessionAccess, App: testApp("second")})
	f("another application without a session", EndedByPolicy, true, policy.Rule{Path: "/*", Access: policy.PublicAccess, App: testApp("second")})
}

// Nobody is asked about a tunnel without a session, and a revocation is none of its business.
func TestAnonymousTunnelIsLeftAlone(t *testing.T) {
	watch(t, "", 0, func(w *watched) {
		w.say(fails(io.ErrUnexpectedEOF))
		w.open(true)
		w.revoke(true)
		time.Sleep(time.Hour)
		w.lives()
		if n := w.questions(); n > 0 {
			t.Errorf("%d questions", n)
		}
	})
}

// A tunnel ends when nothing passes in either direction for its idle limit.
func TestTunnelIdle(t *testing.T) {
	watch(t, "silence", time.Minute, func(w *watched) {
		client, app := w.open(true)
		time.Sleep(time.Minute - 1)
		w.lives()
		w.ends(time.Second, EndedByIdleness, 1001, client, app)
	})
	watch(t, "either direction counts", time.Minute, func(w *watched) {
		client, app := w.open(true)
		for i := range 20 {
			time.Sleep(50 * time.Second)
			if _, err := []io.Writer{client, app}[i%2].Write([]byte("\x81\x01x")); err != nil {
				t.Fatal(err)
			}
		}
		w.lives()
		time.Sleep(61 * time.Second)
		if why := <-w.ended; why != EndedByIdleness {
			t.Errorf("ended: %v", why)
		}
	})
	watch(t, "no limit", 0, func(w *watched) {
		w.open(true)
		time.Sleep(2 * time.Hour)
		w.lives()
	})
}

// A halfPipe can be told that nothing more will be sent by it.
type halfPipe struct{ net.Conn }

func (halfPipe) CloseWrite() error { return nil }

// A side that has ended gives the other half a minute, and no more, however long the idle limit is.
func TestHalfOpenTunnelEndsSooner(t *testing.T) {
	for _, idle := range []time.Duration{0, time.Hour} {
		watch(t, idle.String(), idle, func(w *watched) {
			near, client := net.Pipe()
			appNear, app := net.Pipe()
			g := grounds{policy: w.gate.Policy(), quiet: time.Now()}
			w.take(netip.Addr{})
			tunnel := &tunnel{grounds: g, registry: w.tunnels, client: newConn(near, w.server), app: halfPipe{appNear}}
			readRest(client)
			rest := readRest(app)
			w.add(tunnel)
			go tunnel.run(nil, nil, nil)
			time.Sleep(time.Minute)
			_ = client.Close()
			time.Sleep(25 * time.Second)
			w.lives()
			time.Sleep(10 * time.Second)
			if why := <-w.ended; why != EndedByClient {
				t.Errorf("ended: %v", why)
			}
			<-rest
		})
	}
}

// A client that is gone before its tunnel could begin leaves nothing behind: fasthttp drops a hijack whose client is gone, and says so to
// nobody.
func TestTunnelThatNeverBegan(t *testing.T) {
	w := newWatched(t, 0)
	w.cfg.MaxPerClient = 1
	near, _ := net.Pipe()
	appNear, app := net.Pipe()
	holder := netip.MustParseAddr("192.0.2.1")
	w.take(holder)
	client := newConn(near, w.server)
	client.pending.Store(new(io.Closer(&tunnel{registry: w.tunnels, holder: holder, client: client, app: appNear})))
	_ = client.Close()
	if _, err := app.Read(make([]byte, 1)); err != io.EOF || w.taken != 0 || len(w.held) != 0 {
		t.Errorf("the application's connection: %v; %d places are taken", err, w.taken)
	}
}

// However many tunnels have to be judged again at once, few questions are under way at a time, and all tunnels get their turn.
func TestTunnelsAreJudgedInTurn(t *testing.T) {
	watch(t, "", 0, func(w *watched) {
		for range 200 {
			w.open(false)
		}
		var flying, most atomic.Int32
		again := yes("S", time.Hour, time.Time{})
		w.say(func(ctx context.Context) (upstream.Answer, error) {
			if n := flying.Add(1); n > most.Load() {
				most.Store(n)
			}
			defer flying.Add(-1)
			time.Sleep(time.Second)
			return again(ctx)
		})
		time.Sleep(40 * time.Second)
		w.lives()
		if n := w.questions(); n != 400 || most.Load() != askAtOnce {
			t.Errorf("%d questions, %d at a time", n, most.Load())
		}
		w.tunnels.mu.Lock()
		defer w.tunnels.mu.Unlock()
		if w.judges != 0 || len(w.waiting) != 0 {
			t.Errorf("%d judges and %d waiting are left", w.judges, len(w.waiting))
		}
	})
}

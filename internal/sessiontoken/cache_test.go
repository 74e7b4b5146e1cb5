package sessiontoken_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/gatehouse-proxy/gatehouse/internal/sessiontoken"
	"github.com/gatehouse-proxy/gatehouse/upstream"
	"github.com/gatehouse-proxy/gatehouse/upstream/upstreamtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world are the sessions and the service behind a cache.
type world struct {
	*sessiontoken.Cache
	mu       sync.Mutex
	sessions map[string]*upstream.Session // by the value of the credential
	revoked  uint64                       // the number of the latest revocation, which ends everything
	asked    atomic.Int64
	takes    time.Duration // how long an answer takes
	answer   func(template string, n int64) (sessiontoken.Answer, error)
}

func newWorld(bytes int) *world {
	w := &world{sessions: map[string]*upstream.Session{
		"a": upstreamtest.Session("s1", "i1"), "b": upstreamtest.Session("s2", "i2"),
	}}
	w.answer = func(template string, n int64) (sessiontoken.Answer, error) {
		return good(template, n, 25*time.Second), nil
	}
	w.Cache = sessiontoken.New(w, func(_ context.Context, _ upstream.Credential, template string, _ netip.Addr) (sessiontoken.Answer, error) {
		n := w.asked.Add(1)
		time.Sleep(w.takes)
		return w.answer(template, n)
	}, bytes)
	return w
}

// good is the reply to the question with a number.
func good(template string, n int64, life time.Duration) sessiontoken.Answer {
	return sessiontoken.Answer{
		Reply:   upstream.Reply{Status: 200, Body: fmt.Appendf(nil, "%s %d", template, n), Header: []upstream.Field{{Name: "Content-Type", Value: "x"}}},
		Renewed: []upstream.Field{{Name: "Set-Cookie", Value: "new"}}, Until: time.Now().Add(life),
	}
}

func (w *world) Lookup(_ context.Context, c upstream.Credential, _ time.Duration) (upstream.Answer, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if s := w.sessions[string(c.Value)]; s != nil {
		return upstream.Answer{Session: s}, nil
	}
	return upstream.Answer{}, upstream.ErrNoSession
}

func (w *world) LatestRevocation() uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.revoked
}

func (w *world) RevokedSince(number uint64, _ upstream.Credential, _ *upstream.Session) bool {
	return w.LatestRevocation() > number
}

func (w *world) revoke() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.revoked++
}

// want asks for a token, and wants a body and whether something was renewed, or an error of a kind.
func (w *world) want(t *testing.T, credential, query, body string, renewed bool) {
	t.Helper()
	reply, err := w.Token(t.Context(), upstreamtest.Token(credential), netip.Addr{}, []byte(query))
	got := string(reply.Body)
	switch {
	case errors.Is(err, upstream.ErrNoSession):
		got = "no session"
	case err != nil && upstream.Definite(err):
		got = "refused"
	case err != nil:
		got = "outage"
	}
	if has := len(reply.Header) > 1; got != body || has != renewed {
		t.Errorf("%s?%s: %q, renewed %v (%v), want %q, %v", credential, query, got, has, err, body, renewed)
	}
}

func TestTokensAreRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(1 << 20)
		w.want(t, "a", "", " 1", true)
		w.want(t, "a", "", " 1", false) // what renews is for those who waited
		w.want(t, "a", "other=x", " 1", false)
		w.want(t, "a", "template=x", "x 2", true)
		w.want(t, "b", "template=x", "x 3", true)
		w.want(t, "b", "", " 4", true)
		time.Sleep(25*time.Second - time.Nanosecond)
		w.want(t, "a", "template=x", "x 2", false)
		time.Sleep(time.Nanosecond)
		w.want(t, "a", "template=x", "x 5", true)
		w.want(t, "nobody", "template=x", "no session", false)
		w.want(t, "a", "template=x&template=y", "refused", false)
		w.want(t, "a", "template=../x", "refused", false)
		w.want(t, "a", "template="+strings.Repeat("x", 65), "refused", false)
		w.want(t, "a", "template=%zz", "refused", false)
		if n := w.asked.Load(); n != 5 {
			t.Errorf("%d questions", n)
		}
	})
}

// A token dies with its session: by a revocation, and when the credential stands for somebody else.
func TestTokensDieWithTheSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(1 << 20)
		w.want(t, "a", "", " 1", true)
		w.revoke()
		w.want(t, "a", "", " 2", true)
		w.sessions["a"] = upstreamtest.Session("s1", "another")
		w.want(t, "a", "", " 3", true)
		w.sessions["a"] = upstreamtest.Session("another", "another")
		w.want(t, "a", "", " 4", true)
		delete(w.sessions, "a")
		w.want(t, "a", "", "no session", false)
	})
}

// A token that is on its way when its session is revoked is given to nobody, not even to those who join in waiting for it afterwards.
func TestTokensOnTheirWayDieToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(1 << 20)
		w.takes = time.Second
		var wg sync.WaitGroup
		wg.Go(func() { w.want(t, "a", "", " 2", true) })
		synctest.Wait()
		w.revoke()
		wg.Go(func() { w.want(t, "a", "", " 2", true) })
		wg.Wait()
		w.want(t, "a", "", " 2", false)

		// Revoked again and again, it is an outage.
		w.revoke()
		wg.Go(func() { w.want(t, "a", "", "outage", false) })
		for range 2 {
			time.Sleep(500 * time.Millisecond)
			w.revoke()
			time.Sleep(500 * time.Millisecond)
		}
		wg.Wait()
	})
}

func TestOneQuestionForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(1 << 20)
		w.takes = time.Second
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() { w.want(t, "a", "", " 1", true) })
		}
		// Who leaves takes nobody with them.
		ctx, leave := context.WithCancel(t.Context())
		wg.Go(func() {
			if _, err := w.Token(ctx, upstreamtest.Token("a"), netip.Addr{}, nil); !errors.Is(err, context.Canceled) {
				t.Errorf("error %v", err)
			}
		})
		synctest.Wait()
		leave()
		wg.Wait()
		if n := w.asked.Load(); n != 1 {
			t.Errorf("%d questions", n)
		}
	})
}

// The question that somebody began goes on for the others when they leave, although the memory of their credential is used again.
func TestWhoLeavesFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sessions := newWorld(1)
		asked := 0
		tokens := sessiontoken.New(sessions, func(
			ctx context.Context, c upstream.Credential, template string, _ netip.Addr,
		) (sessiontoken.Answer, error) {
			asked++
			select {
			case <-ctx.Done():
				return sessiontoken.Answer{}, ctx.Err()
			case <-time.After(time.Second):
				return good(template+string(c.Value), 1, time.Minute), nil
			}
		}, 1<<20)
		var wg sync.WaitGroup
		ctx, leave := context.WithCancel(t.Context())
		wg.Go(func() {
			c := upstreamtest.Token("a")
			if _, err := tokens.Token(ctx, c, netip.Addr{}, nil); !errors.Is(err, context.Canceled) {
				t.Errorf("error %v", err)
			}
			c.Value[0] = 'b'
		})
		synctest.Wait()
		wg.Go(func() {
			reply, err := tokens.Token(t.Context(), upstreamtest.Token("a"), netip.Addr{}, nil)
			if err != nil || string(reply.Body) != "a 1" || asked != 1 {
				t.Errorf("%q, %v, after %d questions", reply.Body, err, asked)
			}
		})
		synctest.Wait()
		leave()
		wg.Wait()
	})
}

// Whoever has asked too often is told so from memory, whatever template they think of, and others are not.
func TestLimitIsHeeded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(1 << 20)
		w.want(t, "a", "template=kept", "kept 1", true)
		w.answer = func(string, int64) (sessiontoken.Answer, error) {
			return sessiontoken.Answer{Reply: upstream.Reply{Status: 429, Body: []byte("too many")}, Until: time.Now().Add(10 * time.Second)}, nil
		}
		w.want(t, "a", "template=x", "too many", false)
		w.answer = func(template string, n int64) (sessiontoken.Answer, error) {
			return good(template, n, time.Minute), nil
		}
		w.want(t, "a", "template=x", "too many", false)
		w.want(t, "a", "template=y", "too many", false)
		w.want(t, "a", "template=kept", "kept 1", false)
		w.want(t, "b", "template=x", "x 3", true)
		time.Sleep(10 * time.Second)
		w.want(t, "a", "template=x", "x 4", true)
	})
}

// An outage is remembered by nobody.
func TestOutageIsNotRemembered(t *testing.T) {
	w := newWorld(1 << 20)
	w.answer = func(string, int64) (sessiontoken.Answer, error) { return sessiontoken.Answer{}, errors.New("down") }
	w.want(t, "a", "", "outage", false)
	w.answer = func(template string, n int64) (sessiontoken.Answer, error) {
		return good(template, n, time.Minute), nil
	}
	w.want(t, "a", "", " 2", true)
}

// However many there are, they take no more memory than they may, and the one that was used last stays.
func TestMemoryIsBounded(t *testing.T) {
	const room = 4 * 1024
	w := newWorld(room)
	for i := range 100 {
		w.want(t, "a", fmt.Sprint("template=", i), fmt.Sprint(i, " ", i+1), true)
	}
	w.want(t, "a", "template=99", "99 100", false)
	w.want(t, "a", "template=0", "0 101", true)
	w.answer = func(_ string, n int64) (sessiontoken.Answer, error) { // larger than all there is
		a := good("", n, time.Minute)
		a.Reply.Body = make([]byte, 2*room)
		return a, nil
	}
	for range 2 {
		if reply, err := w.Token(t.Context(), upstreamtest.Token("b"), netip.Addr{}, nil); err != nil || len(reply.Body) != 2*room {
			t.Errorf("%d bytes, %v", len(reply.Body), err)
		}
	}
	if n := w.asked.Load(); n != 103 {
		t.Errorf("%d questions", n)
	}
}

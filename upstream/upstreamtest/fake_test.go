package upstreamtest_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/gatehouse-proxy/gatehouse/upstream"
	"github.com/gatehouse-proxy/gatehouse/upstream/upstreamtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func credential(k upstream.Kind, value string) upstream.Credential {
	switch k {
	case upstream.SessionToken:
		return upstreamtest.Token(value)
	case upstream.Cookie:
		return upstreamtest.Cookie("session", value)
	default:
		return upstreamtest.Bearer(value)
	}
}

// subject puts store, which asks fake in some way, under test.
func subject(store upstream.Store, fake *upstreamtest.Fake) upstreamtest.Subject {
	people := 0
	release := func() {}
	return upstreamtest.Subject{
		Store: store,
		Kinds: []upstream.Kind{upstream.SessionToken, upstream.Cookie, upstream.Bearer},
		SignIn: func(k upstream.Kind) (upstream.Credential, *upstream.Session) {
			people++
			c := credential(k, fmt.Sprintf("secret-%d", people))
			s := upstreamtest.Session(fmt.Sprintf("session-%d", people), fmt.Sprintf("identity-%d", people))
			fake.Know(c, upstream.Answer{Session: s, BelieveFor: upstream.Unlimited})
			return c, s
		},
		Stranger: func(k upstream.Kind) upstream.Credential { return credential(k, "secret-0") },
		Refused: func(k upstream.Kind) upstream.Credential {
			c := credential(k, "secret-refused")
			fake.Deny(c, upstreamtest.AAL2Refusal())
			return c
		},
		Outages:   map[string]func(){"down": func() { fake.Fail(upstreamtest.ErrDown) }},
		Hang:      func() { release = fake.Hold() },
		Repair:    func() { release(); fake.Fail(nil) },
		Questions: fake.Questions,
	}
}

func TestFakeIsAStore(t *testing.T) {
	upstreamtest.TestStore(t, func(*testing.T) upstreamtest.Subject {
		fake := new(upstreamtest.Fake)
		return subject(fake, fake)
	})
}

func TestFakeAnswers(t *testing.T) {
	fake := new(upstreamtest.Fake)
	alice := upstreamtest.Token("alice")
	session := upstreamtest.Session("s1", "i1")
	f := func(want *upstream.Session, wantErr error) {
		t.Helper()
		a, err := fake.Session(t.Context(), upstreamtest.Token("alice"))
		if a.Session != want || !errors.Is(err, wantErr) {
			t.Errorf("Session returned %p, error %v, want %p, error %v", a.Session, err, want, wantErr)
		}
	}
	f(nil, upstream.ErrNoSession)
	fake.Know(alice, upstream.Answer{Session: session})
	f(session, nil)
	fake.Fail(upstreamtest.ErrDown)
	f(nil, upstreamtest.ErrDown)
	fake.Fail(nil)
	f(session, nil)
	fake.Forget(alice)
	f(nil, upstream.ErrNoSession)
	fake.Follow(func(_ context.Context, c upstream.Credential) (upstream.Answer, error) {
		return upstream.Answer{Session: upstreamtest.Session(string(c.Value), "scripted")}, nil
	})
	a, err := fake.Session(t.Context(), alice)
	if err != nil || a.Session.ID != "alice" || a.Session.IdentityID != "scripted" {
		t.Errorf("script answered %v, error %v", a.Session, err)
	}
	if fake.Questions() != 6 || fake.Asked(alice) != 6 || fake.Asked(upstreamtest.Bearer("alice")) != 0 {
		t.Errorf("counted %d questions, %d of them about the token, and %d about a bearer token, want 6, 6, 0",
			fake.Questions(), fake.Asked(alice), fake.Asked(upstreamtest.Bearer("alice")))
	}
}

// What an answer says is settled when the question arrives, so that tests can let answers come late.
func TestFakeHoldsAnswersBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := new(upstreamtest.Fake)
		alice := upstreamtest.Token("alice")
		fake.Know(alice, upstream.Answer{Session: upstreamtest.Session("s1", "i1")})
		release := fake.Hold()
		answered := false
		go func() {
			_, err := fake.Session(t.Context(), alice)
			answered = err == nil
		}()
		fake.Await(1)
		fake.Forget(alice)
		synctest.Wait()
		if answered {
			t.Fatal("the answer was not held back")
		}
		release()
		release()
		synctest.Wait()
		if !answered {
			t.Error("the answer was not what it was when the question arrived")
		}
	})
}

func TestFakeDelays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := new(upstreamtest.Fake)
		fake.Delay(time.Minute)
		f := func(timeout, wantTook time.Duration, wantErr error) {
			t.Helper()
			ctx, cancel := context.WithTimeout(t.Context(), timeout)
			defer cancel()
			begin := time.Now()
			_, err := fake.Session(ctx, upstreamtest.Token("alice"))
			if took := time.Since(begin); took != wantTook || !errors.Is(err, wantErr) {
				t.Errorf("Session took %v, error %v, want %v, error %v", took, err, wantTook, wantErr)
			}
		}
		f(time.Hour, time.Minute, upstream.ErrNoSession)
		f(time.Second, time.Second, context.DeadlineExceeded)
	})
}

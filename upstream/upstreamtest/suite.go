package upstreamtest

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-proxy/gatehouse/upstream"
)

// A Subject is a Store under test and the strings by which its service is pulled. All fields but Refused must be set.
type Subject struct {
	Store upstream.Store

	// Kinds are the kinds of credential that the service knows.
	Kinds []upstream.Kind

	// SignIn makes a new session that a credential of kind k stands for, and says what the Store should say of it. ID, IdentityID, AAL
	// and ExpiresAt are compared, and Body if it is not nil.
	SignIn func(k upstream.Kind) (upstream.Credential, *upstream.Session)

	// Stranger returns a credential of kind k that could be one and is nobody's.
	Stranger func(k upstream.Kind) upstream.Credential

	// Refused makes a new session that the service refuses to vouch for. It is nil if the service refuses nobody.
	Refused func(k upstream.Kind) upstream.Credential

	// Outages are the ways, by name, to put the service out of order. Hang makes it leave questions unanswered for as long as somebody
	// waits. Repair ends both.
	Outages map[string]func()
	Hang    func()
	Repair  func()

	// Questions says how many questions have reached the service.
	Questions func() int
}

// TestStore tests that a Store keeps the contract of [upstream.Store]. start returns a Store in front of a service of its own, and
// releases what it holds when the test ends. Run it with the race detector: some breaches show in no other way.
func TestStore(t *testing.T, start func(t *testing.T) Subject) {
	first := start(t)
	kinds := first.Kinds
	if len(kinds) == 0 {
		t.Fatal("the subject knows no kind of credential")
	}
	f := func(name string, test func(t *testing.T, s Subject, k upstream.Kind)) {
		for _, k := range kinds {
			t.Run(name+"/"+k.String(), func(t *testing.T) { test(t, start(t), k) })
		}
	}
	f("session", testSession)
	f("stranger", testStranger)
	if first.Refused != nil {
		f("refused", testRefused)
	}
	f("outage", testOutage)
	f("cancelled", testCancelled)
	f("no credential", testNoCredential)
	f("borrowed value", testBorrowedValue)
	f("concurrent", testConcurrent)
}

// ask asks about c and checks what holds for every answer. It may be called by any goroutine.
func (s Subject) ask(ctx context.Context, t *testing.T, c upstream.Credential) (upstream.Answer, error) {
	t.Helper()
	secret := string(c.Value)
	a, err := s.Store.Session(ctx, c)
	if string(c.Value) != secret {
		t.Error("the store changed the value of the credential")
	}
	if err == nil && a.Session == nil {
		err = errors.New("the store returned neither a session nor an error")
		t.Error(err)
	}
	if err == nil && (a.Session.ID == "" || a.Session.IdentityID == "") {
		t.Errorf("session without an id: ID %q, IdentityID %q", a.Session.ID, a.Session.IdentityID)
	}
	if err == nil && a.BelieveFor < 0 {
		t.Errorf("BelieveFor = %v, want no negative duration", a.BelieveFor)
	}
	if err != nil && secret != "" && strings.Contains(err.Error(), secret) {
		t.Error("the error tells the credential")
	}
	return a, err
}

// wantSession asks about c, which must stand for want.
func (s Subject) wantSession(t *testing.T, c upstream.Credential, want *upstream.Session) *upstream.Session {
	t.Helper()
	a, err := s.ask(t.Context(), t, c)
	if err != nil {
		t.Fatalf("Session failed for a %v: %v", c, err)
	}
	got := a.Session
	if got.ID != want.ID || got.IdentityID != want.IdentityID || got.AAL != want.AAL || !got.ExpiresAt.Equal(want.ExpiresAt) {
		t.Errorf("session is {ID: %s, IdentityID: %s, AAL: %v, ExpiresAt: %v}, want {ID: %s, IdentityID: %s, AAL: %v, ExpiresAt: %v}",
			got.ID, got.IdentityID, got.AAL, got.ExpiresAt, want.ID, want.IdentityID, want.AAL, want.ExpiresAt)
	}
	if want.Body != nil && !bytes.Equal(got.Body, want.Body) {
		t.Errorf("body is\n%s\nwant\n%s", got.Body, want.Body)
	}
	return got
}

// wantNoSession checks that err is the definite no of a service that knows no session.
func wantNoSession(t *testing.T, err error) {
	t.Helper()
	if !errors.Is(err, upstream.ErrNoSession) {
		t.Errorf("error = %v, want one that wraps %v", err, upstream.ErrNoSession)
	}
}

// wantOutage checks that err leaves open whose session it is.
func wantOutage(t *testing.T, err error) {
	t.Helper()
	if err == nil || upstream.Definite(err) {
		t.Errorf("error = %v, want an outage", err)
	}
}

func testSession(t *testing.T, s Subject, k upstream.Kind) {
	c, want := s.SignIn(k)
	got := s.wantSession(t, c, want)
	body := bytes.Clone(got.Body)
	for range 3 {
		other, wantOther := s.SignIn(k)
		s.wantSession(t, other, wantOther)
		s.wantSession(t, c, want)
	}
	if !bytes.Equal(got.Body, body) {
		t.Error("the body of a session changed after later questions")
	}
}

func testStranger(t *testing.T, s Subject, k upstream.Kind) {
	s.SignIn(k)
	_, err := s.ask(t.Context(), t, s.Stranger(k))
	wantNoSession(t, err)
}

func testRefused(t *testing.T, s Subject, k upstream.Kind) {
	_, err := s.ask(t.Context(), t, s.Refused(k))
	r, ok := errors.AsType[*upstream.Refusal](err)
	if !ok {
		t.Fatalf("error = %v, want a *Refusal", err)
	}
	if r.Status < 400 || r.Status > 499 || len(r.Body) == 0 {
		t.Errorf("refusal has status %d and %d bytes of body, want 400 to 499 and the service's words", r.Status, len(r.Body))
	}
	if errors.Is(err, upstream.ErrNoSession) {
		t.Error("the refusal says that there is no session, too")
	}
}

func testOutage(t *testing.T, s Subject, k upstream.Kind) {
	if len(s.Outages) == 0 {
		t.Fatal("the subject has no outages")
	}
	for name, begin := range s.Outages {
		t.Run(name, func(t *testing.T) {
			c, want := s.SignIn(k)
			begin()
			_, err := s.ask(t.Context(), t, c)
			wantOutage(t, err)
			_, err = s.ask(t.Context(), t, s.Stranger(k))
			wantOutage(t, err)
			s.Repair()
			s.wantSession(t, c, want)
		})
	}
}

// testCancelled tests that nobody waits for an answer longer than he wants, and that the value of the credential is his again then.
func testCancelled(t *testing.T, s Subject, k upstream.Kind) {
	c, want := s.SignIn(k)
	f := func(ctx context.Context, cause error) {
		t.Helper()
		mine := c
		mine.Value = bytes.Clone(c.Value)
		_, err := s.ask(ctx, t, mine)
		scribble(mine.Value)
		wantOutage(t, err)
		if !errors.Is(err, cause) {
			t.Errorf("error = %v, want one that wraps %v", err, cause)
		}
	}
	s.Hang()
	ctx, cancel := context.WithCancel(t.Context())
	timer := time.AfterFunc(10*time.Millisecond, cancel)
	defer timer.Stop()
	f(ctx, context.Canceled)
	f(ctx, context.Canceled)

	ctx, cancel = context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	f(ctx, context.DeadlineExceeded)

	s.Repair()
	s.wantSession(t, c, want)
}

func testNoCredential(t *testing.T, s Subject, k upstream.Kind) {
	known, _ := s.SignIn(k)
	before := s.Questions()
	_, err := s.ask(t.Context(), t, upstream.Credential{})
	wantNoSession(t, err)
	_, err = s.ask(t.Context(), t, upstream.Credential{Name: known.Name, Value: known.Value})
	wantNoSession(t, err)
	if asked := s.Questions() - before; asked != 0 {
		t.Errorf("%d questions were asked about no credential", asked)
	}
	_, err = s.ask(t.Context(), t, upstream.Credential{Kind: k, Name: known.Name})
	wantNoSession(t, err)
}

// testBorrowedValue asks about several credentials in one piece of memory, as a server does that uses it for one request after another.
func testBorrowedValue(t *testing.T, s Subject, k upstream.Kind) {
	alice, wantAlice := s.SignIn(k)
	bob, wantBob := s.SignIn(k)
	stranger := s.Stranger(k)
	memory := make([]byte, max(len(alice.Value), len(bob.Value), len(stranger.Value)))
	borrow := func(c upstream.Credential) upstream.Credential {
		scribble(memory)
		c.Value = memory[:copy(memory, c.Value)]
		return c
	}
	for range 3 {
		got := s.wantSession(t, borrow(alice), wantAlice)
		body := bytes.Clone(got.Body)
		s.wantSession(t, borrow(bob), wantBob)
		_, err := s.ask(t.Context(), t, borrow(stranger))
		wantNoSession(t, err)
		if got.ID != wantAlice.ID || got.IdentityID != wantAlice.IdentityID || !bytes.Equal(got.Body, body) {
			t.Error("the session changed with the memory of the credential")
		}
	}
}

func testConcurrent(t *testing.T, s Subject, k upstream.Kind) {
	const people, questions = 8, 4
	var wg sync.WaitGroup
	for range people {
		c, want := s.SignIn(k)
		stranger := s.Stranger(k)
		for range questions {
			wg.Go(func() {
				a, err := s.ask(t.Context(), t, c)
				if err != nil {
					t.Errorf("Session failed among many questions: %v", err)
				} else if a.Session.ID != want.ID || a.Session.IdentityID != want.IdentityID {
					t.Errorf("one of many questions was answered with session %s, want %s", a.Session.ID, want.ID)
				}
			})
			wg.Go(func() {
				_, err := s.ask(t.Context(), t, stranger)
				wantNoSession(t, err)
			})
		}
	}
	wg.Wait()
}

// scribble overwrites borrowed memory, as its owner may once a call has returned.
func scribble(b []byte) {
	for i := range b {
		b[i] = '!'
	}
}

package sessioncache_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-proxy/gatehouse/sessioncache"
	"github.com/gatehouse-proxy/gatehouse/upstream"
	"github.com/gatehouse-proxy/gatehouse/upstream/upstreamtest"
)

var errDown = errors.New("service is down")

// A reply is what the service says to one question.
type reply func() (upstream.Answer, error)

// yes says that there is such a session. Each answer is a Session of its own, so that a test can tell which answer it got.
func yes(id, identity string) reply {
	return func() (upstream.Answer, error) {
		return upstream.Answer{Session: &upstream.Session{ID: id, IdentityID: identity}, BelieveFor: upstream.Unlimited}, nil
	}
}

func (r reply) expiring(at time.Time) reply {
	return func() (upstream.Answer, error) {
		a, err := r()
		a.Session.ExpiresAt = at
		return a, err
	}
}

func (r reply) believedFor(d time.Duration) reply {
	return func() (upstream.Answer, error) {
		a, err := r()
		a.BelieveFor = d
		return a, err
	}
}

func (r reply) renewing(lines ...string) reply {
	return func() (upstream.Answer, error) {
		a, err := r()
		a.Renewed = upstreamtest.SetCookie(lines...)
		return a, err
	}
}

func fails(err error) reply { return func() (upstream.Answer, error) { return upstream.Answer{}, err } }

var (
	no      = fails(upstream.ErrNoSession)
	refuses = fails(&upstream.Refusal{Status: 403, ErrorID: "session_aal2_required"})
	down    = fails(errDown)
)

// A service is a session service that says what it is told to. It decides when it is asked and answers when delay has passed or, if
// hold is set, when somebody receives from it. It fails the test if there are two questions for one credential at a time.
type service struct {
	t *testing.T

	mu     sync.Mutex
	says   map[string]reply // by the value of the credential; no for others
	asked  map[string]int
	total  int
	flying map[string]bool
	delay  time.Duration
	hold   chan struct{}
}

func newService(t *testing.T) *service {
	return &service{t: t, says: make(map[string]reply), asked: make(map[string]int), flying: make(map[string]bool)}
}

func (s *service) say(value string, r reply) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.says[value] = r
}

// set changes the way in which the service answers.
func (s *service) set(f func(*service)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(s)
}

// questions returns how many questions there have been about value, or about all if value is empty.
func (s *service) questions(value string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if value == "" {
		return s.total
	}
	return s.asked[value]
}

func (s *service) Session(ctx context.Context, c upstream.Credential) (upstream.Answer, error) {
	value := string(c.Value)
	s.mu.Lock()
	if s.flying[value] {
		s.t.Errorf("two questions at a time for %s", value)
	}
	s.flying[value] = true
	s.asked[value]++
	s.total++
	r, delay, hold := s.says[value], s.delay, s.hold
	s.mu.Unlock()
	defer s.set(func(s *service) { s.flying[value] = false })

	if r == nil {
		r = no
	}
	if hold != nil {
		select {
		case <-hold:
		case <-ctx.Done():
			return upstream.Answer{}, ctx.Err()
		}
	}
	if delay > 0 {
		select {
		case <-time.After(delay):
		case <-ctx.Done():
			return upstream.Answer{}, ctx.Err()
		}
	}
	return r()
}

func cookie(value string) upstream.Credential {
	return upstream.Credential{Kind: upstream.Cookie, Name: "session", Value: []byte(value)}
}

// newCache returns a cache with what cfg leaves out set to something ordinary. It is closed with the test.
func newCache(t testing.TB, s upstream.Store, cfg sessioncache.Config) *sessioncache.Cache {
	t.Helper()
	if cfg.Size == 0 {
		cfg.Size = 1000
	}
	if cfg.FreshFor == 0 {
		cfg.FreshFor = 30 * time.Second
	}
	c, err := sessioncache.New(s, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// wantSession looks up value and fails the test unless there is a session with the given id, found at src.
func wantSession(t *testing.T, c *sessioncache.Cache, value, id string, src upstream.Source) upstream.Answer {
	t.Helper()
	a, err := c.Session(t.Context(), cookie(value))
	checkSession(t, a, err, id, src)
	return a
}

func checkSession(t *testing.T, a upstream.Answer, err error, id string, src upstream.Source) {
	t.Helper()
	switch {
	case err != nil:
		t.Errorf("got error %v, want session %s", err, id)
	case a.Session.ID != id || a.Source != src:
		t.Errorf("got session %s from %v, want %s from %v", a.Session.ID, a.Source, id, src)
	}
}

// wantError looks up value and fails the test unless the error is want, or wraps it.
func wantError(t *testing.T, c *sessioncache.Cache, value string, want error) {
	t.Helper()
	a, err := c.Session(t.Context(), cookie(value))
	checkError(t, a, err, want)
}

func checkError(t *testing.T, a upstream.Answer, err, want error) {
	t.Helper()
	if !errors.Is(err, want) || a.Session != nil {
		t.Errorf("got session %v and error %v, want error %v", a.Session, err, want)
	}
}

// wantQuestions fails the test unless there have been n questions about value, or about all if value is empty.
func wantQuestions(t *testing.T, s *service, value string, n int) {
	t.Helper()
	if got := s.questions(value); got != n {
		t.Errorf("the service was asked %d times, want %d", got, n)
	}
}

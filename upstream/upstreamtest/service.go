package upstreamtest

import (
	"net/http"
	"sync"
	"time"
)

// A Fault is a way in which a [Service] fails.
type Fault uint8

// The faults. All but Healthy and NotReady make every question an outage, DatabaseDown in disguise.
const (
	Healthy      Fault = iota
	Down               // connections are closed without a word
	Hang               // nothing is answered before the client goes away
	Truncated          // 200 whose body ends early
	Empty              // 200 without a body
	Garbage            // 200 with a page of HTML
	Redirect           // 302 to a login page
	TooMany            // 429 that does not say for how long
	ServerError        // 500 that names an identity and says how long to cache, as one of Kratos' own does
	DatabaseDown       // 401 to everybody, as Kratos says when its database fails, and not ready
	NotReady           // whoami answers as ever, but the service is not ready
)

// Outages returns the faults that a client can tell from an answer: all but Healthy, DatabaseDown and NotReady.
func Outages() []Fault {
	return []Fault{Down, Hang, Truncated, Empty, Garbage, Redirect, TooMany, ServerError}
}

// String returns the name of the fault, fit for the name of a subtest.
func (f Fault) String() string {
	names := [...]string{
		"healthy", "down", "hang", "truncated", "empty", "garbage", "redirect", "too_many", "server_error", "database_down", "not_ready",
	}
	if int(f) < len(names) {
		return names[f]
	}
	return "unknown"
}

// DefaultCookie is the name of the session cookie where a [Service] is not told another one.
const DefaultCookie = "ory_kratos_session"

// A Service is the session part of Kratos' public API for tests: GET /sessions/whoami with its precedence of credentials, and GET
// /health/ready. It is an [http.Handler]; [Service.Start] and [Service.Pipe] serve it. The zero Service is healthy and knows nobody. It
// is safe for concurrent use.
type Service struct {
	desk // counts the questions to whoami; what is held back is whoami, not readiness

	Cookie string // name of the session cookie; [DefaultCookie] if empty; not to be changed once in use

	mu       sync.Mutex
	logins   map[string]Login  // by session id
	tokens   map[string]string // session ids by token
	cookies  map[string]string // session ids by value of the session cookie
	made     int               // logins
	issued   int               // answers to tokenize_as
	probes   int               // of readiness
	fault    Fault
	delay    time.Duration
	observer func(*http.Request)
}

// SignIn makes the service know l, and returns it with what it left out. It takes the place of an earlier login with the same SessionID,
// whose credentials go on standing for the session, as older cookies do.
func (s *Service) SignIn(l Login) Login {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.logins == nil {
		s.logins, s.tokens, s.cookies = make(map[string]Login), make(map[string]string), make(map[string]string)
	}
	s.made++
	l = l.withDefaults(s.made)
	s.logins[l.SessionID] = l
	s.tokens[l.Token] = l.SessionID
	for _, value := range l.Cookies {
		s.cookies[value] = l.SessionID
	}
	if l.Renewed != "" {
		s.cookies[l.Renewed] = l.SessionID
	}
	return l
}

// SignOut ends a session. It does nothing if there is none.
func (s *Service) SignOut(sessionID string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.logins, sessionID)
}

// Break makes the service fail in one way, and no other, from now on. Healthy repairs it.
func (s *Service) Break(f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = f
}

// Delay makes every answer of whoami take d.
func (s *Service) Delay(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.delay = d
}

// Observe makes f see every request, before it is answered. Several goroutines may call f at once.
func (s *Service) Observe(f func(*http.Request)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.observer = f
}

// ReadinessQuestions returns how many times the service was asked whether it is ready.
func (s *Service) ReadinessQuestions() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.probes
}

// cookie returns the name of the session cookie.
func (s *Service) cookie() string {
	if s.Cookie == "" {
		return DefaultCookie
	}
	return s.Cookie
}

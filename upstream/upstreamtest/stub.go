package upstreamtest

import (
	"context"
	"net"
	"net/http"
	"net/url"
	"sync"
	"testing"

	"github.com/gatehouse-proxy/gatehouse/upstream"
)

// A Stub is a session service of whatever kind for tests: a function that answers, with the faults of a [Service]. It is an
// [http.Handler]. It is safe for concurrent use if Answer is.
type Stub struct {
	desk // counts the questions, and holds answers back

	// Answer answers one request. It is not to be changed once in use.
	Answer func(r *http.Request) (status int, header http.Header, body string)

	mu    sync.Mutex
	fault Fault
}

// Break makes the service fail in one way, and no other, from now on. Healthy repairs it.
func (s *Stub) Break(f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = f
}

// Start serves s on a port of 127.0.0.1 until the test ends, and returns its base URL.
func (s *Stub) Start(t testing.TB) *url.URL {
	t.Helper()
	return start(t, s)
}

// Pipe serves s inside this process until the test ends, as [Service.Pipe] does.
func (s *Stub) Pipe(t testing.TB) func(ctx context.Context, network, addr string) (net.Conn, error) {
	return inMemory(t, s)
}

// ServeHTTP answers as Answer would, or as the fault wants it.
func (s *Stub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.arrive()
	s.mu.Lock()
	fault := s.fault
	s.mu.Unlock()
	status, header, body := s.Answer(r)
	if s.wait(r.Context()) != nil {
		panic(http.ErrAbortHandler) // the client went away
	}
	fault.disturb(response{status: status, header: header, body: []byte(body)}).write(w, r)
}

// Subject returns what [TestStore] needs of a Store in front of s; the caller adds Kinds, SignIn, Stranger and Refused.
func (s *Stub) Subject(store upstream.Store) Subject {
	outages := make(map[string]func())
	for _, fault := range Outages() {
		if fault != Hang {
			outages[fault.String()] = func() { s.Break(fault) }
		}
	}
	return Subject{
		Store:     store,
		Outages:   outages,
		Hang:      func() { s.Break(Hang) },
		Repair:    func() { s.Break(Healthy) },
		Questions: s.Questions,
	}
}

package proxy_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/gatehouse-proxy/gatehouse/proxy"
	"github.com/gatehouse-proxy/gatehouse/upstream"
)

// fakeCalls have /api and what is below it. What ends in /list changes nothing, and what ends in /token is told by its body. They note what
// they are told, in order.
type fakeCalls struct {
	mu   sync.Mutex
	err  error             // of Begin
	told func(what string) // how calls end; may be nil
	all  []string
}

// set changes what the calls do from now on.
func (f *fakeCalls) set(err error, told func(what string)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err, f.told = err, told
}

func (f *fakeCalls) Has(path []byte) bool {
	return string(path) == "/api" || strings.HasPrefix(string(path), "/api/")
}

func (f *fakeCalls) Traits(_, path []byte) (changes, bodied bool) {
	p := string(path)
	return !strings.HasSuffix(p, "/list"), strings.HasSuffix(p, "/token")
}

func (f *fakeCalls) Begin(_ context.Context, c proxy.APICall) (proxy.APIEnding, error) {
	note := fmt.Sprintf("begin %s %s", c.Method, c.Path)
	if c.Body != nil {
		note += fmt.Sprintf(" %q", c.Body)
	}
	for _, cred := range c.Presented {
		note += " " + keyOf(cred)
		if cred.From != c.From {
			note += " from somebody else"
		}
	}
	_, err := f.note(note)
	return f, err
}

func (f *fakeCalls) End(_ context.Context, status int, issued []upstream.Credential) {
	note := fmt.Sprint("end ", status)
	for _, cred := range issued {
		note += " " + keyOf(cred)
	}
	if told, _ := f.note(note); told != nil {
		told(note)
	}
}

func (f *fakeCalls) note(s string) (told func(string), err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.all = append(f.all, s)
	return f.told, f.err
}

// notes returns what was noted since it was called last.
func (f *fakeCalls) notes() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := f.all
	f.all = nil
	return all
}

// newAPIGateway returns a gateway that serves the API of a service, beside an application that answers "app".
func newAPIGateway(t *testing.T, service *scriptedApp, changes ...func(*setup)) (*gateway, *scriptedApp, *fakeCalls) {
	t.Helper()
	app, calls := answering(t, ok("app")), &fakeCalls{}
	g := newGateway(t, app, append([]func(*setup){func(s *setup) {
		at := s.App
		at.Name, at.What, at.Address = "service", "session service", service.Addr().String()
		pool := proxy.NewApp(at)
		t.Cleanup(pool.Close)
		s.API = &proxy.SessionAPI{Service: pool, Calls: calls, Takes: s.Credentials}
		s.Explain = true
	}}, changes...)...)
	return g, app, calls
}

// noCalls have no path.
type noCalls struct{ fakeCalls }

func (*noCalls) Has([]byte) bool { return false }

package policy

import (
	"crypto/rand"
	"fmt"
	"slices"

	"github.com/gatehouse-proxy/gatehouse/upstream"
)

// A Header says which header tells the application what about a session.
type Header struct {
	Name string // canonical, such as X-User-Id
	Path string // into the session's body, in GJSON syntax: https://github.com/tidwall/gjson/blob/master/SYNTAX.md

	Paths map[Service]string // in place of Path for the sessions of a service; may be nil
}

// A Policy is the compiled rules of one configuration. It is immutable and safe for concurrent use.
type Policy struct {
	routes  *routes
	list    []*Route
	headers []Header
	empty   *View
	mark    [8]byte // random: other policies have others, those of other processes too

	conditions conditions // of all routes
	audiences  []string   // of all routes, each once

	tokens      *Tokens // nil if there are none
	tokenHeader []byte
}

// Compile builds a Policy. The order of rules is the order in which they are tried; the order of headers is the order in which they are
// sent. The rules are expected to be valid already: an error here is a fault of the caller, and says which rule is at fault.
func Compile(rules []Rule, headers []Header) (*Policy, error) {
	p := &Policy{headers: slices.Clone(headers)}
	_, _ = rand.Read(p.mark[:]) // never fails: crypto/rand ends the process instead
	err := p.compileRoutes(rules)
	if err != nil {
		return nil, err
	}
	if p.empty, err = p.render(nil, nil); err != nil {
		return nil, fmt.Errorf("compile identity headers: %w", err)
	}
	return p, nil
}

// Route returns the first route that matches, or nil when none does: what matches nothing is refused. host is in lower case without
// port or trailing dot; path is canonical; nothing of the three is kept.
func (p *Policy) Route(host, path, method []byte) *Route { return p.routes.find(host, path, method) }

// KnowsHost reports whether there is a route for a host, in the form that Route takes. Any host is known if a route names none.
func (p *Policy) KnowsHost(host []byte) bool { return p.routes.knows(host) }

// Named returns the route of that name, or nil when there is none.
func (p *Policy) Named(name string) *Route {
	for _, route := range p.list {
		if route.Name == name {
			return route
		}
	}
	return nil
}

// Routes returns all routes in order. The caller must not change the slice.
func (p *Policy) Routes() []*Route { return p.list }

// Headers returns the identity headers in order. The caller must not change the slice.
func (p *Policy) Headers() []Header { return p.headers }

// View returns what the application is told about s, a session of service, and computes it if this policy has not done so before. A nil
// session has the view in which every header is empty. It fails when a value cannot be a header, in which case the request must not pass,
// and with [ErrForgotten] when too little of the session is remembered.
func (p *Policy) View(s *upstream.Session, service Service) (*View, error) {
	if s == nil {
		return p.empty, nil
	}
	if v, ok := s.Memo().(*View); ok && v.policy == p {
		return v, nil
	}
	v, whole := p.unfold(s.FoldedMemo())
	if !whole {
		body, kept := s.Statement()
		switch {
		case kept:
			var err error
			if v, err = p.render(body, service); err != nil {
				return nil, err
			}
			v.unmet, v.tokens = p.conditions.judge(body), p.slots()
		case v == nil:
			return nil, ErrForgotten
		}
	}
	s.SetMemo(v)
	return v, nil
}

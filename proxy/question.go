package proxy

import (
	"bytes"
	"context"
	"errors"
	"strings"

	"github.com/gatehouse-proxy/gatehouse/internal/policy"
	"github.com/gatehouse-proxy/gatehouse/upstream"
)

// A Question is about a request that nobody has sent.
type Question struct {
	Method string
	URL    string // absolute, as a browser would send it; a fragment is left out, as browsers do

	// Value is the credential that it presents, as the first of Kinds that the service of its route takes; nothing if it takes none of them.
	Kinds []upstream.Kind
	Value []byte
}

// Present implements [Presenter].
func (q *Question) Present(s *Service) Presented {
	var h requestHead
	c := &s.Credentials
	for _, kind := range q.Kinds {
		switch kind {
		case upstream.SessionToken:
			h = requestHead{token: q.Value}
		case upstream.Cookie:
			h = requestHead{cookies: [][]byte{q.cookie(c)}}
		case upstream.Bearer:
			h = requestHead{authorization: append([]byte("Bearer "), q.Value...)}
		}
		if p := c.find(&h, nil, nil); p.Kind == kind || p.Malformed {
			return p
		}
	}
	return Presented{}
}

// cookie returns the session cookie with its name. Where that is a pattern, the value has it; what does not is a cookie of any such name.
func (q *Question) cookie(c *Credentials) []byte {
	beginning, pattern := strings.CutSuffix(c.Cookie, "*")
	if name, _, found := bytes.Cut(q.Value, []byte("=")); pattern && found && isNamed(name, c.Cookie) {
		return q.Value
	}
	return append([]byte(beginning+"="), q.Value...)
}

// errURL says what a question must be about.
var errURL = errors.New("want an absolute URL, such as https://app.example.com/path")

// Answer says which face a request would meet, and what would be decided about it. The decision is empty for a face that decides nothing
// about routes. Nothing is counted or logged. It fails if there is no such request.
func (s *Server) Answer(ctx context.Context, q Question) (Face, policy.Decision, error) {
	scheme, rest, ok := strings.Cut(q.URL, "://")
	if _, known := schemeOf([]byte(scheme)); !ok || !known {
		return 0, policy.Decision{}, errURL
	}
	rest, _, _ = strings.Cut(rest, "#")
	end := strings.IndexAny(rest, "/?")
	if end < 0 {
		end = len(rest)
	}
	authority, raw := rest[:end], rest[end:]
	if !strings.HasPrefix(raw, "/") {
		raw = "/" + raw
	}
	host, ok := canonicalHost([]byte(authority), nil)
	if !ok {
		return 0, policy.Decision{}, errURL
	}
	method := []byte(q.Method)
	path, f, face := s.readPath([]byte(raw), nil)
	if face == SessionAPIFace && s.apiAt(host, path, method) == nil {
		face = ProxyFace
	}
	switch {
	case !policy.KnownMethod(method):
		return ProxyFace, malformed(policy.UnsupportedMethod), nil
	case len(path) == 0:
		return ProxyFace, malformedTarget(targetFault([]byte(raw))), nil
	case face != ProxyFace:
		return face, policy.Decision{}, nil
	}
	target := Target{Method: method, Host: host, Path: path, Raw: []byte(raw), forms: f, Destination: []byte(raw)} // as if it stayed there
	return ProxyFace, s.cfg.Gate.Decide(ctx, target, &q), nil
}

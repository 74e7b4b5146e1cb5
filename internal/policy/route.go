package policy

import (
	"bytes"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-proxy/gatehouse/upstream"
)

// An Access says what a route asks of a request. The zero Access denies.
type Access uint8

// The kinds of access.
const (
	DenyAccess     Access = iota // nobody passes
	PublicAccess                 // everybody passes, and nobody is asked
	OptionalAccess               // everybody passes, with an identity if there is one
	SessionAccess                // only a session passes
)

// ParseAccess reads "public", "optional", "session" or "deny". It reports false for anything else.
func ParseAccess(s string) (Access, bool) {
	switch s {
	case "deny":
		return DenyAccess, true
	case "public":
		return PublicAccess, true
	case "optional":
		return OptionalAccess, true
	case "session":
		return SessionAccess, true
	default:
		return DenyAccess, false
	}
}

// A Rule is a route as the configuration states it.
type Rule struct {
	Name    string   // unique; empty means that the rule is named by its place
	Host    string   // "" for any, "app.example.com", or "*.example.com" for every name below example.com
	Path    string   // "/exact", or "/below/*" for /below and everything below it; "/*" for every path
	Methods []string // empty for any
	Access  Access
	Require Requirement
	MaxBody int64 // the longest body that a request may have, in bytes; 0 for any

	Audience string // for whom signed tokens are

	StripPrefix         string // what the application does not see of the path: Path begins with it; empty for nothing
	AllowEncodedSlashes bool   // whether a path may have encoded slashes, if it takes the route however they are read
	ForwardCredential   bool   // whether the application gets the session credential
	CORS                *CORS  // nil if nothing is said about pages of other origins
	App                 App    // nil if there is none

	Service Service // whose sessions pass; nil for the one that there is

	// Origins are those that may open a WebSocket, as browsers write them; "*" is every one. Nil is the origin of the request's own host.
	Origins []string
}

// An App is the application that a route leads to. A policy carries it and does not know what it is: the package proxy does.
type App interface {
	Name() string // as logs and metrics have it
}

// A Service is the session service whose sessions a route takes. A policy carries it and does not know what it is: the package proxy does.
// There is one value for each service as long as the process lives.
type Service interface {
	Name() string // as the configuration has it
}

// A Route is a compiled Rule. It is immutable.
type Route struct {
	Name    string
	Index   int // its place in the configuration, from 0
	Access  Access
	AAL     upstream.AAL  // the least level that a session must have
	MaxAge  time.Duration // since the person last proved who they are; 0 for any
	MaxBody int64         // in bytes; 0 for any
	App     App           // nil if there is none
	Service Service       // as in Rule

	StripSegments       int    // how many segments of the path the application does not see
	Prefix              []byte // those segments as a path in the form of a URL
	AllowEncodedSlashes bool
	ForwardCredential   bool
	CORS                *CORS
	Origins             []string // as in Rule; nobody may change it

	conditions []int // by their places in the policy
	audience   int
}

// routes finds the first rule that matches. Its cost depends on the depth of the path and the labels of the host, not on the number
// of rules: every rule stands under one host pattern and one path pattern, and a request can only match the patterns that its own
// host and path spell out.
type routes struct {
	exact    map[string]*paths // by host
	below    map[string]*paths // by what follows "*." in a host pattern
	any      *paths
	hasHosts bool
}

// paths holds the rules of one host pattern.
type paths struct {
	exact   map[string][]candidate // by path
	prefix  map[string][]candidate // by path without the final "/*"; "" is every path
	longest int                    // of the keys of prefix, so that a longer path costs no more
}

// A candidate is a rule that has matched host and path, and may still differ in the method.
type candidate struct {
	route   *Route
	methods []string // empty for any
}

// compileRoutes adds the routes to a policy, and what they ask for.
func (p *Policy) compileRoutes(rules []Rule) error {
	rs := &routes{exact: map[string]*paths{}, below: map[string]*paths{}, any: newPaths()}
	names := map[string]int{}
	for i, rule := range rules {
		name := rule.Name
		if name == "" {
			name = fmt.Sprintf("routes[%d]", i)
		}
		if first, taken := names[name]; taken {
			return fmt.Errorf("compile route %d: its name %q is that of route %d already", i, name, first)
		}
		names[name] = i
		if !strings.HasPrefix(rule.Path, "/") {
			return fmt.Errorf("compile route %q: path %q does not begin with /", name, rule.Path)
		}
		route := &Route{
			Name: name, Index: i, Access: rule.Access, AAL: rule.Require.AAL, MaxAge: rule.Require.MaxAge, MaxBody: rule.MaxBody,
			AllowEncodedSlashes: rule.AllowEncodedSlashes, ForwardCredential: rule.ForwardCredential, CORS: rule.CORS,
			Origins: slices.Clone(rule.Origins),
			App:     rule.App, Service: rule.Service,
		}
		if err := route.strip(rule.StripPrefix, rule.Path); err != nil {
			return fmt.Errorf("compile route %q: %w", name, err)
		}
		route.conditions = p.conditions.add(rule.Require)
		if route.audience = slices.Index(p.audiences, rule.Audience); route.audience < 0 {
			route.audience = len(p.audiences)
			p.audiences = append(p.audiences, rule.Audience)
		}
		p.list = append(p.list, route)
		rs.host(strings.ToLower(rule.Host)).add(rule.Path, candidate{route, rule.Methods})
	}
	rs.hasHosts = len(rs.exact)+len(rs.below) > 0
	p.routes = rs
	return nil
}

// strip makes the route hide prefix from the application. Every path that the pattern matches must have it.
func (r *Route) strip(prefix, pattern string) error {
	if prefix == "" {
		return nil
	}
	exact := strings.TrimSuffix(pattern, "/*")
	if exact != prefix && !strings.HasPrefix(exact, prefix+"/") || prefix[0] != '/' || strings.HasSuffix(prefix, "/") {
		return fmt.Errorf("its path %q does not begin with the prefix %q", pattern, prefix)
	}
	r.StripSegments = strings.Count(prefix, "/")
	r.Prefix = []byte((&url.URL{Path: prefix}).EscapedPath())
	return nil
}

func newPaths() *paths {
	return &paths{exact: map[string][]candidate{}, prefix: map[string][]candidate{}}
}

// host returns the rules of a host pattern, making room for them if need be.
func (rs *routes) host(pattern string) *paths {
	table, key := rs.exact, pattern
	if pattern == "" {
		return rs.any
	}
	if suffix, wild := strings.CutPrefix(pattern, "*."); wild {
		table, key = rs.below, suffix
	}
	p, ok := table[key]
	if !ok {
		p = newPaths()
		table[key] = p
	}
	return p
}

func (p *paths) add(pattern string, c candidate) {
	if prefix, below := strings.CutSuffix(pattern, "/*"); below {
		p.prefix[prefix] = append(p.prefix[prefix], c)
		p.longest = max(p.longest, len(prefix))
		return
	}
	p.exact[pattern] = append(p.exact[pattern], c)
}

// find returns the first route for a request, or nil. host is in lower case without port or trailing dot, path is canonical: one that
// does not begin with a slash has no route.
func (rs *routes) find(host, path, method []byte) *Route {
	if len(path) == 0 || path[0] != '/' {
		return nil
	}
	best := rs.any.find(path, method, nil)
	if !rs.hasHosts {
		return best
	}
	if p, ok := rs.exact[string(host)]; ok {
		best = p.find(path, method, best)
	}
	for rest := host; ; {
		dot := bytes.IndexByte(rest, '.')
		if dot < 0 {
			return best
		}
		rest = rest[dot+1:]
		if p, ok := rs.below[string(rest)]; ok {
			best = p.find(path, method, best)
		}
	}
}

// knows reports whether there is a route for a host, whatever the path.
func (rs *routes) knows(host []byte) bool {
	if len(rs.any.exact)+len(rs.any.prefix) > 0 || rs.exact[string(host)] != nil {
		return true
	}
	for dot := bytes.IndexByte(host, '.'); dot >= 0; dot = bytes.IndexByte(host, '.') {
		if host = host[dot+1:]; rs.below[string(host)] != nil {
			return true
		}
	}
	return false
}

// find returns the first of best and the routes of p that match. The prefixes of "/a/b" are "", "/a" and "/a/b".
func (p *paths) find(path, method []byte, best *Route) *Route {
	best = first(p.exact[string(path)], method, best)
	for i := range min(len(path), p.longest) + 1 {
		if i == len(path) || path[i] == '/' {
			best = first(p.prefix[string(path[:i])], method, best)
		}
	}
	return best
}

// first returns the first of best and the candidates that take the method. Candidates stand in the order of the configuration.
func first(candidates []candidate, method []byte, best *Route) *Route {
	for _, c := range candidates {
		if best != nil && c.route.Index >= best.Index {
			return best
		}
		if len(c.methods) == 0 || slices.Contains(c.methods, string(method)) {
			return c.route
		}
	}
	return best
}

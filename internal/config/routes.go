package config

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"unicode"

	"github.com/gatehouse-proxy/gatehouse/internal/policy"
)

func (l *loader) validateRoutes(c *Config) {
	routes := c.Routes
	for _, name := range slices.Sorted(maps.Keys(c.Requirements)) {
		path := join("requirements", name)
		l.validateRequire(path, c.Requirements[name])
		if c.Requirements[name].Use != "" {
			l.report(path+".use", "a set cannot use another: write out what it requires")
		}
	}
	if len(routes) == 0 {
		l.report("routes", "without a route nothing is served: add one, or remove the key to ask for a session everywhere")
	}
	names := map[string]int{}
	for i, r := range routes {
		path := fmt.Sprintf("routes[%d]", i)
		l.validateRoute(path, r)
		l.validateUse(path, r.Require, c.Requirements)
		if first, taken := names[r.Name]; taken && r.Name != "" {
			l.report(path+".name", "%s is the name of routes[%d] already: choose another", quote(r.Name), first)
		} else {
			names[r.Name] = i
		}
		if l.broken[path] {
			continue
		}
		for j := range i {
			if !routes[j].Match.covers(&r.Match) {
				continue
			}
			if earlier := fmt.Sprintf("routes[%d]", j); !l.broken[earlier] {
				l.report(path, "is never reached: %s (%s) matches everything it matches; move it up or remove it", earlier, l.where(earlier))
				break
			}
		}
	}
}

func (l *loader) validateRoute(path string, r Route) {
	if len(r.Name) > 64 || strings.Trim(r.Name, nameBytes) != "" {
		l.report(path+".name", "want at most 64 letters, digits, '.', '_' and '-', got %s", quote(r.Name))
	}
	if r.Match.Path == "" {
		l.report(path+".match.path", "is missing: say which paths the route is about; /* is every path")
	} else {
		l.check(path+".match.path", patternFault(r.Match.Path))
	}
	if r.Match.Host != "" {
		l.check(path+".match.host", hostFault(r.Match.Host))
	}
	if r.Match.Methods != nil && len(r.Match.Methods) == 0 {
		l.report(path+".match.methods", "no request would match: name a method, or remove the key for any method")
	}
	for i, m := range r.Match.Methods {
		item := fmt.Sprintf("%s.match.methods[%d]", path, i)
		switch capitals := strings.ToUpper(m); {
		case m != capitals && slices.Contains(policy.Methods(), capitals):
			l.report(item, "want %s, in capitals, got %s", capitals, quote(m))
		case !slices.Contains(policy.Methods(), m):
			l.report(item, "want %s, got %s", alternatives(policy.Methods()), quote(m))
		case slices.Contains(r.Match.Methods[:i], m):
			l.report(item, "%s is there already: remove one", m)
		}
	}
	l.validateRequire(path+".require", r.Require)
	if _, set := l.set[path+".max_body"]; set {
		between(l, path+".max_body", r.MaxBody, 1, Unlimited)
	}
	if r.Access == "" {
		l.report(path+".access", "is missing: want public, optional, session or deny")
	} else if r.Access != AccessSession && !r.Require.isZero() {
		l.report(path+".require", "only a route with `access: session` can require something of the session, and this one has `access: %s`",
			r.Access)
	}
	if r.StripPrefix != "" {
		l.check(path+".strip_prefix", prefixFault(r.StripPrefix, r.Match.Path))
	}
	if r.CORS != nil {
		l.validateCORS(path+".cors", r)
	}
	if r.AllowedOrigins != nil {
		if len(r.AllowedOrigins) == 0 {
			l.report(path+".allowed_origins", "no page could open a WebSocket: name an origin, or remove the key for the host's own")
		}
		l.validateOrigins(path+".allowed_origins", r.AllowedOrigins)
	}
}

// nameBytes are the characters of names of routes.
const nameBytes = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"

// covers reports whether every request that n matches is matched by m too.
func (m *Match) covers(n *Match) bool {
	return coversPath(m.Path, n.Path) && coversHost(m.Host, n.Host) && coversMethods(m.Methods, n.Methods)
}

func coversMethods(a, b []string) bool {
	if len(b) == 0 {
		b = policy.Methods()
	}
	return len(a) == 0 || !slices.ContainsFunc(b, func(method string) bool { return !slices.Contains(a, method) })
}

func coversHost(a, b string) bool {
	suffix, wild := strings.CutPrefix(a, "*") // the dot stays
	return a == "" || a == b || wild && strings.HasSuffix(b, suffix)
}

func coversPath(a, b string) bool {
	above, wild := strings.CutSuffix(a, "/*")
	rest, below := strings.CutPrefix(b, above)
	return a == b || wild && below && (rest == "" || rest[0] == '/')
}

// patternFault says what is wrong with the path of a route, or "".
func patternFault(pattern string) string {
	exact := strings.TrimSuffix(pattern, "/*")
	switch {
	case exact == "":
		return ""
	case strings.Contains(exact, "*"):
		return "* stands for everything below a path, and only at its end, after a slash: want such as /admin/*"
	case strings.HasSuffix(exact, "/") && exact != pattern:
		return "has an empty segment (//), which no request has: remove it"
	default:
		return pathFault(exact)
	}
}

// isPlaceholder reports whether a segment of a path is what other routers take for any segment, such as :id or {id}.
func isPlaceholder(segment string) bool {
	return len(segment) > 1 && segment[0] == ':' || strings.HasPrefix(segment, "{") && strings.HasSuffix(segment, "}")
}

// prefixFault says what is wrong with the part of the pattern that the application does not see, or "".
func prefixFault(prefix, pattern string) string {
	exact := strings.TrimSuffix(pattern, "/*")
	switch fault := pathFault(prefix); {
	case fault != "":
		return fault
	case strings.HasSuffix(prefix, "/"):
		return "want a path that does not end in a slash, such as /api"
	case exact != prefix && !strings.HasPrefix(exact, prefix+"/"):
		return "want whole segments that match.path begins with, got " + quote(prefix) + " for " + quote(pattern)
	default:
		return ""
	}
}

// facePathFault says what is wrong with a path that Gatehouse answers itself, or "".
func facePathFault(path string) string {
	switch {
	case strings.Contains(path, "*"):
		return "want one path, such as /.gatehouse/auth, without *"
	case path == "/" || path != "" && strings.HasSuffix(path, "/"):
		return "want a path that does not end in a slash"
	default:
		return pathFault(path)
	}
}

// pathFault says why no request has this path, or "". Requests are judged by their path once decoded, and those whose path has more
// than one reading are refused.
func pathFault(path string) string {
	if !strings.HasPrefix(path, "/") {
		return "want a path that begins with a slash, got " + quote(path)
	}
	for _, r := range path {
		switch {
		case r == '?':
			return "want the path only: a query (?) is not looked at"
		case r == '#':
			return "want the path only: a fragment (#) never reaches a server"
		case r == ';':
			return "want the path only: parameters (;) are not looked at"
		case r == '%':
			return "want the path as it is once decoded: replace % and the digits after it by the character"
		case r == '\\':
			return `want slashes: requests with a backslash (\) are refused`
		case r == ' ' || !unicode.IsPrint(r):
			return "want no spaces or control characters in a path"
		}
	}
	for segment := range strings.SplitSeq(path[1:], "/") {
		if segment == "." || segment == ".." {
			return "want no . or .. segments: requests with them are refused"
		}
	}
	if strings.Contains(path, "//") {
		return "has an empty segment (//), which no request has: remove it"
	}
	return ""
}

// hostFault says what is wrong with the host of a route, or "".
func hostFault(host string) string {
	name, wild := strings.CutPrefix(host, "*.")
	addr, err := netip.ParseAddr(strings.Trim(name, "[]"))
	switch isAddr := err == nil; {
	case strings.Contains(host, "://"):
		return "want the host only: remove the scheme"
	case strings.Contains(host, "/"):
		return "want the host only: put the path into match.path"
	case strings.HasSuffix(host, "."):
		return "remove the trailing dot: names are compared without it"
	case isAddr && wild:
		return "an address has no names below it: remove the *"
	case isAddr && addr.Is6():
		if canonical := "[" + addr.String() + "]"; host != canonical || addr.Zone() != "" {
			return "want an IPv6 address in brackets and in its shortest form, such as [::1]"
		}
		return ""
	case strings.Contains(name, ":"):
		return "want the host only: remove the port, names are compared without it"
	case !isHostName(name):
		return "want a host name such as app.example.com, or *.example.com for every name below it, got " + quote(host)
	case host != strings.ToLower(host):
		return "want it in lower case: " + quote(strings.ToLower(host))
	default:
		return ""
	}
}

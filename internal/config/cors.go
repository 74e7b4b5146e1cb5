package config

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-proxy/gatehouse/internal/policy"
)

// validateCORS checks what a route says of pages of other origins.
func (l *loader) validateCORS(path string, r Route) {
	c := r.CORS
	if l.broken[path] {
		return
	}
	if c.Pass {
		switch {
		case r.Access == AccessDeny:
			l.report(path, "nothing passes a route with `access: deny`: remove it, or choose another access")
		case len(c.AllowedOrigins)+len(c.AllowedMethods)+len(c.AllowedHeaders)+len(c.ExposedHeaders) > 0 || c.AllowCredentials || c.MaxAge != 0:
			l.report(path, "with pass it is the application that answers: remove pass, or the other keys")
		}
		return
	}
	if len(c.AllowedOrigins) == 0 {
		l.report(path+".allowed_origins", "is missing: name the origins, such as https://app.example.com, or write `cors: pass`")
	}
	l.validateOrigins(path+".allowed_origins", c.AllowedOrigins)
	if c.AllowCredentials && slices.Equal(c.AllowedOrigins, []string{policy.AnyOrigin}) {
		l.report(path+".allowed_origins[0]", `"*" with allow_credentials would let every page act for its user: name the origins`)
	}
	for i, m := range c.AllowedMethods {
		if !slices.Contains(policy.Methods(), m) {
			l.report(fmt.Sprintf("%s.allowed_methods[%d]", path, i), "want %s, got %s", alternatives(policy.Methods()), quote(m))
		}
	}
	l.validateNames(path+".allowed_headers", c.AllowedHeaders)
	l.validateNames(path+".exposed_headers", c.ExposedHeaders)
	between(l, path+".max_age", c.MaxAge, 0, 24*time.Hour)
}

// validateOrigins checks the origins of pages that may do something.
func (l *loader) validateOrigins(path string, origins []string) {
	for i, origin := range origins {
		item := fmt.Sprintf("%s[%d]", path, i)
		switch {
		case origin != policy.AnyOrigin:
			l.check(item, originFault(origin))
		case len(origins) > 1:
			l.report(item, `"*" is every origin: remove it, or the others`)
		}
		if slices.Contains(origins[:i], origin) {
			l.report(item, "%s is there already: remove one", quote(origin))
		}
	}
}

// validateNames checks names of headers.
func (l *loader) validateNames(path string, names []string) {
	for i, name := range names {
		if !isToken(name) || strings.Contains(name, "*") {
			l.report(fmt.Sprintf("%s[%d]", path, i), "want the name of a header, such as Content-Type, got %s", quote(name))
		}
	}
}

// originFault says why no browser sends this as the origin of a page that could be allowed, or "".
func originFault(origin string) string {
	u, err := url.Parse(origin)
	switch {
	case origin == "null":
		return "null is the origin of every sandboxed page and of every file, and cannot be allowed: name the origins that are meant"
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil:
		return "want an origin such as https://app.example.com"
	case strings.Contains(origin, "*"):
		return `want an origin such as https://app.example.com: only "*" alone stands for others`
	case u.Path != "" || strings.ContainsAny(origin, "?#"):
		return "want scheme, host and port only: remove what follows, also a slash at the end"
	case origin != strings.ToLower(origin):
		return "want it in lower case, as browsers send it"
	case u.Port() == "" && strings.HasSuffix(u.Host, ":") || u.Port() != "" && !isPort(u.Port(), 1):
		return "want a port from 1 to 65535"
	case u.Scheme == "http" && u.Port() == "80" || u.Scheme == "https" && u.Port() == "443":
		return "remove the port: browsers leave out the one that is the scheme's own"
	case hostFault(strings.TrimSuffix(u.Host, ":"+u.Port())) != "":
		return "the host: " + hostFault(strings.TrimSuffix(u.Host, ":"+u.Port()))
	default:
		return ""
	}
}

package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-proxy/gatehouse/internal/expression"
)

// isZero reports whether nothing is required.
func (r *Require) isZero() bool {
	return r.AAL == 0 && r.MaxAge == 0 && r.Methods == nil && r.Expression == "" && r.Use == ""
}

func (l *loader) validateRequire(path string, r Require) {
	if _, set := l.set[path+".max_age"]; set {
		between(l, path+".max_age", r.MaxAge, time.Second, 8760*time.Hour)
	}
	if r.Methods != nil && len(r.Methods) == 0 {
		l.report(path+".methods", "no session would do: name a method, or remove the key for any method")
	}
	for i, m := range r.Methods {
		item := fmt.Sprintf("%s.methods[%d]", path, i)
		switch {
		case m == "" || len(m) > 64 || strings.Trim(m, methodBytes) != "":
			l.report(item, "want a method of authentication as the session service spells it, such as totp, got %s", quote(m))
		case slices.Contains(r.Methods[:i], m):
			l.report(item, "%s is there already: remove one", m)
		}
	}
	if _, set := l.set[path+".expression"]; set {
		if _, err := expression.Compile(r.Expression); err != nil {
			l.report(path+".expression", "%v", err)
		}
	}
	if _, set := l.set[path+".use"]; set && r.Use == "" {
		l.report(path+".use", "is empty: name a set in requirements, or remove the key")
	}
}

// methodBytes are the characters of methods of authentication.
const methodBytes = "abcdefghijklmnopqrstuvwxyz0123456789_-"

// validateUse checks that there is a set of the name that a route uses.
func (l *loader) validateUse(route string, r Require, sets map[string]Require) {
	if _, known := sets[r.Use]; known || r.Use == "" || l.failed["requirements"] {
		return
	}
	names := slices.Sorted(maps.Keys(sets))
	l.report(route+".require.use", "%s", l.unknownName("there is no set of the name", r.Use, "requirements", names))
}

// validateToken checks what is said of signed tokens.
func (l *loader) validateToken(c *Config) {
	t := c.IdentityToken
	for i, r := range c.Routes {
		path := fmt.Sprintf("routes[%d].audience", i)
		switch _, set := l.set[path]; {
		case set && r.Audience == "":
			l.report(path, "is empty: name the application, or remove the key")
		case set && t == nil && !l.failed["identity_token"]:
			l.report(path, "no token is signed: add identity_token, or remove this")
		case set && (r.Access == AccessPublic || r.Access == AccessDeny):
			l.report(path, "a route with `access: %s` has no sessions, and so no tokens: remove this", r.Access)
		}
	}
	if t == nil {
		return
	}
	const path = "identity_token"
	l.validateTokenHeader(t.Header, c.IdentityHeaders)
	if t.KeyFile == "" {
		l.report(path+".key_file", "is missing: name the file with the private key, as `openssl genpkey -algorithm ed25519` writes it")
	}
	for i, name := range t.OtherKeyFiles {
		item := fmt.Sprintf("%s.other_key_files[%d]", path, i)
		switch {
		case name == "":
			l.report(item, "is empty: name a file, or remove it")
		case slices.Contains(t.OtherKeyFiles[:i], name) || name == t.KeyFile:
			l.report(item, "%s is there already: remove one", quote(name))
		}
	}
	if t.Issuer == "" {
		l.report(path+".issuer", "is empty: say who signs, or remove the key for gatehouse")
	}
	if t.Audience == "" {
		l.report(path+".audience", "is missing: say for whom the tokens are, such as the URL of the application, so that nobody else accepts them")
	}
	between(l, path+".ttl", t.TTL, 10*time.Second, 24*time.Hour)
	for _, name := range slices.Sorted(maps.Keys(t.Claims)) {
		claim := join(path+".claims", name)
		if slices.Contains(reservedClaims(), name) {
			l.report(claim, "this claim has a meaning already: choose another name")
		}
		l.check(claim, sessionPathFault(t.Claims[name], "claim"))
	}
}

// reservedClaims are those of RFC 7519 section 4.1, and others that tokens have anyway.
func reservedClaims() []string {
	return []string{"iss", "sub", "aud", "exp", "nbf", "iat", "jti", "sid", "auth_time", "acr", "amr"}
}

// validateTokenHeader checks the name of the header that carries signed tokens. Unlike the other headers it may be one of Gatehouse's own.
func (l *loader) validateTokenHeader(name string, others IdentityHeaders) {
	const path = "identity_token.header"
	folded := strings.ToLower(name)
	own := strings.HasPrefix(folded, "x-gatehouse-") &&
		!slices.Contains([]string{"x-gatehouse-reason", "x-gatehouse-detail", "x-gatehouse-cache"}, folded)
	switch {
	case !isHeaderName(name):
		l.report(path, "want the name of a header, such as X-Gatehouse-Jwt, got %s", quote(name))
	case isReserved(folded) && !own:
		l.report(path, "this header means something else to servers and proxies: choose another name, such as X-Gatehouse-Jwt")
	}
	for _, h := range others {
		if strings.ToLower(h.Name) == folded {
			l.report(path, "is one of identity_headers (%s) too: choose another name", l.where(join("identity_headers", h.Name)))
		}
	}
}

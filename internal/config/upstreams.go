package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/gatehouse-proxy/gatehouse/upstream"
)

// A NamedUpstream is a session service and what it is called.
type NamedUpstream struct {
	Name string // in upstreams; empty for the one of upstream
	Key  string // of its section
	*Upstream
}

// Services returns all session services: the one of upstream, or those of upstreams by name.
func (c *Config) Services() []NamedUpstream {
	if len(c.Upstreams) == 0 {
		return []NamedUpstream{{Key: "upstream", Upstream: &c.Upstream}}
	}
	var all []NamedUpstream
	for _, name := range slices.Sorted(maps.Keys(c.Upstreams)) {
		if u := c.Upstreams[name]; u != nil { // else it could not be decoded
			all = append(all, NamedUpstream{Name: name, Key: join("upstreams", name), Upstream: u})
		}
	}
	return all
}

// CredentialsOf returns the kinds of credential that are looked at for a service: those of credentials that it takes.
func (c *Config) CredentialsOf(u *Upstream) []upstream.Kind {
	s := u.Service()
	return slices.DeleteFunc(slices.Clone(c.Credentials), func(k upstream.Kind) bool { return !s.Takes(k) })
}

// DialectOf returns in whose words whoami is answered where a service answers it.
func (c *Config) DialectOf(u *Upstream) Dialect {
	if c.Whoami.Dialect != "" {
		return c.Whoami.Dialect
	}
	return u.Service().Dialect
}

// HeadersOf returns the paths of identity headers that are a service's own, by name.
func (u *Upstream) HeadersOf() map[string]string {
	own := map[string]string{}
	for _, h := range u.IdentityHeaders {
		own[h.Name] = h.Path
	}
	return own
}

// settle gives the keys that were left out the defaults that depend on the services.
func (l *loader) settle(c *Config) {
	if _, set := l.set["upstream"]; !set && len(c.Upstreams) > 0 {
		c.Upstream = Upstream{}
	}
	for _, u := range c.Services() {
		if _, set := l.set[u.Key+".embedded.cookie"]; !set && u.Embedded != nil {
			u.Embedded.Cookie = u.Embedded.defaultCookie()
		}
	}
	services := slices.DeleteFunc(c.Services(), func(u NamedUpstream) bool { return u.Service().Kind == "" })
	if len(services) == 0 {
		return
	}
	if _, set := l.set["identity_headers"]; !set {
		settleIdentity(c, services)
	}
	if _, set := l.set["credentials"]; !set {
		c.Credentials = slices.DeleteFunc(c.Credentials, func(k upstream.Kind) bool {
			return !slices.ContainsFunc(services, func(u NamedUpstream) bool { s := u.Service(); return s.Takes(k) })
		})
	}
	if _, set := l.set["whoami.dialect"]; !set {
		c.Whoami.Dialect = ""
		if len(c.Upstreams) == 0 {
			c.Whoami.Dialect = c.Upstream.Service().Dialect
		}
	}
}

// settleIdentity lets the one identity header of the default have the id of the identity, where each service says it.
func settleIdentity(c *Config, services []NamedUpstream) {
	h := &c.IdentityHeaders[0]
	for i, u := range services {
		switch path := u.Service().Identity; {
		case sessionPathFault(path, "") != "":
		case i == 0:
			h.Path = path
		case path != h.Path && u.IdentityHeaders == nil:
			u.IdentityHeaders = IdentityHeaders{{Name: h.Name, Path: path}}
		}
	}
}

// validateUpstreams checks all session services.
func (l *loader) validateUpstreams(c *Config) {
	_, one := l.set["upstream"]
	_, several := l.set["upstreams"]
	switch {
	case one && several:
		l.report("upstreams", "there is upstream already (%s): give that a name in upstreams, or remove one of the two", l.where("upstream"))
		return
	case several && len(c.Upstreams) == 0:
		l.report("upstreams", "is empty: name a session service, such as `upstreams: { staff: { kratos: { url: http://127.0.0.1:4433 } } }`")
		return
	}
	files := map[string]string{}
	for _, u := range c.Services() {
		l.validateUpstream(c, u)
		if e := u.Embedded; e != nil && e.Path != "" {
			path := u.Key + ".embedded.path"
			if other, taken := files[e.Path]; taken {
				l.report(path, "is the file of %s (%s) too: give it one of its own", other, l.where(other))
			}
			files[e.Path] = path
		}
	}
}

// validateOwnHeaders checks the paths of identity headers that are a service's own.
func (l *loader) validateOwnHeaders(c *Config, u NamedUpstream) {
	path := u.Key + ".identity_headers"
	if u.Name == "" && u.IdentityHeaders != nil {
		l.report(path, "is for upstreams only: say it in identity_headers at the top level")
		return
	}
	for _, h := range u.IdentityHeaders {
		known := slices.ContainsFunc(c.IdentityHeaders, func(g IdentityHeader) bool { return g.Name == h.Name })
		if !known && !l.failed["identity_headers"] {
			l.report(join(path, h.Name), "is none of identity_headers (%s), where all services have the same: add it there, or remove it here",
				l.where("identity_headers"))
		}
		l.check(join(path, h.Name), sessionPathFault(h.Path, "header"))
	}
}

// validateRouteUpstreams checks that every route that asks for a session says whose.
func (l *loader) validateRouteUpstreams(c *Config) {
	if _, both := l.set["upstream"]; l.failed["upstreams"] || both && len(c.Upstreams) > 0 {
		return
	}
	names := slices.Sorted(maps.Keys(c.Upstreams))
	_, written := l.set["routes"]
	for i, r := range c.Routes {
		path := fmt.Sprintf("routes[%d].upstream", i)
		asks := r.Access == AccessSession || r.Access == AccessOptional || r.ForwardCredential
		_, set := l.set[path]
		switch {
		case set && len(c.Upstreams) == 0:
			l.report(path, "there is only one session service: remove this, or name several in upstreams")
		case set && r.Access == AccessDeny:
			l.report(path, "nothing passes a route with `access: deny`: remove this")
		case set && c.Upstreams[r.Upstream] == nil:
			l.report(path, "%s", l.unknownName("there is no session service of the name", r.Upstream, "upstreams", names))
		case !set && asks && len(c.Upstreams) > 0 && !written && !l.failed["routes"]:
			l.report("upstreams", "no route says which paths are for whose sessions: add routes, such as "+
				"`{ match: { path: /* }, access: session, upstream: %s }`", names[0])
		case !set && asks && len(c.Upstreams) > 0:
			l.report(path, "is missing: say whose sessions and credentials the route is about: %s", alternatives(names))
		}
	}
}

// unknownName says that a name is none of those in a section.
func (l *loader) unknownName(message, name, section string, names []string) string {
	message = fmt.Sprintf("%s %s in %s", message, quote(name), section)
	if near := Nearest(name, names); near != "" {
		return message + fmt.Sprintf("; did you mean `%s`?", near)
	}
	if len(names) == 0 {
		return message + ": add one"
	}
	return message + "; want " + alternatives(names)
}

// warnOfUpstreams says what of the session services may not be as it was meant.
func (c *Config) warnOfUpstreams(warn func(format string, args ...any)) {
	for _, u := range c.Services() {
		if e := u.Embedded; e != nil && e.AdminListen != "" && !isLoopback(e.AdminListen) {
			warn("%s.embedded.admin_listen: whoever reaches %s can create a session for anybody: keep it on 127.0.0.1", u.Key, e.AdminListen)
		}
		if u.Name != "" && !slices.ContainsFunc(c.Routes, func(r Route) bool { return r.Upstream == u.Name }) {
			warn("%s: no route uses it", u.Key)
		}
		for _, name := range slices.Sorted(maps.Keys(c.Requirements)) {
			uses := func(r Route) bool { return r.Upstream == u.Name && r.Require.Use == name }
			if u.Name == "" || slices.ContainsFunc(c.Routes, uses) {
				u.neverMet(warn, "requirements."+name, c.Requirements[name])
			}
		}
		for i, r := range c.Routes {
			if r.Upstream == u.Name {
				u.neverMet(warn, fmt.Sprintf("routes[%d].require", i), r.Require)
			}
		}
	}
}

// neverMet says what of a requirement no session can meet, since the service does not say it.
func (u *NamedUpstream) neverMet(warn func(format string, args ...any), path string, r Require) {
	s := u.Service()
	service := strings.ReplaceAll(s.Kind, "_", " ")
	if u.Name != "" {
		service = u.Key
	}
	if s.Dialect == DialectKratos && u.HTTP == nil {
		if r.AAL > upstream.AAL2 { // https://www.ory.com/docs/kratos/mfa/overview
			warn("%s.aal: no session meets it, since %s knows aal1 and aal2 only: want aal2", path, service)
		}
		return
	}
	never := func(key, instead string) {
		warn("%s.%s: no session meets it, since %s does not say it: %s", path, key, service, instead)
	}
	const remove = "remove it"
	sayWhere := func(key string) string {
		return "name where the answer has it in " + u.Key + ".http.paths." + key + ", or remove it"
	}
	switch {
	case r.AAL <= upstream.AAL1 || u.HTTP != nil && u.HTTP.Paths.AAL != "":
	case u.HTTP != nil:
		never("aal", sayWhere("aal"))
	default:
		never("aal", remove)
	}
	if r.MaxAge > 0 && u.HTTP != nil && u.HTTP.Paths.AuthenticatedAt == "" {
		never("max_age", sayWhere("authenticated_at"))
	}
	if r.Methods != nil {
		never("methods", remove)
	}
}

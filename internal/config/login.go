package config

import (
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
)

func (l *loader) validateLogin(login *Login) {
	if login == nil {
		return
	}
	if login.URL == "" {
		l.report("login.url", "is missing: say where people sign in, such as https://auth.example.com/login")
	} else {
		l.check("login.url", loginFault(login.URL))
	}
	if p := login.ReturnToParam; p == "" || len(p) > 64 || strings.Trim(p, nameBytes) != "" {
		l.report("login.return_to_param", "want at most 64 letters, digits, '.', '_' and '-', got %s", quote(p))
	}
	if len(login.AllowedHosts) == 0 {
		l.report("login.allowed_hosts", "nobody could be led back after signing in: name the hosts of the application, such as app.example.com")
	}
	for i, host := range login.AllowedHosts {
		path := fmt.Sprintf("login.allowed_hosts[%d]", i)
		if slices.Contains(login.AllowedHosts[:i], host) {
			l.report(path, "%s is there already: remove one", quote(host))
			continue
		}
		l.check(path, allowedHostFault(host))
	}
}

// loginFault says what is wrong with the URL of a login page, or "".
func loginFault(s string) string {
	page, query, _ := strings.Cut(s, "?")
	switch {
	case strings.Contains(s, "#"):
		return "remove the fragment: parameters have no place after it"
	case !strings.HasPrefix(s, "http://") && !strings.HasPrefix(s, "https://"):
		return "want an absolute URL such as https://auth.example.com/login: a path alone would lead to another host behind some front proxies"
	case strings.ContainsFunc(query, func(r rune) bool { return r <= ' ' || r >= 0x7f || r == '"' || r == '<' || r == '>' }):
		return "want the query percent-encoded"
	default:
		return urlFault(page, true)
	}
}

// allowedHostFault says what is wrong with a host that people may be led back to, or "".
func allowedHostFault(s string) string {
	host, port := s, ""
	if i := strings.LastIndexByte(s, ':'); i > strings.LastIndexByte(s, ']') {
		host, port = s[:i], s[i+1:]
		switch {
		case strings.Contains(s, "://"):
			return "want the host only: remove the scheme"
		case !isPort(port, 1):
			return "want a port from 1 to 65535"
		case port == "80" || port == "443":
			return "remove the port: it is that of http or https"
		}
	}
	if host == "" {
		return "want a host name such as app.example.com, or *.example.com for every name below it"
	}
	return strings.Replace(hostFault(host), "put the path into match.path", "remove the path", 1)
}

// warnOfLogin says what may keep people from signing in.
func (c *Config) warnOfLogin(warn func(format string, args ...any)) {
	if c.Login == nil {
		return
	}
	u, err := url.Parse(c.Login.URL)
	if err != nil {
		return
	}
	host := strings.ToLower(strings.TrimSuffix(u.Hostname(), "."))
	port := u.Port()
	if port == "80" || port == "443" {
		port = "" // as in allowed_hosts
	}
	guarded := slices.ContainsFunc(c.Login.AllowedHosts, func(allowed string) bool {
		name, at, err := net.SplitHostPort(allowed)
		if err != nil {
			name, at = allowed, ""
		}
		return at == port && coversHost(name, host)
	})
	if !guarded {
		return // by somebody else, if at all; on one machine, services differ in the port only
	}
	page := Match{Host: host, Path: u.Path, Methods: []string{"GET"}}
	if page.Path == "" {
		page.Path = "/"
	}
	if c.servesAPI("", page.Path) {
		return // for everybody
	}
	for i, r := range c.Routes {
		if !r.Match.covers(&page) {
			continue
		}
		if c.servesAPI(r.Upstream, page.Path) {
			return
		}
		if r.Access == AccessSession || r.Access == AccessDeny {
			warn("login.url: routes[%d] has `access: %s` for %s, so that nobody could sign in: put a route with `access: public` before it, "+
				"for the page and what it loads", i, r.Access, page.Path)
		}
		return
	}
	warn("login.url: no route matches %s on %s, so that nobody could sign in: add one with `access: public`", page.Path, host)
}

package config

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-proxy/gatehouse/internal/expression"
	"github.com/gatehouse-proxy/gatehouse/internal/parts"
	"github.com/gatehouse-proxy/gatehouse/upstream"
)

func (l *loader) validateUpstream(c *Config, u NamedUpstream) {
	l.validateChoice(u)
	l.validateOwnHeaders(c, u)
	if k := u.Kratos; k != nil {
		l.validateURL(u.Key+".kratos.url", k.URL, "set the public API of Kratos, such as http://127.0.0.1:4433")
		l.validateBase(u.Key+".kratos.url", k.URL, "/sessions/whoami")
		l.check(u.Key+".kratos.cookie", cookiePatternFault(k.Cookie))
		if k.Revocations != nil {
			l.check(u.Key+".kratos.revocations.postgres", cmp.Or(parts.Postgres.Fault(), databaseFault(string(k.Revocations.Postgres))))
		}
	}
	if w := u.Wacht; w != nil {
		l.validateURL(u.Key+".wacht.url", w.URL, "set the Frontend API of the deployment, such as https://frontend.example.com")
		l.check(u.Key+".wacht.cookie", cookieFault(w.Cookie, "__session"))
	}
	if x := u.Crossid; x != nil {
		l.validateURL(u.Key+".crossid.url", x.URL, "set the tenant, such as https://example.crossid.io")
		l.validateBase(u.Key+".crossid.url", x.URL, "/api/v1/auth/sessions/whoami")
		l.validateBase(u.Key+".crossid.url", x.URL, "/api/v1")
		if x.Cookie != "" {
			l.check(u.Key+".crossid.cookie", cookieFault(x.Cookie, "crossid_session"))
		}
	}
	if b := u.BetterAuth; b != nil {
		l.validateURL(u.Key+".better_auth.url", b.URL, "set the server of Better Auth, such as http://127.0.0.1:3000")
		l.validateBase(u.Key+".better_auth.url", b.URL, "/get-session")
		l.check(u.Key+".better_auth.cookie", cookieFault(b.Cookie, "better-auth.session_token"))
	}
	if h := u.HTTP; h != nil {
		l.validateHTTP(u.Key+".http", h)
	}
	if e := u.Embedded; e != nil {
		l.check(u.Key+".embedded.cookie", cookieFault(e.Cookie, e.defaultCookie()))
		between(l, u.Key+".embedded.lifespan", e.Lifespan, time.Second, 87600*time.Hour)
	}
	between(l, u.Key+".timeout", u.Timeout, time.Millisecond, time.Minute)
	between(l, u.Key+".max_in_flight", u.MaxInFlight, 1, 10_000)
	header := strings.ToLower(u.Service().TokenHeader)
	for _, h := range c.IdentityHeaders {
		if strings.ToLower(h.Name) == header {
			l.report(join("identity_headers", h.Name), "this is the header of session tokens: choose another name, such as X-User-Id")
		}
	}
}

// validateChoice checks that there is one service.
func (l *loader) validateChoice(u NamedUpstream) {
	for _, kind := range []string{"kratos", "wacht", "crossid", "better_auth", "http", "embedded"} {
		if l.failed[join(u.Key, kind)] {
			return // what was meant cannot be known
		}
	}
	all := u.services()
	if len(all) == 0 && !l.broken[u.Key] {
		l.report(u.Key, "there is no session service to ask: add one, such as `%s: { kratos: { url: http://127.0.0.1:4433 } }`",
			cmp.Or(u.Name, u.Key))
	}
	if len(all) > 1 {
		var there []string
		for _, s := range all {
			there = append(there, fmt.Sprintf("%s (%s)", s.Kind, l.where(join(u.Key, s.Kind))))
		}
		l.report(u.Key, "there can be one session service only: remove %s, or give each a name in upstreams", alternatives(there))
	}
}

// validateURL checks the URL of a session service. missing says what to set if there is none.
func (l *loader) validateURL(path, url, missing string) {
	if url == "" {
		l.report(path, "is missing: %s", missing)
		return
	}
	l.check(path, urlFault(url, true))
}

// validateBase says that a URL has the path of the question itself, which is asked below the base.
func (l *loader) validateBase(path, url, question string) {
	if strings.HasSuffix(strings.TrimRight(url, "/"), question) {
		l.report(path, "want the base, below which %s is asked: remove %s", question, question)
	}
}

func (l *loader) validateHTTP(path string, h *HTTP) {
	l.validateURL(path+".url", h.URL, "set the endpoint, such as http://127.0.0.1:3000/api/auth/session")
	if h.Cookie == "" && h.TokenHeader == "" && !h.Bearer {
		l.report(path, "no credential is sent to it: set cookie, token_header or bearer")
	}
	if h.Cookie != "" {
		l.check(path+".cookie", cookieFault(h.Cookie, "authjs.session-token"))
	}
	if name := h.TokenHeader; name != "" && (!isHeaderName(name) || isReserved(strings.ToLower(name)) && strings.ToLower(name) != "x-session-token") {
		l.report(path+".token_header", "want the name of a header that means nothing else, such as X-Session-Token, got %s", quote(name))
	}
	if h.FormField != "" && h.Method != MethodPost {
		l.report(path+".form_field", "a form is sent with POST: add `method: POST`")
	}
	switch {
	case (h.ClientID == "") != (h.ClientSecretFile == ""):
		l.report(path, "client_id and client_secret_file go together: set both or none")
	case h.ClientID != "" && h.FormField == "":
		l.report(path+".client_id", "goes with a form only, since bearer tokens are sent in the same header: set form_field")
	}
	for _, name := range slices.Sorted(maps.Keys(h.Headers)) {
		if folded := strings.ToLower(name); isReserved(folded) || folded == strings.ToLower(h.TokenHeader) || !isHeaderName(name) {
			l.report(join(path+".headers", name), "this header means something else: remove it, since only those that the endpoint wants of its own can be set")
		} else if !isPrintableASCII(h.Headers[name]) {
			l.report(join(path+".headers", name), "want a value in printable ASCII, since it is sent as it is: write other characters as the endpoint reads them")
		}
	}
	if h.AuthenticatedWhen == "" {
		l.report(path+".authenticated_when", "is missing: say what is true of the answer for a session, such as has(body.user)")
	} else if _, err := expression.CompileReply(h.AuthenticatedWhen); err != nil {
		l.report(path+".authenticated_when", "%v", err)
	}
	if h.Paths.IdentityID == "" {
		l.report(path+".paths.identity_id", "is missing: say where the answer tells whose session it is, such as user.id")
	}
	for _, p := range []struct{ key, path string }{
		{"id", h.Paths.ID},
		{"identity_id", h.Paths.IdentityID},
		{"expires_at", h.Paths.ExpiresAt},
		{"authenticated_at", h.Paths.AuthenticatedAt},
		{"aal", h.Paths.AAL},
		{"email", h.Paths.Email},
		{"name", h.Paths.Name},
	} {
		if p.path != "" {
			l.check(path+".paths."+p.key, sessionPathFault(p.path, "key"))
		}
	}
}

func (l *loader) validateCredentials(c *Config) {
	if len(c.Credentials) == 0 {
		if _, set := l.set["credentials"]; set {
			l.report("credentials", "nobody could present a session: want at least one of %s", alternatives(kindNames()))
		}
		return // without a service, or with one that takes nothing, which is reported there
	}
	services := c.Services()
	if len(services) == 0 {
		return // none of them could be decoded
	}
	for i, k := range c.Credentials {
		item := fmt.Sprintf("credentials[%d]", i)
		takes := func(u NamedUpstream) bool { s := u.Service(); return s.Kind == "" || s.Takes(k) }
		switch {
		case slices.Contains(c.Credentials[:i], k):
			l.report(item, "%s is there already: remove one", k)
		case k == upstream.SessionCookie && !slices.Contains(c.Credentials, upstream.Cookie):
			l.report(item, "session_cookie is the session cookie in a header: add cookie, or remove it")
		case slices.ContainsFunc(services, takes):
		case k == upstream.SessionCookie && len(services) == 1 && isPattern(services[0].Service().Cookie):
			l.report(item, "a header does not say the name of the cookie: set all of %s.%s.cookie, or remove session_cookie here",
				services[0].Key, services[0].Service().Kind)
		case len(services) > 1:
			l.report(item, "none of upstreams takes %s as it is configured: remove it here", k)
		default:
			s := services[0].Service()
			key := join(services[0].Key, s.Kind)
			l.report(item, "%s takes no %s as it is configured (%s): remove it here", key, k, l.where(key))
		}
	}
	for _, u := range services {
		if s := u.Service(); u.Name != "" && len(c.CredentialsOf(u.Upstream)) == 0 && (s.Bearer || s.Cookie+s.TokenHeader != "") {
			l.report(u.Key, "nobody could present a session to it: it takes none of credentials (%s)", l.where("credentials"))
		}
	}
}

package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-proxy/gatehouse/internal/expression"
	"github.com/gatehouse-proxy/gatehouse/upstream"
)

func (l *loader) validateUpstream(c *Config) {
	u := &c.Upstream
	l.validateChoice(u)
	if k := u.Kratos; k != nil {
		l.validateURL("upstream.kratos.url", k.URL, "set the public API of Kratos, such as http://127.0.0.1:4433")
		l.check("upstream.kratos.cookie", cookieFault(k.Cookie))
		if k.Revocations != nil {
			l.check("upstream.kratos.revocations.postgres", databaseFault(string(k.Revocations.Postgres)))
		}
	}
	if w := u.Wacht; w != nil {
		l.validateURL("upstream.wacht.url", w.URL, "set the Frontend API of the deployment, such as https://frontend.example.com")
		l.check("upstream.wacht.cookie", cookieFault(w.Cookie))
	}
	if x := u.Crossid; x != nil {
		l.validateURL("upstream.crossid.url", x.URL, "set the tenant, such as https://example.crossid.io")
		if x.Cookie != "" {
			l.check("upstream.crossid.cookie", cookieFault(x.Cookie))
		}
	}
	if b := u.BetterAuth; b != nil {
		l.validateURL("upstream.better_auth.url", b.URL, "set the server of Better Auth, such as http://127.0.0.1:3000")
		l.check("upstream.better_auth.cookie", cookieFault(b.Cookie))
	}
	if h := u.HTTP; h != nil {
		l.validateHTTP(h)
	}
	if e := u.Embedded; e != nil {
		l.check("upstream.embedded.cookie", cookieFault(e.Cookie))
		between(l, "upstream.embedded.lifespan", e.Lifespan, time.Second, 87600*time.Hour)
	}
	between(l, "upstream.timeout", u.Timeout, time.Millisecond, time.Minute)
	between(l, "upstream.max_in_flight", u.MaxInFlight, 1, 10_000)
	header := strings.ToLower(u.Service().TokenHeader)
	for _, h := range c.IdentityHeaders {
		if strings.ToLower(h.Name) == header {
			l.report(join("identity_headers", h.Name), "this is the header of session tokens: choose another name, such as X-User-Id")
		}
	}
}

// validateChoice checks that there is one service.
func (l *loader) validateChoice(u *Upstream) {
	for _, kind := range []string{"kratos", "wacht", "crossid", "better_auth", "http", "embedded"} {
		if l.failed["upstream."+kind] {
			return // what was meant cannot be known
		}
	}
	all := u.services()
	if len(all) == 0 {
		l.report("upstream", "there is no session service to ask: add one, such as `upstream: { kratos: { url: http://127.0.0.1:4433 } }`")
	}
	if len(all) > 1 {
		var there []string
		for _, s := range all {
			there = append(there, fmt.Sprintf("%s (%s)", s.Kind, l.where("upstream."+s.Kind)))
		}
		l.report("upstream", "there can be one session service only: remove %s", alternatives(there))
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

func (l *loader) validateHTTP(h *HTTP) {
	const path = "upstream.http"
	l.validateURL(path+".url", h.URL, "set the endpoint, such as http://127.0.0.1:3000/api/auth/session")
	if h.Cookie == "" && h.TokenHeader == "" && !h.Bearer {
		l.report(path, "no credential is sent to it: set cookie, token_header or bearer")
	}
	if h.Cookie != "" {
		l.check(path+".cookie", cookieFault(h.Cookie))
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
			l.report(join(path+".headers", name), "this header means something else: only those that the endpoint wants of its own can be set")
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
			l.report("credentials", "nobody could present a session: want at least one of session_token, cookie and bearer")
		}
		return // without a service, or with one that takes nothing, which is reported there
	}
	s := c.Upstream.Service()
	for i, k := range c.Credentials {
		item := fmt.Sprintf("credentials[%d]", i)
		switch {
		case slices.Contains(c.Credentials[:i], k):
			l.report(item, "%s is there already: remove one", k)
		case s.Kind != "" && !s.Takes(k):
			l.report(item, "upstream.%s takes no %s as it is configured (%s): remove it here", s.Kind, k, l.where("upstream."+s.Kind))
		}
	}
}

// neverMet says what of a requirement no session can meet, since the service does not say it.
func (u *Upstream) neverMet(path string, r Require) (w []string) {
	s := u.Service()
	if s.Kind == "kratos" || s.Kind == "embedded" {
		return nil
	}
	var missing []string
	if r.AAL > upstream.AAL1 && (u.HTTP == nil || u.HTTP.Paths.AAL == "") {
		missing = append(missing, "aal")
	}
	if r.MaxAge > 0 && u.HTTP != nil && u.HTTP.Paths.AuthenticatedAt == "" {
		missing = append(missing, "max_age")
	}
	if r.Methods != nil {
		missing = append(missing, "methods")
	}
	for _, key := range missing {
		w = append(w, fmt.Sprintf("%s.%s: no session meets it, since %s does not say it", path, key, strings.ReplaceAll(s.Kind, "_", " ")))
	}
	return w
}

package config

import (
	"net/url"
	"strings"

	"github.com/gatehouse-proxy/gatehouse/internal/sessionapi"
)

// SessionAPI returns what is served of the session service's own API, and what is before its paths at the service. The table is empty if
// nothing is.
func (u *Upstream) SessionAPI() (table sessionapi.Table, base string) {
	switch {
	case u.Kratos != nil:
		return sessionapi.Kratos(u.Kratos.SessionAPI, u.Kratos.SelfService), pathOf(u.Kratos.URL)
	case u.Embedded != nil:
		return u.Embedded.StandsFor().SessionAPI()
	case u.Wacht != nil && u.Wacht.SessionAPI:
		return sessionapi.Wacht(), pathOf(u.Wacht.URL)
	case u.Crossid != nil && u.Crossid.SessionAPI:
		return sessionapi.Crossid(), pathOf(u.Crossid.URL)
	case u.BetterAuth != nil && u.BetterAuth.SessionAPI:
		mounted := pathOf(u.BetterAuth.URL)
		if mounted == "" {
			mounted = "/api/auth"
		}
		return sessionapi.BetterAuth(mounted), "" // it has the same paths here and there
	default:
		return nil, ""
	}
}

// pathOf returns the path of a valid URL without a slash at its end.
func pathOf(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return ""
	}
	return strings.TrimSuffix(u.EscapedPath(), "/")
}

// servesAPI reports whether a path is one of the API of the service that the routes with a name of an upstream have.
func (c *Config) servesAPI(name, path string) bool {
	for _, u := range c.Services() {
		if table, _ := u.SessionAPI(); u.Name == name && table.Has([]byte(path)) {
			return true
		}
	}
	return false
}

// validateSessionAPI checks that the session services' paths are nobody else's. whoami may be one of them.
func (l *loader) validateSessionAPI(c *Config, key, path string) {
	for _, u := range c.Services() {
		if table, _ := u.SessionAPI(); key != "whoami.path" && !strings.HasSuffix(key, ".token_path") && table.Has([]byte(path)) {
			l.report(key, "is a path of the session API, which %s.%s serves: choose another", u.Key, u.Service().Kind)
			return
		}
	}
}

package config

import (
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Target returns where the application is, as for net.Dial, and whether TLS is spoken to it. Its URL must be valid.
func (a *App) Target() (network, address string, secured bool) {
	if path, ok := strings.CutPrefix(a.URL, "unix:"); ok {
		return "unix", path, false
	}
	u, err := url.Parse(a.URL)
	if err != nil {
		return "tcp", "", false // nothing is there
	}
	port := u.Port()
	secured = u.Scheme == "https"
	switch {
	case port != "":
	case secured:
		port = "443"
	default:
		port = "80"
	}
	return "tcp", net.JoinHostPort(u.Hostname(), port), secured
}

// AppOf returns the application that the requests of a route go to, or nil if there is none.
func (c *Config) AppOf(r *Route) *App {
	switch {
	case r.App != nil:
		return r.App
	case c.App.URL != "":
		return &c.App
	default:
		return nil
	}
}

// isPlain reports whether the URL alone stands for the application.
func (a *App) isPlain() bool {
	plain := defaultApp()
	plain.URL = a.URL
	return *a == plain
}

// validateApps checks the application at the top level, which need not be there, and those of the routes.
func (l *loader) validateApps(c *Config) {
	if c.App != defaultApp() {
		l.validateApp(c, "app", &c.App)
	}
	for i := range c.Routes {
		if r := &c.Routes[i]; r.App != nil {
			l.validateApp(c, fmt.Sprintf("routes[%d].app", i), r.App)
		}
	}
}

func (l *loader) validateApp(c *Config, path string, a *App) {
	between(l, path+".max_conns", a.MaxConns, 1, 100_000)
	between(l, path+".head_timeout", a.HeadTimeout, time.Millisecond, 24*time.Hour)
	between(l, path+".idle_timeout", a.IdleTimeout, 0, 24*time.Hour)
	urlPath := path + ".url"
	if _, ok := l.set[urlPath]; !ok && a.URL != "" {
		urlPath = path // the URL alone stands for the section
	}
	if a.URL == "" {
		l.report(urlPath, "is missing: say where the application is, such as http://127.0.0.1:3000")
		return
	}
	if fault := urlFault(a.URL, false); fault != "" {
		l.report(urlPath, "%s", fault)
		return
	}
	network, address, secured := a.Target()
	for i, listener := range c.Listen {
		if network == "unix" && listener.Address == a.URL || network == "tcp" && reaches(address, listener.Address) {
			l.report(urlPath, "is where Gatehouse itself listens (%s), so that requests would go round for ever: name the application",
				l.where(l.addressPath(i)))
		}
	}
	l.validateAppTLS(path, a, secured)
}

// warnOfNoApp warns of requests that may pass and go nowhere, where there is nobody who could ask for decisions only.
func (c *Config) warnOfNoApp(warn func(format string, args ...any)) {
	i := slices.IndexFunc(c.Routes, func(r Route) bool {
		return r.Access != AccessDeny && c.AppOf(&r) == nil && !c.isOwn(r.Match.Path)
	})
	if i < 0 || len(c.TrustedProxies) > 0 {
		return
	}
	path := "app"
	if slices.ContainsFunc(c.Routes, func(r Route) bool { return r.App != nil }) { // they are said by route
		path = fmt.Sprintf("routes[%d].app", i)
	}
	warn("%s: is missing, so that requests which may pass get 404: add one, such as `app: http://127.0.0.1:3000`, or, "+
		"if a front proxy asks for decisions, add it to trusted_proxies", path)
}

// warnOfAdminAsApp warns of requests that are passed on to the admin listener.
func (c *Config) warnOfAdminAsApp(warn func(format string, args ...any)) {
	f := func(path string, a *App) {
		if a == nil || a.URL == "" || c.Admin == "" {
			return
		}
		if network, address, _ := a.Target(); network == "tcp" && reaches(address, c.Admin) {
			warn("%s: is the admin listener, so that whoever may pass can revoke sessions: name the application", path)
		}
	}
	f("app", &c.App)
	for i := range c.Routes {
		f(fmt.Sprintf("routes[%d].app", i), c.Routes[i].App)
	}
}

// validateAppTLS checks the keys that are for TLS only.
func (l *loader) validateAppTLS(path string, a *App, secured bool) {
	for _, key := range []struct{ name, value string }{
		{"ca_file", a.CAFile}, {"cert_file", a.CertFile}, {"key_file", a.KeyFile}, {"server_name", a.ServerName},
	} {
		if key.value != "" && !secured {
			l.report(path+"."+key.name, "is for an application that is reached by https: change the URL, or remove this")
		}
	}
	switch {
	case a.CertFile != "" && a.KeyFile == "":
		l.report(path+".key_file", "is missing: name the file with the private key of the certificate, in PEM")
	case a.CertFile == "" && a.KeyFile != "":
		l.report(path+".cert_file", "is missing: name the file with the certificate of the private key, in PEM")
	}
	if a.ServerName != "" && !isHost(a.ServerName) {
		l.report(path+".server_name", "want the name that is in the certificate, such as app.example.com, got %s", quote(a.ServerName))
	}
}

// reaches reports whether a connection to address certainly ends at a listener of this machine.
func reaches(address, listener string) bool {
	if isSocket(listener) {
		return false
	}
	host, port, err := net.SplitHostPort(address)
	own, ownPort, ownErr := net.SplitHostPort(listener)
	switch {
	case err != nil || ownErr != nil || port != ownPort:
		return false
	case isWildcard(own):
		return isLoopback(address) || isWildcard(host)
	default:
		return host == own || isLoopback(address) && host == "localhost" && isLoopback(listener)
	}
}

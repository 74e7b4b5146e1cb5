package app

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gatehouse-proxy/gatehouse/internal/config"
	"github.com/gatehouse-proxy/gatehouse/internal/expression"
	"github.com/gatehouse-proxy/gatehouse/internal/policy"
	"github.com/gatehouse-proxy/gatehouse/internal/whoami"
	"github.com/gatehouse-proxy/gatehouse/proxy"
	"github.com/gatehouse-proxy/gatehouse/upstream"
)

// compilePolicy compiles what can be reloaded: routes, what they require, and what applications are told. apps has the
// application of each route, nil for none; without it no request is passed on. services are those of this process by name.
func compilePolicy(cfg *config.Config, apps []policy.App, services map[string]*proxy.Service) (*policy.Policy, error) {
	sets := map[string]policy.Requirement{"": {}}
	for name, r := range cfg.Requirements {
		var err error
		if sets[name], err = requirementOf(r); err != nil {
			return nil, fmt.Errorf("compile requirements.%s: %w", name, err)
		}
	}
	rules := make([]policy.Rule, len(cfg.Routes))
	for i, r := range cfg.Routes {
		access, ok := policy.ParseAccess(string(r.Access))
		set, known := sets[r.Require.Use]
		if !ok || !known {
			return nil, fmt.Errorf("compile routes[%d]: unknown access %q or requirement %q", i, r.Access, r.Require.Use)
		}
		own, err := requirementOf(r.Require)
		if err != nil {
			return nil, fmt.Errorf("compile routes[%d]: %w", i, err)
		}
		rules[i] = policy.Rule{
			Name: r.Name, Host: r.Match.Host, Path: r.Match.Path, Methods: r.Match.Methods, Access: access, Require: set.And(own),
			Audience: r.Audience, MaxBody: int64(cmp.Or(r.MaxBody, cfg.Limits.Body)),
			StripPrefix: r.StripPrefix, AllowEncodedSlashes: r.AllowEncodedSlashes, ForwardCredential: r.ForwardCredential, CORS: corsOf(r.CORS),
			Origins: r.AllowedOrigins,
		}
		if cfg.IdentityToken != nil {
			rules[i].Audience = cmp.Or(r.Audience, cfg.IdentityToken.Audience)
		}
		if len(apps) > 0 {
			rules[i].App = apps[i]
		}
		if r.Upstream != "" {
			service, known := services[r.Upstream]
			if !known {
				return nil, fmt.Errorf("compile routes[%d]: its upstream %s is not there as long as Gatehouse is not restarted", i, r.Upstream)
			}
			rules[i].Service = service
		}
	}
	return policy.Compile(rules, headersOf(cfg, services))
}

// requirementOf returns what a section asks for, apart from the set that it uses.
func requirementOf(r config.Require) (policy.Requirement, error) {
	own := policy.Requirement{AAL: r.AAL, MaxAge: r.MaxAge}
	if r.Methods != nil {
		own.Methods = [][]string{r.Methods}
	}
	if r.Expression != "" {
		e, err := expression.Compile(r.Expression)
		if err != nil {
			return own, fmt.Errorf("compile expression: %w", err)
		}
		own.Expressions = []policy.Expression{e}
	}
	return own, nil
}

// corsOf returns what a route says of pages of other origins, in the words of the CORS protocol; nil if it says nothing.
func corsOf(c *config.CORS) *policy.CORS {
	if c == nil {
		return nil
	}
	compiled := &policy.CORS{
		Pass: c.Pass, Origins: slices.Clone(c.AllowedOrigins), Credentials: c.AllowCredentials,
		Methods: strings.Join(c.AllowedMethods, ", "), Headers: strings.Join(c.AllowedHeaders, ", "), Exposed: strings.Join(c.ExposedHeaders, ", "),
	}
	if c.MaxAge > 0 {
		compiled.MaxAge = strconv.Itoa(int(c.MaxAge / time.Second))
	}
	return compiled
}

// credentialsOf returns the credentials that are looked at for a service.
func credentialsOf(cfg *config.Config, u *config.Upstream) proxy.Credentials {
	var c proxy.Credentials
	service := u.Service()
	for _, kind := range cfg.CredentialsOf(u) {
		switch kind {
		case upstream.SessionToken:
			c.TokenHeader = http.CanonicalHeaderKey(service.TokenHeader)
		case upstream.Cookie:
			c.Cookie = service.Cookie
		case upstream.Bearer:
			c.Bearer = true
		case upstream.SessionCookie:
			c.CookieHeader = service.CookieHeader
		case upstream.Query:
			c.Query = service.Query
		}
	}
	return c
}

// credentialsFor returns the credentials that a value may have been presented as to a service: of the kind given, or of every kind that is
// looked at for it. Where the name of the session cookie is a pattern, the value of a cookie is its name, '=' and its value.
func credentialsFor(cfg *config.Config, u *config.Upstream, kind upstream.Kind, value []byte) (all []upstream.Credential) {
	names, looked := credentialsOf(cfg, u), cfg.CredentialsOf(u)
	for _, by := range upstream.Kinds {
		if !slices.Contains(looked, by) || kind != upstream.NoCredential && kind != by {
			continue
		}
		if c, ok := names.Presented(by, value); ok && !slices.ContainsFunc(all, func(other upstream.Credential) bool { return other.Kind == c.Kind }) {
			all = append(all, c)
		}
	}
	return all
}

// loginOf returns where people sign in, or nil if nobody is led there.
func loginOf(cfg *config.Config) (*proxy.Login, error) {
	if cfg.Login == nil {
		return nil, nil
	}
	return proxy.NewLogin(cfg.Login.URL, cfg.Login.ReturnToParam, cfg.Login.AllowedHosts)
}

// whoamiOf returns in whose words whoami says that a service has no session: nil is Kratos, which the face itself speaks.
func whoamiOf(cfg *config.Config, u *config.Upstream) proxy.WhoamiDialect {
	dialect := cfg.DialectOf(u)
	if dialect == config.DialectKratos {
		return nil
	}
	return whoami.Dialect(dialect)
}

func trustedOf(cfg *config.Config) *proxy.Trusted {
	t := &proxy.Trusted{}
	for _, p := range cfg.TrustedProxies {
		if p.Unix {
			t.Unix = true
			continue
		}
		t.Prefixes = append(t.Prefixes, p.Net)
	}
	return t
}

// limitsOf returns what clients may take, apart from the length of bodies.
func limitsOf(l *config.Limits) proxy.Limits {
	return proxy.Limits{
		Head: int(l.Head), Headers: l.Headers, URI: int(l.URI),
		HeadTimeout: l.HeadTimeout, BodyTimeout: l.BodyTimeout, MinRate: int(l.MinRate),
		Connections: l.Connections, ConnectionsPerClient: l.ConnectionsPerClient,
		RequestsPerClient: l.RequestsPerClient, KnowClients: l.UnknownPerClient > 0,
	}
}

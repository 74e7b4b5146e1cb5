package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-proxy/gatehouse/internal/parts"
	"github.com/gatehouse-proxy/gatehouse/internal/policy"
)

// validate reports whatever is wrong with values that are of the right type.
func (l *loader) validate(c *Config) {
	l.validateListeners(c)
	l.validateUpstreams(c)
	between(l, "session_cache.size", c.SessionCache.Size, 1, 50_000_000)
	between(l, "session_cache.fresh_for", c.SessionCache.FreshFor, 100*time.Millisecond, 24*time.Hour)
	between(l, "session_cache.stale_for", c.SessionCache.StaleFor, 0, 24*time.Hour)
	between(l, "session_cache.fresh_for_degraded", c.SessionCache.FreshForDegraded, 0, 24*time.Hour)
	between(l, "session_cache.negative_for", c.SessionCache.NegativeFor, 0, 5*time.Minute)
	l.validateApps(c)
	l.validateRoutes(c)
	l.validateRouteUpstreams(c)
	l.validateHeaders(c.IdentityHeaders)
	l.validateToken(c)
	if c.IdentityToken != nil && !c.Whoami.KeepBody {
		l.report("whoami.keep_body", "identity_token signs what was remembered of it: leave out keep_body, or identity_token")
	}
	l.validateFaces(c)
	l.validateLogin(c.Login)
	l.validateHooks(c.Hooks)
	l.validateCredentials(c)
	l.validateLimits(&c.Limits)
	between(l, "shutdown.delay", c.Shutdown.Delay, 0, 5*time.Minute)
	between(l, "shutdown.timeout", c.Shutdown.Timeout, time.Millisecond, time.Hour)
}

// check reports a fault of the value at path, if there is one.
func (l *loader) check(path, fault string) {
	if fault != "" {
		l.report(path, "%s", fault)
	}
}

// between reports a value that is out of bounds. The bounds are within what is allowed.
func between[T int | Size | time.Duration](l *loader, path string, v, least, most T) {
	if v < least || v > most {
		l.report(path, "want %s to %s, got %s", text(least), text(most), text(v))
	}
}

func (l *loader) validateLimits(c *Limits) {
	between(l, "limits.head", c.Head, 4*KiB, MiB)
	between(l, "limits.headers", c.Headers, 16, 1024)
	between(l, "limits.uri", c.URI, 256, MiB)
	if c.URI >= c.Head && !l.broken["limits"] {
		l.report("limits.uri", "want less than limits.head (%s), which has to hold it, got %s", c.Head, c.URI)
	}
	between(l, "limits.body", c.Body, 1, Unlimited)
	between(l, "limits.head_timeout", c.HeadTimeout, 100*time.Millisecond, 5*time.Minute)
	between(l, "limits.body_timeout", c.BodyTimeout, 100*time.Millisecond, 10*time.Minute)
	between(l, "limits.min_rate", c.MinRate, 0, MiB)
	between(l, "limits.connections", c.Connections, 1, 1_000_000)
	between(l, "limits.connections_per_client", c.ConnectionsPerClient, 0, 1_000_000)
	between(l, "limits.requests_per_client", c.RequestsPerClient, 0, 1_000_000)
	between(l, "limits.unknown_per_client", c.UnknownPerClient, 0, 1_000_000)
	between(l, "limits.tunnels", c.Tunnels, 0, 1_000_000)
	between(l, "limits.tunnels_per_client", c.TunnelsPerClient, 0, 1_000_000)
	if c.TunnelIdle != 0 {
		between(l, "limits.tunnel_idle", c.TunnelIdle, time.Second, 24*time.Hour)
	}
}

const maxHeaders = 32

// reservedHeaders are names that mean something else to a server or a proxy on the way, in a request or in the answer to a front proxy:
// framing and hop-by-hop (RFC 9110 section 7.6.1), credentials, who the client is, which request it is, and what becomes of an answer. A
// name that ends in '-' stands for everything that begins with it.
func reservedHeaders() []string {
	return []string{
		"connection", "keep-alive", "proxy-", "te", "trailer", "transfer-encoding", "upgrade", "expect", "host", "content-", "date", "via",
		"http2-settings", "early-data", "max-forwards", "destination",
		"authorization", "cookie", "set-cookie", "x-session-token", "x-session-cookie", "www-authenticate",
		"forwarded", "x-forwarded-", "x-original-", "x-real-ip", "x-client-ip", "x-cluster-client-ip", "true-client-ip", "x-rewrite-url",
		"x-http-method", "x-http-method-override", "x-method-override", "x-middleware-subrequest", "x-envoy-", "x-accel-", "x-gatehouse-",
		"accept", "accept-", "if-", "range", "origin", "referer", "user-agent", "sec-", "access-control-",
		"cache-control", "pragma", "expires", "age", "etag", "last-modified", "vary", "location", "refresh", "retry-after", "allow", "server",
		"link", "clear-site-data", "strict-transport-security", "ory-error-id",
	}
}

func (l *loader) validateHeaders(headers IdentityHeaders) {
	if len(headers) > maxHeaders {
		l.report("identity_headers", "want at most %d headers, got %d", maxHeaders, len(headers))
	}
	first := map[string]string{}
	for _, h := range headers {
		path := join("identity_headers", h.Name)
		folded := strings.ToLower(h.Name)
		if isReserved(folded) {
			l.report(path, "this header means something else to servers and proxies: choose another name, such as X-User-Id")
		}
		if other, taken := first[folded]; taken {
			l.report(path, "is there already, as %s: remove one, since names that differ in case only are the same", other)
		} else {
			first[folded] = h.Name
		}
		l.check(path, sessionPathFault(h.Path, "header"))
	}
}

// isReserved reports whether a folded name is one of reservedHeaders.
func isReserved(folded string) bool {
	return slices.ContainsFunc(reservedHeaders(), func(reserved string) bool {
		return folded == reserved || strings.HasSuffix(reserved, "-") && strings.HasPrefix(folded, reserved)
	})
}

// validateFaces checks the paths that Gatehouse answers itself.
func (l *loader) validateFaces(c *Config) {
	faces := []struct{ key, path string }{{"forward_auth.path", c.ForwardAuth.Path}, {"whoami.path", c.Whoami.Path}}
	if c.IdentityToken != nil {
		faces = append(faces, struct{ key, path string }{"identity_token.keys_path", c.IdentityToken.KeysPath})
	}
	if c.Hooks != nil {
		faces = append(faces, struct{ key, path string }{"hooks.path", c.Hooks.Path})
	}
	for _, u := range c.Services() {
		if path := u.TokenPath(); path != "" {
			faces = append(faces, struct{ key, path string }{u.Key + ".wacht.token_path", path})
		}
	}
	if c.ForwardAuth.GRPCListen != "" {
		l.check("forward_auth.grpc_listen", parts.GRPC.Fault())
	}
	for i, a := range faces {
		if fault := facePathFault(a.path); fault != "" {
			l.report(a.key, "%s", fault)
			continue
		}
		l.validateSessionAPI(c, a.key, a.path)
		for _, b := range faces[:i] {
			if belowWhoami := b.key == "whoami.path" && a.path != b.path; strings.HasSuffix(a.key, ".token_path") &&
				(belowWhoami || strings.HasSuffix(b.key, ".token_path")) {
				continue // nothing else is below whoami, and services may have the same path, each at its own routes
			}
			overlap := strings.HasPrefix(a.path+"/", b.path+"/") || strings.HasPrefix(b.path+"/", a.path+"/")
			if overlap && facePathFault(b.path) == "" {
				l.report(a.key, "overlaps with %s (%s): choose one that is neither the same, nor above or below it", b.key, l.where(b.key))
			}
		}
	}
}

// Warnings says what an operator may have meant and should know about, each as the path of a key, a colon and one sentence. A configuration
// with warnings is valid. [Check] also says where they are.
func (c *Config) Warnings() []string {
	var w []string
	warn := func(format string, args ...any) { w = append(w, fmt.Sprintf(format, args...)) }
	if c.Admin != "" && !isLoopback(c.Admin) {
		warn("admin: whoever reaches %s can revoke sessions: keep it behind a network policy", c.Admin)
	}
	if d := c.SessionCache.NegativeFor; d > 5*time.Second {
		warn("session_cache.negative_for: a credential that becomes valid just after it was tried is refused for %s", text(d))
	}
	for i, p := range c.TrustedProxies {
		wide := 8
		if p.Net.Addr().Is6() {
			wide = 32
		}
		if !p.Unix && p.Net.Bits() <= wide && !p.Net.Addr().IsLoopback() {
			warn("trusted_proxies[%d]: everybody in %s can choose the address, host and path that is judged: name the proxies only", i, p.Net)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.Requirements)) {
		if !slices.ContainsFunc(c.Routes, func(r Route) bool { return r.Require.Use == name }) {
			warn("requirements.%s: no route uses it", name)
		}
	}
	if c.ForwardAuth.GRPCListen != "" && len(c.TrustedProxies) == 0 {
		warn("forward_auth.grpc_listen: nobody is in trusted_proxies, so that every question is refused: name Envoy there")
	}
	for _, h := range c.IdentityHeaders {
		if h.Path == "identity" || h.Path == "devices" {
			warn("identity_headers.%s: all of %s is often more than nginx has room for in the head of an answer: name what the application needs",
				h.Name, h.Path)
		}
	}
	c.warnOfPaths(warn)
	c.warnOfNoApp(warn)
	c.warnOfAdminAsApp(warn)
	c.warnOfLogin(warn)
	c.warnOfUpstreams(warn)
	for i, r := range c.Routes {
		if r.Access == AccessPublic && r.Match.Host == "" && r.Match.Path == "/*" {
			warn("routes[%d]: everything that no earlier route matches is public", i)
		}
		if r.Access != AccessPublic && slices.Contains(r.AllowedOrigins, policy.AnyOrigin) {
			warn("routes[%d]: any web page can open a WebSocket as the person who visits it: name the origins in allowed_origins", i)
		}
		if path := r.Match.Path; c.isOwn(path) && (path != c.Whoami.Path || r.Upstream == "") { // which says who answers there
			warn("routes[%d]: %s is a path of Gatehouse itself, which no route decides about", i, path)
		} else if c.servesAPI(r.Upstream, path) {
			warn("routes[%d]: %s is a path of the session API, which goes to the session service and which no route decides about", i, path)
		}
		if path := r.Match.Path; slices.ContainsFunc(strings.Split(path, "/"), isPlaceholder) {
			warn("routes[%d]: %s stands for itself only, letter by letter: there are no placeholders, and * is for everything below a path", i, path)
		}
		if path := r.Match.Path; len(path) > 1 && strings.HasSuffix(path, "/") {
			warn("routes[%d]: %s is this path only: write %s* for it and everything below it", i, path, path)
		}
	}
	return w
}

// isOwn reports whether the path of a route is one that Gatehouse answers itself.
func (c *Config) isOwn(path string) bool {
	return path == c.Whoami.Path || path == c.Upstream.TokenPath() && path != "" || path == c.ForwardAuth.Path || strings.HasPrefix(path, c.ForwardAuth.Path+"/") ||
		c.IdentityToken != nil && path == c.IdentityToken.KeysPath || c.Hooks != nil && path == c.Hooks.Path ||
		c.Hooks != nil && len(c.Upstreams) > 0 && strings.HasPrefix(path, c.Hooks.Path+"/")
}

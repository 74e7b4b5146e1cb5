package config

import (
	"time"

	"github.com/gatehouse-proxy/gatehouse/upstream"
)

// A Config is one whole configuration. It is plain data: whoever loads it owns it.
type Config struct {
	// Listen is where requests are served: an address, or a list of addresses and of sections with the keys below. An address is
	// host:port, :port for every address of the machine, unix:/path for a socket, systemd for every socket that systemd passes, or
	// systemd:NAME for those with that FileDescriptorName. Port 0 takes any free port. Default :8080.
	Listen Listeners `yaml:"listen"`

	// TLS makes every listener that has no such section of its own serve HTTPS. Default none: they serve HTTP.
	TLS *TLS `yaml:"tls,omitempty"`

	// Admin is where metrics, health and revocation are served: host:port. Whoever reaches it can revoke sessions, so it belongs on the
	// loopback address or behind a network policy. Empty turns it off. Default 127.0.0.1:9090.
	Admin string `yaml:"admin"`

	// Upstream is the session service that is asked whose session a request carries: exactly one kind of service. Required, or upstreams.
	Upstream Upstream `yaml:"upstream,omitempty"`

	// Upstreams are several session services in place of upstream, by names of one's own: letters, digits, '_' and '-', at most 64. Every route
	// that asks for a session names one. Whoami is answered by the one that its path's route names on that host. Default none.
	Upstreams map[string]*Upstream `yaml:"upstreams,omitempty"`

	// SessionCache is how many sessions are remembered, and for how long they are believed. Default: its keys' defaults.
	SessionCache SessionCache `yaml:"session_cache"`

	// App is the application behind the gate: its URL, or a section with the keys below. Routes may name others. Empty means that there is
	// none, as behind a front proxy that only asks for decisions; requests that would go to it then get 404. Without trusted_proxies there is
	// a warning. Default empty.
	App App `yaml:"app"`

	// Routes say what a request needs. They are tried in order, the first that matches decides, and what matches none is refused.
	// Default: one route that asks for a session on every path.
	Routes []Route `yaml:"routes"`

	// Requirements are named sets of what a session must have, for routes to use. A name is letters, digits, '_' and '-', at most 64.
	// Default none.
	Requirements map[string]Require `yaml:"requirements,omitempty"`

	// IdentityHeaders are the headers that tell the application whose request it is: the name of the header, and the path of its value in
	// the session in GJSON syntax (https://github.com/tidwall/gjson/blob/master/SYNTAX.md). A front proxy gets
	// all of them, empty where the session has no such value; the application gets those with a value. What a client sends under these
	// names never gets through. At most 32. Default X-User-Id with the id of the identity, which is at identity.id for Kratos, and a list of
	// one's own replaces it.
	IdentityHeaders IdentityHeaders `yaml:"identity_headers"`

	// IdentityToken makes Gatehouse tell the application in a signed token, too, whose request it is, so that the application can verify it.
	// Default none.
	IdentityToken *IdentityToken `yaml:"identity_token,omitempty"`

	// ForwardAuth is where a front proxy asks for a decision about a request that it holds itself. Default: its keys' defaults.
	ForwardAuth ForwardAuth `yaml:"forward_auth"`

	// Login is where people sign in. Browsers without the session that a route needs are led there; everybody else gets 401 or 403. Default
	// none: so does everybody.
	Login *Login `yaml:"login,omitempty"`

	// Whoami is where an application asks for the session itself. Default: its keys' defaults.
	Whoami Whoami `yaml:"whoami"`

	// Hooks are where messages come in that say which sessions have ended. Default none: they are not served.
	Hooks *Hooks `yaml:"hooks,omitempty"`

	// TrustedProxies are the peers whose X-Forwarded-* headers are believed, who may ask for decisions, and who may speak the PROXY
	// protocol: networks such as 10.0.0.0/8, single addresses, or the word unix for whoever connects to a socket that Gatehouse listens
	// on. Default none.
	TrustedProxies []Peer `yaml:"trusted_proxies"`

	// Credentials are the kinds of credential that are looked at: session_token (for Kratos the header X-Session-Token), session_cookie (for
	// Kratos the session cookie in the header X-Session-Cookie), cookie, query (for Wacht in development the parameter __dev_session__), and
	// bearer (Authorization: Bearer). Of several that a request presents, the first in this order counts. Leave out what the application uses
	// for purposes of its own. Default all that the service takes.
	Credentials []upstream.Kind `yaml:"credentials"`

	// Limits are what clients may take of the gateway. Sizes are bytes, or numbers with KiB, MiB or GiB. A client is an address, of IPv6 its
	// /64; for a peer in trusted_proxies, the last address in X-Forwarded-For that is not in trusted_proxies. Default: its keys' defaults.
	Limits Limits `yaml:"limits"`

	// Explain says why a request was decided as it was: X-Gatehouse-Reason and X-Gatehouse-Detail in refusals, which clients see, and
	// X-Gatehouse-Cache to front proxies, applications and callers of whoami. Default false.
	Explain bool `yaml:"explain"`

	// Log is what is written to standard error. Default: its keys' defaults.
	Log Log `yaml:"log"`

	// Shutdown is how Gatehouse ends when it is asked to (SIGTERM, SIGINT). Default: its keys' defaults.
	Shutdown Shutdown `yaml:"shutdown"`
}

// A Log is what is written to standard error.
type Log struct {
	// Level is the least level that is written: debug, info, warn or error. Default info.
	Level Level `yaml:"level"`

	// Format is json, text, or auto: text on a terminal and json elsewhere. Default auto.
	Format Format `yaml:"format"`

	// Access writes one line for every request, without its query and without credentials. Default false.
	Access bool `yaml:"access"`
}

// A Shutdown is how Gatehouse ends.
type Shutdown struct {
	// Delay is how long it goes on serving after it has said that it is not ready, so that load balancers can notice; 0s to 5m. In
	// Kubernetes 5s is a good value. Default 0s.
	Delay time.Duration `yaml:"delay"`

	// Timeout is how long requests that are under way may take to end after that; 1ms to 1h. What remains is cut off. Default 30s.
	Timeout time.Duration `yaml:"timeout"`
}

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

	// Upstream is the session service that is asked whose session a request carries. Required: exactly one kind of service.
	Upstream Upstream `yaml:"upstream"`

	// SessionCache is how many sessions are remembered, and for how long they are believed. Default: its keys' defaults.
	SessionCache SessionCache `yaml:"session_cache"`

	// App is the application behind the gate: its URL, or a section with the keys below. Routes may name others. Empty means that there is
	// none, as behind a front proxy that only asks for decisions; requests that would go to it then get 404. Default empty.
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

	// Credentials are the kinds of credential that are looked at: session_token (for Kratos the header X-Session-Token), cookie, and bearer
	// (Authorization: Bearer). Leave out what the application uses for purposes of its own. Default all that the service takes.
	Credentials []upstream.Kind `yaml:"credentials"`

	// Limits are what clients may take of the gateway. Sizes are bytes, or numbers with KiB, MiB or GiB. A client is an address, of IPv6 its
	// /64; for a peer in trusted_proxies, the last address in X-Forwarded-For that is not in trusted_proxies. Default: its keys' defaults.
	Limits Limits `yaml:"limits"`

	// Explain says why a request was decided as it was: X-Gatehouse-Reason in refusals, which clients see, and X-Gatehouse-Cache to front
	// proxies, applications and callers of whoami. Default false.
	Explain bool `yaml:"explain"`

	// Log is what is written to standard error. Default: its keys' defaults.
	Log Log `yaml:"log"`

	// Shutdown is how Gatehouse ends when it is asked to (SIGTERM, SIGINT). Default: its keys' defaults.
	Shutdown Shutdown `yaml:"shutdown"`
}

// A Listener is one place where requests are served.
type Listener struct {
	// Address is where, as in listen. Required.
	Address string `yaml:"address"`

	// TLS makes it serve HTTPS. Default: what tls at the top level says.
	TLS *TLS `yaml:"tls,omitempty"`

	// ProxyProtocol makes it speak the PROXY protocol, version 1 or 2, before anything else. It then serves trusted_proxies only, and
	// closes the connections of all others. The address in the protocol's header is the peer's from then on: its X-Forwarded-* headers
	// are believed only if that address is in trusted_proxies too, and never if the header names none. Default false.
	ProxyProtocol bool `yaml:"proxy_protocol"`
}

// A TLS is how HTTPS is served: TLS 1.2 or 1.3, and HTTP/1.1. The files are loaded again when they change, when the configuration is
// reloaded, and never half: what cannot be loaded leaves what was there in force.
type TLS struct {
	// CertFile is the file with the certificate and, after it, those that lead to its authority, in PEM. Like the other files it is looked
	// at every 15s, and loaded again when it has changed. Required.
	CertFile string `yaml:"cert_file"`

	// KeyFile is the file with the private key of the certificate, in PEM and not encrypted. Required.
	KeyFile string `yaml:"key_file"`

	// ClientCAFile is the file with the authorities whose client certificates are accepted, in PEM. Default none.
	ClientCAFile string `yaml:"client_ca_file"`

	// ClientAuth is whether clients present a certificate: none (they are not asked), optional (they are asked, and one that they present
	// must be valid) or require (only those with a valid one get in). Default none.
	ClientAuth ClientAuth `yaml:"client_auth"`
}

// An App is an application and how it is spoken to.
type App struct {
	// URL is where it is: http://host:port, https://host:port, each with port 80 or 443 if it names none, without path, or unix:/path for
	// a socket. A name is resolved for each new connection, and no connection is kept for longer than a minute. Required.
	URL string `yaml:"url"`

	// CAFile is the file with the authorities that may vouch for its certificate, in PEM. Only with https. Default: those of the system.
	CAFile string `yaml:"ca_file"`

	// CertFile is the file with the certificate that Gatehouse shows to it, in PEM. Only with https. Default none.
	CertFile string `yaml:"cert_file"`

	// KeyFile is the file with the private key of that certificate, in PEM and not encrypted. Default none.
	KeyFile string `yaml:"key_file"`

	// ServerName is the name that its certificate must be for. Only with https. Default: the host of the URL.
	ServerName string `yaml:"server_name"`

	// MaxConns is how many connections to it there may be at once; 1 to 100000. A request beyond that waits for a second, and then gets
	// 503. Event streams take one each, for as long as they live. Default 1024.
	MaxConns int `yaml:"max_conns"`

	// HeadTimeout is how long it may take to begin its answer once it has the whole request, and to take each piece of one; 1ms to 24h.
	// Long polls must be shorter. After that the client gets 504. Default 1m.
	HeadTimeout time.Duration `yaml:"head_timeout"`

	// IdleTimeout is how long it may pause within an answer; 0s to 24h, where 0s is for ever. An event stream ends with the client, and
	// with the application, however long it is silent. Default 0s.
	IdleTimeout time.Duration `yaml:"idle_timeout"`
}

// An Upstream is the session service and how it is asked.
type Upstream struct {
	// Kratos is an Ory Kratos, or Ory Network. Default none.
	Kratos *Kratos `yaml:"kratos,omitempty"`

	// Wacht is a deployment of Wacht. Default none.
	Wacht *Wacht `yaml:"wacht,omitempty"`

	// Crossid is a tenant of Crossid. Default none.
	Crossid *Crossid `yaml:"crossid,omitempty"`

	// BetterAuth is a Better Auth server. Default none.
	BetterAuth *BetterAuth `yaml:"better_auth,omitempty"`

	// HTTP is any endpoint that says whose session a request carries. Default none.
	HTTP *HTTP `yaml:"http,omitempty"`

	// Embedded is a session service inside of Gatehouse itself, with the API of Kratos: for development and tests. Default none.
	Embedded *Embedded `yaml:"embedded,omitempty"`

	// Timeout is how long one question may take before it counts as an outage; 1ms to 1m. Default 1s.
	Timeout time.Duration `yaml:"timeout"`

	// MaxInFlight is how many questions may be under way at once; 1 to 10000. More wait their turn, within their timeout. Default 64.
	MaxInFlight int `yaml:"max_in_flight"`
}

// A Kratos is an Ory Kratos to ask.
type Kratos struct {
	// URL is the base of its public API: http or https, with a path if it has one, without user, password or query. Required.
	URL string `yaml:"url"`

	// Cookie is the name of its session cookie, session.cookie.name in its own configuration. Default ory_kratos_session.
	Cookie string `yaml:"cookie"`

	// Revocations are how Gatehouse hears of sessions that end. Default none: it has to be told, or asks again after fresh_for.
	Revocations *Revocations `yaml:"revocations,omitempty"`
}

// An Embedded is the session service inside of Gatehouse.
type Embedded struct {
	// Path is the file that keeps the sessions; empty keeps them in memory, until Gatehouse ends. Default empty.
	Path string `yaml:"path"`

	// Cookie is the name of its session cookie. Default ory_kratos_session.
	Cookie string `yaml:"cookie"`

	// Listen is where its public API is served: host:port, or empty for nowhere. Default 127.0.0.1:4433.
	Listen string `yaml:"listen"`

	// AdminListen is where its admin API is served: host:port, or empty for nowhere. Whoever reaches it can create a session for anybody.
	// Default 127.0.0.1:4434.
	AdminListen string `yaml:"admin_listen"`

	// Lifespan is how long a session lives after it was created or extended; 1s to 87600h (ten years). Default 24h.
	Lifespan time.Duration `yaml:"lifespan"`
}

// A SessionCache is how many sessions are remembered, and for how long they are believed.
type SessionCache struct {
	// Size is how many sessions are remembered; 1 to 50000000. When it is too small, the service is asked more often. Default 100000.
	Size int `yaml:"size"`

	// FreshFor is how long a session is believed without asking again; 100ms to 24h. It is less where the service says less or the
	// session ends sooner. A revocation that Gatehouse is not told about bites after this time at the latest. Default 30s.
	FreshFor time.Duration `yaml:"fresh_for"`

	// StaleFor is for how long after FreshFor a session is still served, while the service is being asked again and while it is down;
	// 0s to 24h. A session that has ended is never served. Default 0s: an outage of the service is an outage.
	StaleFor time.Duration `yaml:"stale_for"`

	// FreshForDegraded takes the place of FreshFor, where it is less, while Gatehouse should hear of revocations and cannot; 0s to 24h. 0s is
	// that every request is asked about. It matters with upstream.kratos.revocations only. Default 10s.
	FreshForDegraded time.Duration `yaml:"fresh_for_degraded"`

	// NegativeFor is how long it is remembered that a credential stands for no session; 0s to 5m. It is also how long a client may have
	// to wait whose credential becomes valid only after it was tried. Default 1s.
	NegativeFor time.Duration `yaml:"negative_for"`
}

// A Route is one rule: which requests it is about, and what they need.
type Route struct {
	// Name is what logs, metrics and answers call the route: letters, digits, '.', '_' and '-', at most 64. Default: its place, such as
	// routes[0].
	Name string `yaml:"name,omitempty"`

	// Match is which requests the route is about. Required.
	Match Match `yaml:"match"`

	// Access is what they need. Required: public (everybody passes and nobody is asked), optional (everybody passes, with an identity if
	// there is one), session (only a session passes) or deny (nobody passes).
	Access Access `yaml:"access"`

	// MaxBody is how long the body of a request may be: a size such as 512KiB or 10MiB, or unlimited; at least 1. A longer one is
	// refused with 413, before any of it is read if its length is announced. Default: what limits.body says.
	MaxBody Size `yaml:"max_body,omitempty"`

	// App is the application that the requests go to, as in app at the top level. Default: that one.
	App *App `yaml:"app,omitempty"`

	// Require is what a session must have beyond being valid: all of it. Only with access: session. Default nothing.
	Require Require `yaml:"require,omitempty"`

	// Audience is for whom identity_token is signed on this route: the name by which the application knows itself. Default: what
	// identity_token says.
	Audience string `yaml:"audience,omitempty"`

	// StripPrefix is what match.path begins with and the application does not know, such as /api: it is asked for /users instead of
	// /api/users, and told of /api in X-Forwarded-Prefix. Routes are compared with the whole path. Only when proxying. Default: it gets the
	// path as it came.
	StripPrefix string `yaml:"strip_prefix,omitempty"`

	// AllowEncodedSlashes lets paths with %2F pass, which GitLab, Keycloak and S3 need. Whether a server takes it for a slash or not, the path
	// must be one of this route, and of no earlier one. Default false: they are refused (400).
	AllowEncodedSlashes bool `yaml:"allow_encoded_slashes,omitempty"`

	// ForwardCredential leaves the session credential that counted in what the application gets, for one that asks the session service
	// itself. Whoever can read the application's logs may then find sessions there. Only when proxying. Default false.
	ForwardCredential bool `yaml:"forward_credential,omitempty"`

	// CORS is which pages of other origins may use the route: a section, or pass, which leaves it to the application. Default none: a
	// preflight needs what every other OPTIONS request needs.
	CORS *CORS `yaml:"cors,omitempty"`

	// AllowedOrigins are the origins whose pages may open a WebSocket, such as https://app.example.com, or "*" for every page. Browsers send
	// cookies with it from any page, so every origin in the list can act as its visitors. What sends no Origin, as programs do, is not
	// kept out. Default: the host and port that the request is for, over http or https. A list replaces that.
	AllowedOrigins []string `yaml:"allowed_origins,omitempty"`
}

// A CORS is how browsers are answered that ask whether a page of another origin may use a route
// (https://developer.mozilla.org/docs/Web/HTTP/Guides/CORS).
type CORS struct {
	// Pass leaves it to the application, and is what `cors: pass` stands for: a preflight gets through without a session, identity or
	// credential. The other keys cannot be set then. Default false: Gatehouse answers preflights itself, and what the application says
	// of CORS is replaced.
	Pass bool `yaml:"pass,omitempty"`

	// AllowedOrigins are the origins, such as https://app.example.com, as browsers send them: scheme, host in lower case, and port unless it
	// is the scheme's own. "*" alone is every origin, without credentials. Required, unless pass is set.
	AllowedOrigins []string `yaml:"allowed_origins,omitempty"`

	// AllowedMethods are the methods that a page may use. Default none: GET, HEAD and POST, which browsers allow anyway.
	AllowedMethods []string `yaml:"allowed_methods,omitempty"`

	// AllowedHeaders are the headers that a page may set, such as Content-Type. Default none: those that browsers allow anyway.
	AllowedHeaders []string `yaml:"allowed_headers,omitempty"`

	// ExposedHeaders are the headers of responses that a page may read. Default none: those that browsers show anyway.
	ExposedHeaders []string `yaml:"exposed_headers,omitempty"`

	// AllowCredentials lets pages send the cookies of their user, and so act for them. Only with origins that are named. Default false.
	AllowCredentials bool `yaml:"allow_credentials,omitempty"`

	// MaxAge is how long browsers remember the answer to a preflight; 0s to 24h. Default 0s: as long as they like, mostly 5s.
	MaxAge time.Duration `yaml:"max_age,omitempty"`
}

// A Match is which requests a route is about: those that meet all of it.
type Match struct {
	// Host is the host name without port, in lower case; *.example.com is every name below example.com, however deep, and not example.com
	// itself. Default: any.
	Host string `yaml:"host,omitempty"`

	// Path is the path: /login is this path only, /admin/* is /admin and everything below it (never /administrator), /* is every path.
	// Upper and lower case differ. It is compared with the path as it is once decoded. Required.
	Path string `yaml:"path"`

	// Methods are the methods: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, QUERY, and those of WebDAV: PROPFIND, PROPPATCH, MKCOL, COPY,
	// MOVE, LOCK, UNLOCK, ACL, MKCALENDAR, REPORT, SEARCH. GET does not include HEAD. Default: any.
	Methods []string `yaml:"methods,omitempty"`
}

// A Require is what a session must have beyond being valid: all of it.
type Require struct {
	// AAL is the least assurance level: aal1, aal2 or aal3. Default: any.
	AAL upstream.AAL `yaml:"aal,omitempty"`

	// MaxAge is how long ago the person may have proved who they are, by signing in or by doing so anew; 1s to 8760h. Default: any time.
	MaxAge time.Duration `yaml:"max_age,omitempty"`

	// Methods are the methods of authentication of which at least one was used, in the session service's words, such as password, totp,
	// webauthn, passkey, code, oidc. Default: any.
	Methods []string `yaml:"methods,omitempty"`

	// Expression is a condition in CEL (https://cel.dev) that must be true. Its one variable is session, the session service's own
	// statement, as in session.identity.traits.role in ["admin"]. Where it needs what a session does not have, that session does not
	// meet it. At most 4096 bytes. Default none.
	Expression string `yaml:"expression,omitempty"`

	// Use is the name of a set in requirements that must be met, too. Only in routes. Default none.
	Use string `yaml:"use,omitempty"`
}

// An IdentityToken is a signed token that tells the application whose request it is: a JSON Web Token with the claims iss, aud, sub (the
// identity), sid (the session), iat, exp, auth_time, acr (the assurance level) and amr (the methods of authentication).
type IdentityToken struct {
	// Header is the name of the header that carries it. What a client sends under this name never gets through. A front proxy always
	// gets it, empty without a session. Default X-Gatehouse-Jwt.
	Header string `yaml:"header"`

	// KeyFile is the file with the private key that signs: Ed25519 (the algorithm is EdDSA) or ECDSA on P-256 (ES256), in PEM, PKCS #8
	// and not encrypted. Like those of certificates it is looked at every 15s, and loaded again when it has changed. Required.
	KeyFile string `yaml:"key_file"`

	// OtherKeyFiles are files with keys that sign nothing and are published beside the one that does: the next one, so that it is known
	// before it signs, and the last one, as long as its tokens are valid. Each has one key in PEM, public or private. Default none.
	OtherKeyFiles []string `yaml:"other_key_files"`

	// Issuer is who says so, the claim iss. Default gatehouse.
	Issuer string `yaml:"issuer"`

	// Audience is for whom it is signed, the claim aud, where a route does not say: the name by which the application knows itself, such
	// as its URL. An application must refuse tokens for others. Required.
	Audience string `yaml:"audience"`

	// TTL is how long it is valid; 10s to 24h, and never past the session's end. It is used again until half of that has passed. An
	// application that keeps it does not notice within that time that the session was revoked. Default 5m.
	TTL time.Duration `yaml:"ttl"`

	// Claims are further claims: their names, and the paths of their values in the session in GJSON syntax. What a session does not have
	// is left out. Default none.
	Claims map[string]string `yaml:"claims,omitempty"`

	// KeysPath is the path on the listener where the public keys are served, as a JSON Web Key Set, to everybody. The application is never
	// asked for it. Default /.well-known/jwks.json.
	KeysPath string `yaml:"keys_path"`
}

// A Limits is what clients may take of the gateway.
type Limits struct {
	// Head is how large the head of a request may be; 4KiB to 1MiB. A larger one is refused with 431. Every connection takes as much
	// memory. Default 64KiB.
	Head Size `yaml:"head"`

	// Headers is how many header lines a request may have; 16 to 1024. More are refused with 431. Default 128.
	Headers int `yaml:"headers"`

	// URI is how long the target of a request, path and query, may be; 256B to 1MiB, and less than limits.head. A longer one is refused with
	// 414. Default 16KiB.
	URI Size `yaml:"uri"`

	// Body is how long the body of a request may be, on routes that do not say it themselves; at least 1, or unlimited. A longer one is
	// refused with 413. Default unlimited.
	Body Size `yaml:"body"`

	// HeadTimeout is how long the head of a request may take, and then the first byte of its body; 100ms to 5m. After that it is refused
	// with 408. Default 10s.
	HeadTimeout time.Duration `yaml:"head_timeout"`

	// BodyTimeout is for how long a client that sends or reads a body is waited for, until it must have moved something, or as much as
	// MinRate asks for in that time; 100ms to 10m. After that a request is refused with 408, and a response is cut off. Default 30s.
	BodyTimeout time.Duration `yaml:"body_timeout"`

	// MinRate is how much of a body a client must send or read in each second that is waited for it; 0 to 1MiB. The time that the
	// application takes does not count. Default 256B.
	MinRate Size `yaml:"min_rate"`

	// Connections is how many connections of clients there may be at once; 1 to 1000000. More are refused with 503. Default 100000.
	Connections int `yaml:"connections"`

	// ConnectionsPerClient is how many of them one address may have, unless it is in trusted_proxies; 0 to 1000000, 0 is any number. More
	// are refused with 429. Default 10000.
	ConnectionsPerClient int `yaml:"connections_per_client"`

	// RequestsPerClient is how many requests of one client may be at the application at once, unless it is in trusted_proxies; 0 to
	// 1000000, 0 is any number. An application has max_conns for all clients together. More are refused with 429. Default 256.
	RequestsPerClient int `yaml:"requests_per_client"`

	// UnknownPerClient is how many credentials one client may present in a minute, and at once, that turn out to be nobody's; 0 to 1000000,
	// 0 is any number. Beyond that, credentials that are not remembered are refused with 429. Valid ones cost nothing. Default 3000.
	UnknownPerClient int `yaml:"unknown_per_client"`

	// Tunnels is how many WebSockets may be open at once; 0 to 1000000. More are refused with 503; each takes two connections. 0 turns
	// WebSockets off: the application gets their handshakes as ordinary requests. Default 10000.
	Tunnels int `yaml:"tunnels"`

	// TunnelsPerClient is how many of them one client may have, unless it is in trusted_proxies; 0 to 1000000, 0 is any number. More are
	// refused with 429. Default 256.
	TunnelsPerClient int `yaml:"tunnels_per_client"`

	// TunnelIdle is how long nothing may pass through a WebSocket, in either direction, before it is closed; 1s to 24h, or 0s for no limit.
	// Default 1h.
	TunnelIdle time.Duration `yaml:"tunnel_idle"`
}

// A ForwardAuth is where a front proxy asks for decisions.
type ForwardAuth struct {
	// Path is the path on the listener, below which every kind of front proxy has one of its own: traefik, caddy, haproxy, nginx and envoy.
	// The application is never asked for it, nor for anything below it. Default /.gatehouse/auth.
	Path string `yaml:"path"`

	// GRPCListen is where Envoy asks by gRPC (envoy.service.auth.v3.Authorization): host:port, or empty for nowhere. It is not encrypted,
	// so it belongs on the loopback address or inside of a cluster. Default empty.
	GRPCListen string `yaml:"grpc_listen"`
}

// A Login is where people sign in.
type Login struct {
	// URL is the page: an absolute URL of http or https, with a query if it needs one. It must be reachable without a session. With Kratos it
	// is its /self-service/login/browser. A second factor is asked for by adding aal=aal2 to it, and a recent sign-in by refresh=true. Required.
	URL string `yaml:"url"`

	// ReturnToParam is the name of the query parameter that tells the page where to lead back to: letters, digits, '.', '_' and '-', at most
	// 64. Default return_to.
	ReturnToParam string `yaml:"return_to_param"`

	// AllowedHosts are the hosts that people may be led back to: app.example.com, *.example.com for every name below example.com, with the
	// port after it where that is not the one of http or https. From elsewhere they are led to the page without being led back. Required.
	AllowedHosts []string `yaml:"allowed_hosts"`
}

// A Whoami is where an application asks for the session itself.
type Whoami struct {
	// Path is the path on the listener. The application is never asked for it. Default /sessions/whoami.
	Path string `yaml:"path"`

	// Dialect is whose words it is answered in: kratos, wacht, crossid or better_auth. In those of the service itself the answer is the
	// service's, byte for byte; in others it is translated. Default the service's own, and kratos for http and embedded.
	Dialect Dialect `yaml:"dialect"`
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

package config

import (
	"time"
)

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

	// Embedded is a session service inside of Gatehouse itself that stands in for another: for development and tests. Default none.
	Embedded *Embedded `yaml:"embedded,omitempty"`

	// Timeout is how long one question may take before it counts as an outage; 1ms to 1m. Default 1s.
	Timeout time.Duration `yaml:"timeout"`

	// MaxInFlight is how many questions may be under way at once; 1 to 10000. More wait their turn, within their timeout. Default 64.
	MaxInFlight int `yaml:"max_in_flight"`

	// IdentityHeaders are those of identity_headers whose values are elsewhere in what this service says: their names, and the paths. Only in
	// upstreams. Default: each where identity_headers has it, and X-User-Id, if there is no identity_headers, the id of the identity.
	IdentityHeaders IdentityHeaders `yaml:"identity_headers,omitempty"`
}

// A Kratos is an Ory Kratos to ask.
type Kratos struct {
	// URL is the base of its public API: http or https, with a path if it has one, without user, password or query. Required.
	URL string `yaml:"url"`

	// Cookie is the name of its session cookie, session.cookie.name in its own configuration; or the beginning of the name and "*", as in
	// ory_session_*, which is how Ory Network names it. A request with cookies of several names that begin so has no session. Default
	// ory_kratos_session.
	Cookie string `yaml:"cookie"`

	// SessionAPI serves its session API, too: /sessions and what is one segment below it, and logout below /self-service. Calls are passed on,
	// and what they end is forgotten before the caller has the answer. The application is never asked for these paths. Default false.
	SessionAPI bool `yaml:"session_api"`

	// SelfService serves its self-service flows, likewise: everything below /self-service and /.well-known/ory. Default false.
	SelfService bool `yaml:"self_service"`

	// Revocations are how Gatehouse hears of sessions that end. Default none: it has to be told, or asks again after fresh_for.
	Revocations *Revocations `yaml:"revocations,omitempty"`
}

// An Embedded is the session service inside of Gatehouse.
type Embedded struct {
	// Dialect is which service it stands in for: kratos, wacht, crossid or better_auth. Its public API is that service's. Default kratos.
	Dialect Dialect `yaml:"dialect"`

	// Path is the file that keeps the sessions; empty keeps them in memory, until Gatehouse ends. Default empty.
	Path string `yaml:"path"`

	// Cookie is the name of its session cookie. Default ory_kratos_session, __session, crossid_session or better-auth.session_token, by
	// dialect.
	Cookie string `yaml:"cookie"`

	// Listen is where its public API is served: host:port, or empty for nowhere. Default 127.0.0.1:4433.
	Listen string `yaml:"listen"`

	// AdminListen is where its admin API and the page /sign-in are served: host:port, or empty for nowhere. Whoever reaches it can create a
	// session for anybody. Default 127.0.0.1:4434.
	AdminListen string `yaml:"admin_listen"`

	// Lifespan is how long a session lives after it was created or extended; 1s to 87600h (ten years). Default 24h.
	Lifespan time.Duration `yaml:"lifespan"`

	// SessionAPI serves its session API beside Gatehouse's own paths, as that of the service which it stands in for. Default false.
	SessionAPI bool `yaml:"session_api"`
}

// A SessionCache is how many sessions are remembered, and for how long they are believed. Each session service has one of its own.
type SessionCache struct {
	// Size is how many sessions are remembered of each session service; 1 to 50000000. When it is too small, the service is asked more often.
	// Default 100000.
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

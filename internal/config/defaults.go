package config

import (
	"slices"
	"time"

	"github.com/gatehouse-proxy/gatehouse/upstream"
)

// Default returns the configuration of an empty file. It lacks what has no default, the session service, and so is not yet valid.
func Default() Config {
	return Config{
		Listen:          Listeners{{Address: ":8080"}},
		Admin:           "127.0.0.1:9090",
		Upstream:        defaultUpstream(),
		SessionCache:    SessionCache{Size: 100_000, FreshFor: 30 * time.Second, FreshForDegraded: 10 * time.Second, NegativeFor: time.Second},
		Routes:          []Route{{Match: Match{Path: "/*"}, Access: AccessSession}},
		IdentityHeaders: IdentityHeaders{{Name: "X-User-Id", Path: "identity.id"}},
		ForwardAuth:     ForwardAuth{Path: "/.gatehouse/auth"},
		Whoami:          Whoami{Path: "/sessions/whoami", Dialect: DialectKratos, KeepBody: true},
		App:             defaultApp(),
		TrustedProxies:  []Peer{},
		Credentials:     slices.Clone(upstream.Kinds[:]),
		Limits: Limits{
			Head: 64 * KiB, Headers: 128, URI: 16 * KiB, Body: Unlimited,
			HeadTimeout: 10 * time.Second, BodyTimeout: 30 * time.Second, MinRate: 256,
			Connections: 100_000, ConnectionsPerClient: 10_000, RequestsPerClient: 256, UnknownPerClient: 3000,
			Tunnels: 10_000, TunnelsPerClient: 256, TunnelIdle: time.Hour,
		},
		Log:      Log{Level: LevelInfo, Format: FormatAuto},
		Shutdown: Shutdown{Timeout: 30 * time.Second},
	}
}

func defaultUpstream() Upstream { return Upstream{Timeout: time.Second, MaxInFlight: 64} }

func (u *Upstream) setDefaults() { *u = defaultUpstream() }

// setDefaults gives the keys of a section that was chosen their defaults.
func (k *Kratos) setDefaults() { *k = Kratos{Cookie: "ory_kratos_session"} }

func (c *CORS) setDefaults() { *c = CORS{} }

func (l *Login) setDefaults() { *l = Login{ReturnToParam: "return_to"} }

func (t *TLS) setDefaults() { *t = TLS{ClientAuth: ClientAuthNone} }

func (t *IdentityToken) setDefaults() {
	*t = IdentityToken{
		Header:        "X-Gatehouse-Jwt",
		OtherKeyFiles: []string{},
		Issuer:        "gatehouse",
		TTL:           5 * time.Minute,
		KeysPath:      "/.well-known/jwks.json",
	}
}
func (a *App) setDefaults() { *a = defaultApp() }

func defaultApp() App { return App{MaxConns: 1024, HeadTimeout: time.Minute} }

func (e *Embedded) setDefaults() {
	*e = Embedded{
		Dialect:     DialectKratos,
		Cookie:      "ory_kratos_session",
		Listen:      "127.0.0.1:4433",
		AdminListen: "127.0.0.1:4434",
		Lifespan:    24 * time.Hour,
	}
}

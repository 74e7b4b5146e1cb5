package config

import (
	"time"
)

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
	// service's, byte for byte; in others it is translated. Default those of the service that answers, and kratos for http and embedded.
	Dialect Dialect `yaml:"dialect,omitempty"`

	// KeepBody is whether the service's statement is remembered with each session. Without it, many sessions take half of the memory, but
	// whoami asks the service each time, and so is each session after a reload that changes routes or identity headers. It is needed with
	// identity_token. Default true.
	KeepBody bool `yaml:"keep_body"`
}

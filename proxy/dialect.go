package proxy

import (
	"bytes"

	"github.com/gatehouse-proxy/gatehouse/internal/policy"
)

// A Dialect is how a front proxy describes the request that it asks about, and which answers it understands. Each reads one family of
// header lines only: what belongs to another family is what the client chose to send, or nobody's.
type Dialect uint8

// The dialects. Plain is spoken at the path of the forward-auth face itself, the others below it, and EnvoyGRPC elsewhere.
const (
	Plain Dialect = iota
	Traefik
	Caddy
	HAProxy
	Nginx
	Envoy
	EnvoyGRPC
)

// Dialects lists every Dialect, for those who keep a table by dialect.
var Dialects = [...]Dialect{Plain, Traefik, Caddy, HAProxy, Nginx, Envoy, EnvoyGRPC}

// String returns the dialect as paths, logs and metrics spell it.
func (d Dialect) String() string { return dialects[d].name }

// A dialect is what the code knows of a Dialect.
type dialect struct {
	name      string
	describe  func(*request) (Target, fault)
	foreign   []int                                    // the lines of other families, by their place in lines.described
	allow     func(*request, answerHead)               // adds to an answer that lets the request pass; may be nil
	status    func(d *policy.Decision, status int) int // the status that says the same in this dialect; nil if it is the same one
	oneCookie bool                                     // whether only one Set-Cookie line gets through
}

var (
	forwardedLines = []int{forwardedMethod, forwardedHost, forwardedURI}
	originalLines  = []int{originalURL, originalURI, originalMethod}

	describingLines = []int{forwardedMethod, forwardedHost, forwardedURI, originalURL, originalURI, originalMethod}
)

var dialects = [len(Dialects)]dialect{
	Plain:     {name: "plain", describe: describePlain, foreign: originalLines},
	Traefik:   {name: "traefik", describe: describeForwarded, foreign: originalLines},
	Caddy:     {name: "caddy", describe: describeForwarded, foreign: originalLines},
	HAProxy:   {name: "haproxy", describe: describeForwarded, foreign: originalLines},
	Nginx:     {name: "nginx", describe: describeNginx, foreign: forwardedLines, allow: allowNginx, status: nginxStatus, oneCookie: true},
	Envoy:     {name: "envoy", describe: describeEnvoy, foreign: describingLines, allow: allowEnvoy},
	EnvoyGRPC: {name: "envoy_grpc", describe: readDescription, foreign: describingLines},
}

// dialectOf returns the dialect in which a request to the forward-auth face asks. target is the request-target as it came, and path its
// canonical form, which is empty if there is none. It reports false if the path names no dialect.
func (s *Server) dialectOf(target, path []byte) (Dialect, bool) {
	if s.asksAsEnvoy(target) {
		return Envoy, true
	}
	below, _ := bytes.CutPrefix(path, []byte(s.cfg.ForwardAuthPath))
	switch string(below) {
	case "":
		return Plain, len(path) > 0
	case "/traefik":
		return Traefik, true
	case "/caddy":
		return Caddy, true
	case "/haproxy":
		return HAProxy, true
	case "/nginx":
		return Nginx, true
	default:
		return Plain, false
	}
}

// asksAsEnvoy reports whether a request-target is one that Envoy has put its prefix before. It is compared as it came, for what follows is
// another request's and may be anything.
func (s *Server) asksAsEnvoy(target []byte) bool {
	rest, ok := bytes.CutPrefix(target, []byte(s.cfg.ForwardAuthPath))
	return ok && s.cfg.ForwardAuthPath != "" && bytes.HasPrefix(rest, []byte(envoyPath))
}

// A fault is what is wrong with the description of a request. The zero fault is nothing.
type fault struct {
	header string // the line that is at fault; empty if it is not a line
	reason policy.Reason
	cause  error // of what is in the line; nil if that is not the matter
}

// by returns the fault with its cause.
func (f fault) by(cause error) fault {
	f.cause = cause
	return f
}

// ill returns the fault of a line, by its place in lines.described.
func ill(line int, reason policy.Reason) fault {
	return fault{header: describedNames[line], reason: reason}
}

// schemeOf reads the scheme by which a front proxy was asked. Traefik says ws and wss for WebSocket handshakes.
func schemeOf(b []byte) (string, bool) {
	for i, scheme := range [...]string{"http", "https", "ws", "wss"} {
		if bytes.EqualFold(b, []byte(scheme)) {
			return [...]string{"http", "https"}[i%2], true
		}
	}
	return "", false
}

// Package admin is the second listener, for those who run Gatehouse: metrics, health, profiles, revocation and reload. It is net/http
// only, and nothing of it is on the way of a request to the application.
//
//	GET  /metrics                            Prometheus text, OpenMetrics or protobuf
//	GET  /livez                              200 while the process runs; also /healthz, /health/alive, /-/healthy
//	GET  /readyz                             200, or 503 and why; also /health/ready, /-/ready; with ?verbose, every check
//	GET  /-/sessions                         what is remembered of sessions, without credentials
//	POST /-/revoke                           ends a session, all sessions of an identity, or a credential
//	POST /-/flush                            forgets every session
//	POST /-/reload                           reads the configuration again
//	GET  /config                             the configuration in force, without secrets
//	GET  /debug/pprof/                       profiles
//
// # Health
//
// Liveness depends on nothing. Readiness does not depend on the session service: if it did, an outage of the service would take every
// replica out of service, those included that could go on with the sessions they remember. What is told under ?verbose is for people.
//
// # Revocation
//
// The body of POST /-/revoke is a form or a JSON object of strings, with exactly one of session_id, identity_id and credential, and with
// credential perhaps kind: session_token, session_cookie, cookie, query or bearer. Without a kind, the credential is revoked however it may be presented.
//
//	curl -d session_id=8a5d… http://127.0.0.1:9090/-/revoke
//
// It changes what Gatehouse remembers, not what the service knows: whoever ends a session tells the service first, or the next request
// brings the session back. When the answer is there, no request that begins afterwards is served from what was remembered before. A
// session id is the better thing to revoke: there may be many credentials for a session, and a client that sends two session cookies
// presents both as one. Nothing is read from the query, and nothing of the body is repeated in answers or logs, since both may hold
// credentials.
//
// # Browsers
//
// The listener asks nobody for a password: whoever reaches it may use it, and it belongs on the loopback address or behind a network
// policy. But the browser of somebody who may reach it runs the programs of strangers, so that these are kept out:
//
//   - what changes something is refused if the request has an Origin header, which browsers send with every such request, or a
//     Sec-Fetch-Site other than none and same-origin (cross-site request forgery);
//   - a request by way of the loopback address must name an IP address or localhost as its host. A page of a stranger whose name was made
//     to point at the loopback address would name its own (DNS rebinding). By way of other addresses any name will do, so that
//     Prometheus can ask for a service by its name.
package admin

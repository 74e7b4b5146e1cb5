package policy

import (
	"time"

	"github.com/gatehouse-proxy/gatehouse/upstream"
)

// A Verdict is the outcome of judging a request. The zero Verdict denies.
type Verdict uint8

// The verdicts.
const (
	Denied          Verdict = iota // the route, or the lack of one, forbids it: 403
	Allowed                        // let it pass
	Unauthenticated                // a session is needed and there is none: 401
	Refused                        // the session service has a session and refuses it: its own status and body
	Unavailable                    // it cannot be known: 503
	Malformed                      // the request has more than one reading, or none: 400
	Limited                        // it, or its client, is more than a limit allows: a status for each limit
)

// Verdicts lists every Verdict, for those who keep a table by verdict.
var Verdicts = [...]Verdict{Denied, Allowed, Unauthenticated, Refused, Unavailable, Malformed, Limited}

// String returns the verdict as logs and metrics spell it.
func (v Verdict) String() string {
	switch v {
	case Allowed:
		return "allowed"
	case Unauthenticated:
		return "unauthenticated"
	case Refused:
		return "refused"
	case Unavailable:
		return "unavailable"
	case Malformed:
		return "malformed"
	case Limited:
		return "limited"
	default:
		return "denied"
	}
}

// A Reason says in one word why a verdict is what it is, for logs and for X-Gatehouse-Reason. Reasons are a closed set.
type Reason string

// The reasons.
const (
	NoRoute             Reason = "no_route"             // no route matches
	UnknownHost         Reason = "unknown_host"         // every route names a host, and none of them this one
	RouteDenies         Reason = "route_denies"         // the route's access is deny
	Public              Reason = "public"               // the route needs no session
	Anonymous           Reason = "anonymous"            // the route takes a session if there is one, and there is none
	SessionValid        Reason = "session"              // there is a session and it meets what the route requires
	Preflight           Reason = "preflight"            // a CORS preflight, which browsers send without a credential
	PreflightRefused    Reason = "preflight_refused"    // a CORS preflight for a page of an origin that is not allowed
	NoCredential        Reason = "no_credential"        // the request presents nothing
	MalformedCredential Reason = "malformed_credential" // what it presents cannot be a credential
	NoSession           Reason = "no_session"           // the service knows no session for it
	RefusedByService    Reason = "refused"              // the service has a session and refuses it
	InsufficientAAL     Reason = "insufficient_aal"     // the route requires a higher assurance level
	SessionTooOld       Reason = "session_too_old"      // the route requires that the person has proved more recently who they are
	RequirementFailed   Reason = "requirement_failed"   // the session does not meet another requirement of the route
	StoreUnavailable    Reason = "store_unavailable"    // the service gave no answer
	IdentityUnusable    Reason = "identity_unusable"    // the session cannot be rendered into the identity headers
	MalformedTarget     Reason = "malformed_target"     // the path or host has more than one reading
	MalformedForward    Reason = "malformed_forward"    // what a front proxy says of the request is missing, repeated or unreadable
	MalformedHeaders    Reason = "malformed_headers"    // a header that must be unambiguous is not
	HeadTooLarge        Reason = "head_too_large"       // the head of the request is larger than is read
	TooManyHeaders      Reason = "too_many_headers"     // more header lines than are looked at
	URITooLong          Reason = "uri_too_long"         // the request-target is longer than is looked at
	BodyTooLarge        Reason = "body_too_large"       // the body is larger than the route takes
	HeadTimeout         Reason = "head_timeout"         // the head of the request, or the first byte of its body, did not come in time
	BodyTimeout         Reason = "body_timeout"         // nothing more of the body came
	TooSlow             Reason = "too_slow"             // the body came too slowly
	TooManyRequests     Reason = "too_many_requests"    // the client has as many requests at the application as it may
	TooManyUnknown      Reason = "too_many_unknown"     // the client presented too many credentials that nobody knows
	MalformedRequest    Reason = "malformed_request"    // it cannot be read as a request at all
	OriginNotAllowed    Reason = "origin_not_allowed"   // a page of another origin may not open a WebSocket
	TooManyTunnels      Reason = "too_many_tunnels"     // it may pass, but as many WebSockets are open as there may be
	TooManyOwnTunnels   Reason = "too_many_own_tunnels" // it may pass, but the client has as many WebSockets open as it may
	ApplicationFailed   Reason = "application_failed"   // it may pass, but the application gave no usable answer
	UntrustedPeer       Reason = "untrusted_peer"       // forward-auth was asked by a peer that is not trusted
	UnknownDialect      Reason = "unknown_dialect"      // there is no such path below that of forward-auth
	LoginLoop           Reason = "login_loop"           // it was sent to sign in several times, and comes back without what is needed
	UnsupportedMethod   Reason = "unsupported_method"   // CONNECT, TRACE, or a method nobody knows
	TooEarly            Reason = "too_early"            // it could be a replay, and its method is not safe
	UnsupportedVersion  Reason = "unsupported_version"  // neither HTTP/1.0 nor HTTP/1.1
	AbortedBody         Reason = "aborted_body"         // the client ended the connection in the middle of a body
	ClientGone          Reason = "client_gone"          // the client left before the application had answered
	NoApplication       Reason = "no_application"       // there is no application to proxy to
	NoService           Reason = "no_service"           // several session services, and none of them is named for this place
	MessageReceived     Reason = "message_received"     // a message to hooks, and what it says is in force
	MessageUnsigned     Reason = "message_unsigned"     // a message to hooks that comes from nobody who is known
	MessageOld          Reason = "message_old"          // a message to hooks that was signed too long ago, or ahead of time
	MessageReplayed     Reason = "message_replayed"     // a message to hooks that has come before
	MessageUnread       Reason = "message_unread"       // a message to hooks that names nothing to end
	PassedThrough       Reason = "passed_through"       // the session service answered the caller itself
	InternalError       Reason = "internal_error"       // the gateway failed
)

// A Decision is what was decided about one request, and why. It is a value: it is never cached, and it holds good for this one request
// only.
type Decision struct {
	Verdict Verdict
	Reason  Reason
	Route   *Route            // nil when none matched
	Session *upstream.Session // nil unless the request has one, whatever the verdict
	View    *View             // what the application is told; nil unless the verdict is Allowed, and all empty without a Session
	Token   []byte            // and what it can verify; nil without a Session, or if there are no tokens
	Err     error             // why there is no session, what the session does not meet, or what is wrong with the request; may be nil

	Renewed []upstream.Field // header lines for this very client
	Source  upstream.Source  // where the answer came from; meaningful when Session is set

	BelieveFor time.Duration // how long the session may go on being believed without asking again; likewise
}

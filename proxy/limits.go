package proxy

import (
	"cmp"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/gatehouse-proxy/gatehouse/internal/policy"
)

// Limits are what clients may take of the gateway, on every face. How long a body may be is the route's to say. What is zero has the
// default given.
type Limits struct {
	Head    int // bytes of the head of a request; 64 KiB
	Headers int // lines in it; 128
	URI     int // bytes of the request-target; 16 KiB

	HeadTimeout time.Duration // for the whole head, and then for the first byte of the body; 10 s

	// BodyTimeout is for how long a client is waited for, while a body goes one way or the other, until it must have moved what MinRate
	// asks for. The time that the application takes does not count. 30 s.
	BodyTimeout time.Duration
	MinRate     int // bytes a second; at least one byte in BodyTimeout

	Connections          int // at once; 100,000
	ConnectionsPerClient int // at once, trusted peers aside; any number
	RequestsPerClient    int // that wait for the application or its answer, trusted clients aside; any number

	// KnowClients is set if those who answer for sessions want to know who asks ([upstream.Credential.From]).
	KnowClients bool
}

func (l Limits) withDefaults() Limits {
	l.Head = cmp.Or(l.Head, 64<<10) // Kratos cookies, OIDC cookies and long URLs fit
	l.Headers = cmp.Or(l.Headers, maxFields)
	l.URI = cmp.Or(l.URI, 16<<10)
	l.HeadTimeout = cmp.Or(l.HeadTimeout, 10*time.Second)
	l.BodyTimeout = cmp.Or(l.BodyTimeout, 30*time.Second)
	l.Connections = cmp.Or(l.Connections, 100_000)
	return l
}

// A Limit is one of the things of which a client may have only so much.
type Limit uint8

// The limits. The zero Limit is none.
const (
	_ Limit = iota
	HeadLimit
	HeadersLimit
	URILimit
	BodyLimit
	HeadTimeLimit
	BodyTimeLimit
	RateLimit
	ConnectionsLimit
	ConnectionsPerClientLimit
	RequestsPerClientLimit
	UnknownPerClientLimit
	TunnelsLimit
	TunnelsPerClientLimit
	limitsEnd
)

// AllLimits lists every Limit, for those who keep a table by limit.
func AllLimits() []Limit {
	var all []Limit
	for l := HeadLimit; l < limitsEnd; l++ {
		all = append(all, l)
	}
	return all
}

// limitTable says of each limit what the configuration calls it, with which status it is answered, and why. What is refused before there
// is a request has no reason.
var limitTable = [limitsEnd]struct {
	name   string
	status int
	reason policy.Reason
}{
	HeadLimit:                 {"head", fasthttp.StatusRequestHeaderFieldsTooLarge, policy.HeadTooLarge},
	HeadersLimit:              {"headers", fasthttp.StatusRequestHeaderFieldsTooLarge, policy.TooManyHeaders},
	URILimit:                  {"uri", fasthttp.StatusRequestURITooLong, policy.URITooLong},
	BodyLimit:                 {"body", fasthttp.StatusRequestEntityTooLarge, policy.BodyTooLarge},
	HeadTimeLimit:             {"head_timeout", fasthttp.StatusRequestTimeout, policy.HeadTimeout},
	BodyTimeLimit:             {"body_timeout", fasthttp.StatusRequestTimeout, policy.BodyTimeout},
	RateLimit:                 {"min_rate", fasthttp.StatusRequestTimeout, policy.TooSlow},
	ConnectionsLimit:          {"connections", fasthttp.StatusServiceUnavailable, ""},
	ConnectionsPerClientLimit: {"connections_per_client", fasthttp.StatusTooManyRequests, ""},
	RequestsPerClientLimit:    {"requests_per_client", fasthttp.StatusTooManyRequests, policy.TooManyRequests},
	UnknownPerClientLimit:     {"unknown_per_client", fasthttp.StatusTooManyRequests, policy.TooManyUnknown},
	TunnelsLimit:              {"tunnels", fasthttp.StatusServiceUnavailable, policy.TooManyTunnels},
	TunnelsPerClientLimit:     {"tunnels_per_client", fasthttp.StatusTooManyRequests, policy.TooManyOwnTunnels},
}

// String returns the limit as configuration, logs and metrics spell it.
func (l Limit) String() string {
	if l == 0 || l >= limitsEnd {
		return "none"
	}
	return limitTable[l].name
}

// limitOf returns the limit for whose sake a request was refused, or 0.
func limitOf(d *policy.Decision) Limit {
	if d.Verdict != policy.Limited {
		return 0
	}
	for l := HeadLimit; l < limitsEnd; l++ {
		if limitTable[l].reason == d.Reason {
			return l
		}
	}
	return 0
}

// beyond is the decision about what is more than l allows.
func beyond(l Limit) policy.Decision {
	return policy.Decision{Verdict: policy.Limited, Reason: limitTable[l].reason}
}

// limited tells the observer that a client has reached a limit. The operator is told, at most once a second for each limit, of those that
// turn requests away which would be served another time.
func (s *Server) limited(l Limit, c *conn) {
	s.cfg.Observer.Limited(l)
	if l < ConnectionsLimit {
		return
	}
	if ok, missed := s.beyond[l].allow(); ok {
		message := "limit was reached: a client that is a proxy must be in trusted_proxies"
		if l == ConnectionsLimit || l == TunnelsLimit {
			message = "limit was reached: raise it if so many are meant to be"
		}
		s.cfg.Logger.Warn(message,
			"limit", l.String(), "client", c.RemoteAddr().String(), "not_logged", missed)
	}
}

// beyondHead returns which limit the head of a request is beyond, or 0.
func (r *request) beyondHead() Limit {
	uri := len(r.head.uri)
	for _, line := range [...]int{forwardedURI, originalURL, originalURI} {
		uri = max(uri, len(r.head.described[line].value))
	}
	head := 0 // what came as bytes was counted while it was read
	if d := r.described; d != nil {
		uri, head = len(d.Target), d.size()
	}
	switch l := &r.limits; {
	case uri > l.URI:
		return URILimit
	case r.head.count > l.Headers:
		return HeadersLimit
	case head > l.Head:
		return HeadLimit
	default:
		return 0
	}
}

// A pace is how fast a body goes one way, as far as that is the client's doing.
type pace struct {
	waited time.Duration // for the client, since it last had moved enough
	moved  int64         // bytes since then
}

// left is how long the client may be waited for now.
func (p *pace) left(l *Limits) time.Duration { return max(l.BodyTimeout-p.waited, time.Millisecond) }

// note notes that n bytes took the time waited, and whether that was all the time there was. It returns the limit that the client is
// beyond, or 0.
func (p *pace) note(l *Limits, n int, waited time.Duration, timedOut bool) Limit {
	p.moved += int64(n)
	p.waited += waited
	switch {
	case !timedOut && p.moved >= max(1, int64(l.BodyTimeout.Seconds()*float64(l.MinRate))):
		*p = pace{}
		return 0
	case !timedOut && p.waited < l.BodyTimeout:
		return 0
	case p.moved == 0:
		return BodyTimeLimit
	default:
		return RateLimit
	}
}

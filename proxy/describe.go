package proxy

import (
	"bytes"
	"net"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/gatehouse-proxy/gatehouse/internal/policy"
	"github.com/gatehouse-proxy/gatehouse/upstream"
)

// A Description is of a request that somebody else holds, and who says so otherwise than in HTTP. Nothing of it is kept.
type Description struct {
	Peer   net.Addr // who asks
	Method string
	Scheme string // http or https; empty if it is not known
	Host   string // with its port, if it has one
	Target string // path and query, as they came
	Route  string // the name of the route to judge by; empty for the first that matches
	Header []HeaderLine
}

// A HeaderLine is one line of a head. In a Description its name is in lower case.
type HeaderLine struct{ Name, Value string }

// size returns how long the head is that d describes, as HTTP/1.1 has it.
func (d *Description) size() int {
	n := len(d.Method+"  HTTP/1.1\r\nhost: \r\n\r\n") + len(d.Target) + len(d.Host)
	for _, h := range d.Header {
		n += len(h.Name) + len(": \r\n") + len(h.Value)
	}
	return n
}

// An Outcome is what becomes of a request that is described. The zero Outcome lets nothing pass.
type Outcome struct {
	Status     int          // 200 and nothing else lets the request pass
	Header     []HeaderLine // what the application is told by a request that may pass, and else the head of the answer to the client
	Remove     []string     // what must be removed from a request that may pass, in lower case
	Parameters []string     // what must be removed from its query
	SetCookie  []string     // for the client, either way
	Renewed    []HeaderLine // for the client of a request that may pass, beside that
	Body       []byte       // of the answer to the client
}

// Judge does what the forward-auth face does, for a request that is described by d, with all that goes with it: only trusted peers are
// answered, and the observer and the access log are told.
func (s *Server) Judge(d *Description) Outcome {
	r, o := s.newDescribed(d), Outcome{}
	response := &r.ctx.Response
	s.cfg.Observer.Began(r.face)
	func() {
		defer func() { r.finish(recover()) }()
		if over := r.beyondHead(); over != 0 {
			r.refuse(beyond(over))
			return
		}
		if r.forwardAuth(); r.decision.Verdict == policy.Allowed {
			r.tell(&o)
		}
	}()
	for _, line := range response.Header.Cookies() {
		o.SetCookie = append(o.SetCookie, string(line))
	}
	if o.Status = response.StatusCode(); o.Status == fasthttp.StatusOK {
		return o
	}
	o.Header, o.Remove = nil, nil
	for name, value := range response.Header.All() {
		switch string(name) {
		case fasthttp.HeaderSetCookie, fasthttp.HeaderConnection, fasthttp.HeaderContentLength, fasthttp.HeaderDate:
		default:
			o.Header = append(o.Header, HeaderLine{string(name), string(value)})
		}
	}
	o.Body = response.Body() // nobody else has it
	return o
}

// newDescribed returns a request that has no bytes of its own, whose ctx is there for the response only.
func (s *Server) newDescribed(d *Description) *request {
	r := requests.Get().(*request)
	peer := peerAddr(d.Peer)
	r.Server, r.ctx, r.began = s, new(fasthttp.RequestCtx), time.Now()
	r.conn = &conn{Conn: asker{peer: d.Peer}, peer: peer, client: shareholder(peer), trusted: s.cfg.Trusted.Contains(d.Peer), server: s}
	r.face, r.dialect, r.known, r.described = ExtAuthzFace, EnvoyGRPC, true, d
	r.ctx.Response.Header.SetNoDefaultContentType(true)
	r.head.reset(&r.scratch.lines)
	r.head.method, r.head.uri, r.head.host, r.head.count = []byte(d.Method), []byte(d.Target), []byte(d.Host), len(d.Header)
	r.raw = r.head.uri
	for _, h := range d.Header {
		if h.Name == "transfer-encoding" || h.Name == "content-length" && h.Value != "0" { // what is not plainly 0 is a body
			r.head.length = chunkedBody
		}
		r.head.note([]byte(h.Name), trimBlanks([]byte(h.Value)), s.keyring.tokenHeader())
	}
	return r
}

// asker is a connection that nothing goes over: only who is at its other end is known.
type asker struct {
	net.Conn // nil
	peer     net.Addr
}

func (a asker) RemoteAddr() net.Addr {
	if a.peer == nil {
		return &net.IPAddr{} // nobody, whom nobody trusts
	}
	return a.peer
}

// readDescription reads the target of a request as a Description has it.
func readDescription(r *request) (t Target, f fault) {
	d, ok := r.described, false
	t.Method, t.Raw, t.Authority, t.Route = r.head.method, r.head.uri, r.head.host, d.Route
	var err error
	if t.Path, t.forms, err = canonicalPath(t.Raw, r.scratch.other[:0]); err != nil {
		return Target{}, fault{reason: policy.MalformedTarget, cause: err}
	}
	if t.Host, ok = canonicalHost(t.Authority, r.scratch.host[:0]); !ok {
		return Target{}, fault{reason: policy.MalformedTarget, cause: errBadHost}
	}
	if t.Scheme, ok = schemeOf([]byte(d.Scheme)); !ok && d.Scheme != "" {
		return Target{}, fault{header: ":scheme", reason: policy.MalformedForward}
	}
	return t, fault{}
}

// tell says what becomes of a request that may pass. What the proxy face does to a request, whoever asks is told to do: the application gets
// the identity, and not the key to it.
func (r *request) tell(o *Outcome) {
	decision, view, keeps := &r.decision, r.decision.View, r.keeps()
	for _, f := range view.Fields {
		o.Header = append(o.Header, HeaderLine{string(f.Name), string(f.Value)})
	}
	if name := view.Policy().TokenHeader(); name != nil {
		o.Header = append(o.Header, HeaderLine{string(name), string(decision.Token)})
	}
	if r.cfg.Explain && decision.Session != nil {
		o.Header = append(o.Header, HeaderLine{cacheHeader, decision.Source.String()})
	}
	for _, f := range decision.Renewed {
		if f.Name != fasthttp.HeaderSetCookie {
			o.Renewed = append(o.Renewed, HeaderLine(f))
		}
	}
	strip := r.stripFor(view.Policy())
	header := strings.ToLower(keeps.header())
	for _, name := range r.keyring.parameters {
		if name != keeps.parameter() {
			o.Parameters = append(o.Parameters, name)
		}
	}
	if names, but := r.keyring.cookies, keeps.cookie(); names.hidden(but) {
		o.leaveOtherCookies(r.head.cookies, names, but)
	}
	for _, h := range r.described.Header {
		switch {
		case h.Name != header && r.keyring.isHeader(h.Name), strip.forged(h.Name),
			h.Name == "authorization" && keeps.by != upstream.Bearer && r.keyring.bearer && hasBearer([]byte(h.Value)):
			o.Remove = append(o.Remove, h.Name)
		}
	}
}

// leaveOtherCookies says what becomes of the Cookie lines of a request so that none of the names but one is left. What says so is for all lines at
// once, whoever carries it out, so that the others are joined into one line (RFC 9113 section 8.2.3).
func (o *Outcome) leaveOtherCookies(lines [][]byte, names cookieNames, but string) {
	var left []byte
	changed := false
	for _, line := range lines {
		rest := appendOtherCookies(nil, line, names, but)
		changed = changed || !bytes.Equal(rest, line)
		if len(rest) == 0 {
			continue
		}
		if len(left) > 0 {
			left = append(left, "; "...)
		}
		left = append(left, rest...)
	}
	switch {
	case !changed:
	case len(left) == 0:
		o.Remove = append(o.Remove, "cookie")
	default:
		o.Header = append(o.Header, HeaderLine{fasthttp.HeaderCookie, string(left)})
	}
}

// asWritten returns what the request itself says of its target.
func (r *request) asWritten() Target {
	path, _, _ := bytes.Cut(r.raw, []byte("?"))
	return Target{Method: r.head.method, Host: hostAsWritten(r.head.host), Path: path}
}

// hostAsWritten returns a host in the form in which requests are judged, or else as it came.
func hostAsWritten(host []byte) []byte {
	if name, ok := canonicalHost(host, nil); ok {
		return name
	}
	return host
}

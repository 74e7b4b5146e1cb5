package proxy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/gatehouse-proxy/gatehouse/internal/policy"
	"github.com/gatehouse-proxy/gatehouse/upstream"
)

// A Face is one of the ways in which Gatehouse meets a request.
type Face uint8

// The faces.
const (
	ProxyFace       Face = iota // the request goes on to the application
	ForwardAuthFace             // another proxy asks whether a request may pass
	WhoamiFace                  // the application's own code asks whose session it is
	KeysFace                    // somebody asks for the keys by which signed tokens are verified
	ExtAuthzFace                // Envoy asks by gRPC whether a request may pass
	HooksFace                   // somebody says which sessions have ended
	SessionAPIFace              // somebody calls a session service's own API
)

// Faces lists every Face, for those who keep a table by face.
var Faces = [...]Face{ProxyFace, ForwardAuthFace, WhoamiFace, KeysFace, ExtAuthzFace, HooksFace, SessionAPIFace}

// String returns the face as logs and metrics spell it.
func (f Face) String() string {
	switch f {
	case ForwardAuthFace:
		return "forward_auth"
	case WhoamiFace:
		return "whoami"
	case KeysFace:
		return "keys"
	case ExtAuthzFace:
		return "ext_authz"
	case HooksFace:
		return "hooks"
	case SessionAPIFace:
		return "session_api"
	default:
		return "proxy"
	}
}

// An Observer is told what happened. Its methods are called on the way of every request, so they must neither block nor allocate, and
// they keep nothing of d.
type Observer interface {
	// Began and Decided are called once a request each; decided is the time that the gateway itself took, without the application's.
	Began(f Face)
	Decided(f Face, d *policy.Decision, decided time.Duration)
	Ended(f Face, total time.Duration)

	// TunnelEnded is called once a tunnel.
	TunnelEnded(why TunnelEnd)

	// ForeignHeaders is called for a question with headers that describe a request in another dialect than the one it is asked in. They
	// are not looked at. LargeAnswer is called for an answer that nginx may have no room for.
	ForeignHeaders(d Dialect)
	LargeAnswer()

	// Limited is called once for everything that is refused or cut off because a client reached a limit.
	Limited(l Limit)
}

// A Passthrough asks the session service a question that is not ours to answer from memory, and returns its answer as it came. Its
// errors are outages: definite answers are Replies.
type Passthrough interface {
	Forward(ctx context.Context, c upstream.Credential, query []byte) (upstream.Reply, error)
}

// A WhoamiDialect has the words of a session service other than Kratos for what is no session: the status and the body, JSON, for one of
// 401 (there is no session), 403, 429 and 503.
type WhoamiDialect interface {
	Refusal(status int) (answered int, body []byte)
}

// Config is what a Server needs.
type Config struct {
	Gate     *Gate
	Services []*Service // all of them
	Observer Observer
	Trusted  *Trusted
	Limits   Limits
	Tunnels  TunnelConfig

	Login *Login // nil if nobody is led to sign in

	ForwardAuthPath string // and what is below it; empty turns the face off, and so for whoami
	WhoamiPath      string

	Hooks     Hooks // nil turns the face off
	HooksPath string

	Explain   bool // say why in X-Gatehouse-Reason, and from where in X-Gatehouse-Cache
	AccessLog bool
	Logger    *slog.Logger
}

// A Server is the data plane: all faces on all its listeners.
type Server struct {
	cfg     Config
	limits  Limits
	keyring *keyring
	http    *fasthttp.Server
	little  *fasthttp.Server // the same, for single requests that fit into littleBuffer
	strip   atomic.Pointer[strip]
	base    context.Context // of everything that waits for others
	end     context.CancelFunc

	silentApp, unjudged, unevaluated, untrusted, untold, large, unsecured throttle            // for one message each
	unsigned, unheeded                                                    throttle            // likewise, about those to hooks
	beyond                                                                [limitsEnd]throttle // likewise, by limit

	dates dates

	open    *connections
	tunnels *tunnels

	down      atomic.Bool // set before a listener is closed, so that whoever finds one closed gets no kept connection
	mu        sync.Mutex
	listeners []*listener
}

// Limits of the data plane that are nobody's to choose. They are the same for every face.
const (
	writeTimeout = 30 * time.Second
	idleTimeout  = 90 * time.Second // longer than the proxies in front keep theirs: nginx 60 s, AWS ALB 60 s
)

// NewServer returns a Server that serves nothing yet.
func NewServer(cfg Config) *Server {
	s := &Server{cfg: cfg, limits: cfg.Limits.withDefaults(), keyring: newKeyring(cfg.Services), open: newConnections()}
	s.SetPolicy(cfg.Gate.Policy())
	s.base, s.end = context.WithCancel(context.Background())
	s.tunnels = &tunnels{
		cfg: cfg.Tunnels, gate: cfg.Gate.forTunnels(), base: s.base, observer: cfg.Observer, logger: cfg.Logger,
		logEnds: cfg.AccessLog,
	}
	s.http, s.little = s.longWay(s.limits.Head), s.longWay(min(s.limits.Head, littleBuffer))
	return s
}

// littleBuffer is what most requests fit into. A buffer is held for as long as a request waits for somebody, and when many do, as after a
// restart, the memory for the largest head that is allowed would cost more time than all else about them.
const littleBuffer = 8 << 10

// longWay returns what serves requests that do not take the lane. Their heads, and what comes with them, are read into a buffer of so many bytes.
func (s *Server) longWay(buffer int) *fasthttp.Server {
	return &fasthttp.Server{
		Handler:                      s.handle,
		ExpectHandler:                s.expect,
		HeaderReceived:               s.headReceived,
		ErrorHandler:                 s.refuseBroken,
		Logger:                       silent{},
		SecureErrorLogMessage:        true,
		ReadBufferSize:               buffer,
		ReadTimeout:                  s.limits.HeadTimeout, // against heads that come byte by byte
		WriteTimeout:                 writeTimeout,
		IdleTimeout:                  idleTimeout,
		Concurrency:                  2 * s.limits.Connections, // never reached: connections count, and answer, before that
		StreamRequestBody:            true,
		MaxRequestBodySize:           1, // with streaming: how much is read before the handler runs
		DisablePreParseMultipartForm: true,
		NoDefaultServerHeader:        true,
		NoDefaultContentType:         true,
		NoDefaultDate:                true, // the application states its own; see ownAnswer
		KeepHijackedConns:            true, // until we close them
	}
}

// SetPolicy replaces the policy by which requests are judged and applications are told.
func (s *Server) SetPolicy(p *policy.Policy) {
	s.strip.Store(newStrip(p, s.keyring))
	s.cfg.Gate.SetPolicy(p)
}

// stripFor returns what is stripped from a request that was judged by p. That may not be the policy in force any more.
func (s *Server) stripFor(p *policy.Policy) *strip {
	if current := s.strip.Load(); current.policy == p {
		return current
	}
	return newStrip(p, s.keyring)
}

// Serve serves the connections that ln accepts until Shutdown is called, and then returns nil. It closes ln.
func (s *Server) Serve(ln net.Listener) error {
	l := newListener(ln, s)
	s.mu.Lock()
	s.listeners = append(s.listeners, l)
	s.mu.Unlock()
	if s.down.Load() {
		return l.Close()
	}
	for {
		c, err := l.Accept()
		if err != nil {
			_ = l.Close()
			if errors.Is(err, net.ErrClosed) || errors.Is(err, io.EOF) {
				return nil
			}
			return fmt.Errorf("accept connection: %w", err)
		}
		go c.serve()
	}
}

// Shutdown stops accepting, also for a Serve that is yet to come, ends all tunnels, and waits until all requests have ended. What is left
// when ctx ends is cut off, and the error is that of ctx.
func (s *Server) Shutdown(ctx context.Context) error {
	s.down.Store(true)
	s.mu.Lock()
	for _, l := range s.listeners {
		_ = l.Close()
	}
	s.mu.Unlock()
	s.tunnels.close()
	err := s.open.end(ctx)
	s.end()
	return err
}

// Connections returns how many client connections are open.
func (s *Server) Connections() int { return s.open.count() }

// Tunnels returns how many tunnels are open.
func (s *Server) Tunnels() int { return s.tunnels.count() }

// handle serves one request by the face that its path names.
func (s *Server) handle(ctx *fasthttp.RequestCtx) {
	r, judged := ctx.UserValue(judgedKey{}).(*request)
	begun := false
	if !judged {
		r = s.connOf(ctx).takeBegun()
		begun = r != nil
	}
	if r == nil {
		r = s.newRequest(ctx, ctx.Time())
	}
	if r.ctx = ctx; !begun {
		s.cfg.Observer.Began(r.face)
	}
	defer func() { r.finish(recover()) }()
	if r.panicked != nil {
		panic(r.panicked.failure)
	}
	if r.face != ProxyFace && r.face != SessionAPIFace {
		r.ownAnswer()
	}
	switch {
	case !knownVersion(r.head.protocol):
		r.refuse(malformed(policy.UnsupportedVersion))
	case r.beyondHead() != 0:
		r.refuse(beyond(r.beyondHead()))
	case r.face == ForwardAuthFace:
		r.forwardAuth()
	case r.face == WhoamiFace:
		r.whoami()
	case r.face == KeysFace:
		r.keys()
	case r.face == HooksFace:
		r.message()
	case r.face == SessionAPIFace:
		r.callAPI()
	default:
		r.proxy()
	}
}

// judgedKey is under which a request keeps what expect has found out about it.
type judgedKey struct{}

// expect judges a request that waits for 100 Continue before it sends its body, so that nobody is asked for a body who may not send one.
// It returns the status to answer with. headReceived leaves only requests to the faces to it that take a body.
func (s *Server) expect(ctx *fasthttp.RequestCtx) (status int) {
	r := s.newRequest(ctx, time.Now())
	defer func() {
		if failure := recover(); failure != nil || r.decision.Verdict != policy.Allowed {
			s.cfg.Observer.Began(r.face)
			r.finish(failure)
			status = ctx.Response.StatusCode()
		}
	}()
	if over := r.beyondHead(); over != 0 {
		r.decision = beyond(over)
	} else if r.face == HooksFace {
		r.decision = r.judgeMessage()
	} else if r.face == SessionAPIFace {
		r.decision = r.judgeCall()
	} else {
		r.decision = r.judge()
	}
	r.judgedAt(r.now())
	if r.decision.Verdict != policy.Allowed {
		r.refuse(r.decision)
		return 0 // set above
	}
	ctx.SetUserValue(judgedKey{}, r) // handle goes on from here
	return fasthttp.StatusContinue
}

// knownVersion reports whether a request is of a version of HTTP that is spoken here.
func knownVersion(protocol []byte) bool {
	return string(protocol) == "HTTP/1.1" || string(protocol) == "HTTP/1.0"
}

// readPath returns the canonical path of a request-target, and the face that it belongs to. The path is empty if there is none. No spelling
// of one of Gatehouse's own paths reaches the application, not even one that only some servers would read as such.
func (s *Server) readPath(raw, buf []byte) (path []byte, f forms, face Face) {
	if s.asksAsEnvoy(raw) {
		return nil, 0, ForwardAuthFace // what follows is another request's
	}
	path, f, err := canonicalPath(raw, buf)
	if err != nil {
		return nil, 0, ProxyFace
	}
	if f&encodedSlash != 0 {
		encoded, _, _ := bytes.Cut(raw, []byte("?"))
		if other, _, err := decodePath(encoded, nil, encodedSlash); err != nil || s.face(other) != ProxyFace {
			return nil, 0, ProxyFace
		}
	}
	return path, f, s.face(path)
}

// face returns the face that a canonical path belongs to.
func (s *Server) face(path []byte) Face {
	switch {
	case len(path) == 0:
		return ProxyFace // which refuses it
	case s.cfg.ForwardAuthPath != "" && isBelow(path, s.cfg.ForwardAuthPath):
		return ForwardAuthFace
	case string(path) == s.cfg.WhoamiPath, s.keyring.handedOut(path):
		return WhoamiFace
	case s.isHook(path):
		return HooksFace
	}
	if keys, _ := s.cfg.Gate.Policy().Keys(); string(path) == keys {
		return KeysFace
	}
	if s.isAPI(path) {
		return SessionAPIFace
	}
	return ProxyFace
}

// isBelow reports whether path is base, or below it.
func isBelow(path []byte, base string) bool {
	return len(path) >= len(base) && string(path[:len(base)]) == base && (len(path) == len(base) || path[len(base)] == '/')
}

// headReceived sees the head of a request before its body is waited for.
func (s *Server) headReceived(h *fasthttp.RequestHeader) fasthttp.RequestConfig {
	expectation := h.Peek(fasthttp.HeaderExpect)
	if len(expectation) == 0 && !hasRequestBody(h) {
		return fasthttp.RequestConfig{}
	}
	wanted := hasRequestBody(h) && s.takesBody(h)
	// Of the expectations, fasthttp knows this one in one spelling, and would answer HTTP/1.0 too (RFC 9110 section 10.1.1).
	waits := h.IsHTTP11() && bytes.EqualFold(expectation, []byte("100-continue"))
	h.Del(fasthttp.HeaderExpect)
	switch {
	case wanted && waits:
		h.Set(fasthttp.HeaderExpect, "100-continue")
	case !wanted && hasRequestBody(h):
		// fasthttp waits for the beginning of a body whose length it knows, which may never come. It does not wait for a chunked one.
		h.SetContentLength(chunkedBody)
	}
	return fasthttp.RequestConfig{}
}

// takesBody reports whether anybody will want the body of a request. Front proxies send the Content-Length of the request that they ask
// about without its body; a body that is too long is not begun; and who presents no credential where one is needed is not listened to for
// longer than that.
func (s *Server) takesBody(from *fasthttp.RequestHeader) bool {
	var h requestHead
	_ = h.read(from, s.keyring.tokenHeader()) // who presents what is known, however the head is framed
	raw := requestTarget(h.uri, h.host)
	path, f, face := s.readPath(raw, nil)
	if face == HooksFace {
		return s.takesMessage(&h)
	}
	if face == SessionAPIFace {
		if service := s.apiAt(h.host, path, h.method); service != nil {
			return service.API.takes(&h, path)
		}
		face = ProxyFace
	}
	if len(path) == 0 || face != ProxyFace || !policy.KnownMethod(h.method) {
		return false
	}
	host, ok := canonicalHost(h.host, nil)
	if !ok {
		return false
	}
	route := s.cfg.Gate.Policy().Route(host, path, h.method)
	if route != nil && route.MaxBody > 0 && int64(h.length) > route.MaxBody {
		return false
	}
	if route != nil {
		service := s.cfg.Gate.serviceOf(route)
		if service != nil && s.keyring.find(&h, &service.Credentials, raw, nil).Kind != upstream.NoCredential {
			return true // whose it is remains to be seen
		}
	}
	t := Target{Method: h.method, Host: host, Path: path, Raw: raw, forms: f, Destination: h.destination()}
	return s.cfg.Gate.Decide(s.base, t, nothing{}).Verdict == policy.Allowed
}

// refuseBroken answers what could not be read as a request. The connection is closed after it.
func (s *Server) refuseBroken(ctx *fasthttp.RequestCtx, err error) {
	r := requests.Get().(*request)
	r.Server, r.ctx, r.conn, r.began = s, ctx, s.connOf(ctx), time.Now()
	r.target.Raw = []byte{} // nothing can be said of what it asks for
	s.cfg.Observer.Began(r.face)
	defer func() { r.finish(recover()) }()
	r.conn.unread.Store(true)
	r.decision = malformed(policy.MalformedRequest)
	if _, ok := errors.AsType[*fasthttp.ErrSmallBuffer](err); ok {
		r.decision = beyond(HeadLimit)
	} else if errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, fasthttp.ErrTimeout) {
		r.decision = beyond(HeadTimeLimit)
	}
	r.ownAnswer()
	writeProblem(ctx, status(&r.decision))
	r.explain()
}

// silent is the logger of fasthttp, whose messages may quote requests, and so credentials. What an operator must know is logged by us.
type silent struct{}

func (silent) Printf(string, ...any) {}

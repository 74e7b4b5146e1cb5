package proxy

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
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
)

// Faces lists every Face, for those who keep a table by face.
var Faces = [...]Face{ProxyFace, ForwardAuthFace, WhoamiFace}

// String returns the face as logs and metrics spell it.
func (f Face) String() string {
	switch f {
	case ForwardAuthFace:
		return "forward_auth"
	case WhoamiFace:
		return "whoami"
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

	// AppAnswered is called once a request to the application. The status is 0 when there was no answer.
	AppAnswered(status int, took time.Duration)
}

// A Passthrough asks the session service a question that is not ours to answer from memory, and returns its answer as it came. Its
// errors are outages: definite answers are Replies.
type Passthrough interface {
	Forward(ctx context.Context, c upstream.Credential, query []byte) (upstream.Reply, error)
}

// Config is what a Server needs.
type Config struct {
	Gate        *Gate
	Sessions    Sessions
	Passthrough Passthrough
	Observer    Observer
	App         *App // nil if there is no application to proxy to
	Credentials Credentials
	Trusted     *Trusted

	ForwardAuthPath string // empty turns the face off, and so for whoami
	WhoamiPath      string

	Explain   bool // say why in X-Gatehouse-Reason, and from where in X-Gatehouse-Cache
	AccessLog bool
	Logger    *slog.Logger
	Tag       func(upstream.Credential) string // how logs name a credential
}

// A Server is the data plane: all faces on all its listeners.
type Server struct {
	cfg   Config
	http  fasthttp.Server
	strip atomic.Pointer[strip]
	base  context.Context // of everything that waits for others
	end   context.CancelFunc
	warn  throttle
}

// Limits of the data plane. They are the same for every face.
const (
	headBuffer   = 64 << 10         // the head of a request; Kratos cookies, OIDC cookies and long URLs fit
	headTimeout  = 10 * time.Second // for the head of a request, against clients that send it byte by byte
	writeTimeout = 30 * time.Second
	idleTimeout  = 90 * time.Second // longer than the proxies in front keep theirs: nginx 60 s, AWS ALB 60 s
	concurrency  = 100_000          // connections at once
)

// NewServer returns a Server that serves nothing yet.
func NewServer(cfg Config) *Server {
	s := &Server{cfg: cfg}
	s.SetPolicy(cfg.Gate.Policy())
	s.base, s.end = context.WithCancel(context.Background())
	s.http = fasthttp.Server{
		Handler:                      s.handle,
		ExpectHandler:                s.expect,
		HeaderReceived:               s.headReceived,
		ErrorHandler:                 refuseBroken,
		Logger:                       silent{},
		SecureErrorLogMessage:        true,
		ReadBufferSize:               headBuffer,
		ReadTimeout:                  headTimeout,
		WriteTimeout:                 writeTimeout,
		IdleTimeout:                  idleTimeout,
		Concurrency:                  concurrency,
		StreamRequestBody:            true,
		MaxRequestBodySize:           1, // with streaming: how much is read before the handler runs
		DisablePreParseMultipartForm: true,
		NoDefaultServerHeader:        true,
		NoDefaultContentType:         true,
		CloseOnShutdown:              true,
	}
	return s
}

// SetPolicy replaces the policy by which requests are judged and applications are told.
func (s *Server) SetPolicy(p *policy.Policy) {
	names := make([]string, 0, len(p.Headers())+1)
	for _, h := range p.Headers() {
		names = append(names, h.Name)
	}
	st := newStrip(append(names, s.cfg.Credentials.TokenHeader)...)
	s.strip.Store(&st)
	s.cfg.Gate.SetPolicy(p)
}

// Serve serves the connections that ln accepts until Shutdown is called, and then returns nil.
func (s *Server) Serve(ln net.Listener) error {
	return s.http.Serve(&listener{Listener: ln, trusted: s.cfg.Trusted})
}

// Shutdown stops accepting, and waits until all requests have ended or ctx has.
func (s *Server) Shutdown(ctx context.Context) error {
	err := s.http.ShutdownWithContext(ctx)
	s.end()
	return err
}

// Connections returns how many client connections are open.
func (s *Server) Connections() int { return int(s.http.GetOpenConnectionsCount()) }

// handle serves one request by the face that its path names.
func (s *Server) handle(ctx *fasthttp.RequestCtx) {
	r := s.newRequest(ctx)
	s.cfg.Observer.Began(r.face)
	defer func() { r.finish(recover()) }()
	switch r.face {
	case ForwardAuthFace:
		r.forwardAuth()
	case WhoamiFace:
		r.whoami()
	default:
		r.proxy()
	}
}

// expect judges a request that waits for 100 Continue before it sends its body, so that nobody is asked for a body who may not send one.
// It returns the status to answer with.
func (s *Server) expect(ctx *fasthttp.RequestCtx) (status int) {
	r := s.newRequest(ctx)
	defer func() {
		if failure := recover(); failure != nil || status != fasthttp.StatusContinue {
			s.cfg.Observer.Began(r.face)
			r.finish(failure)
			status = ctx.Response.StatusCode()
		}
	}()
	d := r.judge()
	if d.Verdict == policy.Allowed {
		r.conn.judged = &d // handle goes on from here
		scratches.Put(r.scratch)
		return fasthttp.StatusContinue
	}
	r.refuse(d)
	return 0
}

// face returns the face that a path belongs to. It is given in its canonical form, so that no spelling of one of Gatehouse's own paths
// reaches the application.
func (s *Server) face(path []byte) Face {
	switch {
	case len(path) == 0:
		return ProxyFace // which refuses it
	case string(path) == s.cfg.ForwardAuthPath:
		return ForwardAuthFace
	case string(path) == s.cfg.WhoamiPath:
		return WhoamiFace
	default:
		return ProxyFace
	}
}

// headReceived keeps the faces that take no body from reading one. Front proxies send the Content-Length of the request that they ask
// about without its body, for which the gateway would wait.
func (s *Server) headReceived(h *fasthttp.RequestHeader) fasthttp.RequestConfig {
	if length := h.ContentLength(); length == 0 || length == untilCloseBody {
		return fasthttp.RequestConfig{}
	}
	if path, err := canonicalPath(h.RequestURI(), nil); err == nil && s.face(path) != ProxyFace {
		h.Del(fasthttp.HeaderTransferEncoding)
		h.SetContentLength(0)
		h.Del(fasthttp.HeaderExpect)
		h.SetConnectionClose() // what follows may be the body after all: it must not be read as a request
	}
	return fasthttp.RequestConfig{}
}

// refuseBroken answers what could not be read as a request. The connection is closed after it.
func refuseBroken(ctx *fasthttp.RequestCtx, err error) {
	status := fasthttp.StatusBadRequest
	if _, ok := errors.AsType[*fasthttp.ErrSmallBuffer](err); ok {
		status = fasthttp.StatusRequestHeaderFieldsTooLarge
	} else if errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, fasthttp.ErrTimeout) {
		status = fasthttp.StatusRequestTimeout
	}
	ctx.Response.Reset()
	ctx.SetStatusCode(status)
	ctx.Response.Header.Set(fasthttp.HeaderCacheControl, "no-store")
	ctx.SetConnectionClose()
}

// silent is the logger of fasthttp, whose messages may quote requests, and so credentials. What an operator must know is logged by us.
type silent struct{}

func (silent) Printf(string, ...any) {}

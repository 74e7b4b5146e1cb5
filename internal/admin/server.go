package admin

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/gatehouse-proxy/gatehouse/upstream"
)

// A Revoker is what remembers sessions. Its methods return when what they revoke is no longer served.
type Revoker interface {
	RevokeSession(id string)
	RevokeIdentity(id string)
	RevokeCredential(c upstream.Credential)
	Flush()
}

// Config is what a Server needs. All of it is required but Checks. The functions must be safe for concurrent use.
type Config struct {
	Gatherer  prometheus.Gatherer
	Ready     func() error // nil if requests are to be sent here, else why not
	Checks    []Check      // what /readyz?verbose tells besides
	Upstreams []Upstream   // at least one

	Revoked    func()                   // called after each revocation
	Reload     func() ([]string, error) // reads the configuration again and names what of it needs a restart; if it fails, the old one remains
	ConfigYAML func(io.Writer) error    // writes the configuration in force, without secrets
	Logger     *slog.Logger
}

// An Upstream is one session service, and what is remembered of its sessions.
type Upstream struct {
	Name     string // empty if it is the only one
	Sessions Revoker

	// Credentials returns what a value is when requests present it: a credential of the kind given or, for NoCredential, one of each kind
	// that is looked at. It returns none if the kind is not looked at.
	Credentials func(kind upstream.Kind, value []byte) []upstream.Credential

	// Remembered returns what is remembered of sessions for which want reports true, at most limit, and whether there is more.
	Remembered func(limit int, want func(*upstream.Session) bool) (list []Remembered, more bool)
}

// upstreams returns the session services of a name, or all if it is empty.
func (s *Server) upstreams(name string) ([]Upstream, error) {
	if name == "" {
		return s.cfg.Upstreams, nil
	}
	for _, u := range s.cfg.Upstreams {
		if u.Name == name {
			return []Upstream{u}, nil
		}
	}
	return nil, errors.New("upstream must be the name of one of upstreams in the configuration")
}

// A Check is something worth knowing that does not decide whether Gatehouse is ready.
type Check struct {
	Name string
	Run  func(context.Context) error // nil if all is well; its error must hold nothing secret
}

// Limits of the listener.
const (
	headTimeout  = 10 * time.Second // for the head of a request
	bodyTimeout  = 10 * time.Second // for its body
	timeout      = 30 * time.Second // for everything after the head, profiles aside: these take as long as they were asked to
	idleTimeout  = 2 * time.Minute  // longer than the usual pause between two scrapes
	checkTimeout = 5 * time.Second  // for all checks together
	maxHead      = 64 << 10
	maxBody      = 64 << 10
)

const profiles = "/debug/pprof/"

// A Server serves the admin listener.
type Server struct {
	cfg  Config
	http http.Server
}

// New returns a Server that serves nothing yet.
func New(cfg Config) *Server {
	s := &Server{cfg: cfg}
	base, end := context.WithCancel(context.Background())
	s.http = http.Server{
		Handler:           s.guarded(s.routes()),
		ReadHeaderTimeout: headTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHead,
		ErrorLog:          slog.NewLogLogger(cfg.Logger.Handler(), slog.LevelWarn),
		BaseContext:       func(net.Listener) context.Context { return base },
	}
	s.http.RegisterOnShutdown(end) // a profile of some minutes is not waited for
	return s
}

// Handler returns the whole of the listener as one handler.
func (s *Server) Handler() http.Handler { return s.http.Handler }

// Serve serves the connections that ln accepts until Shutdown is called, and then returns nil. It closes ln.
func (s *Server) Serve(ln net.Listener) error {
	if err := s.http.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// Shutdown stops accepting, ends what goes on for long, and waits until the rest has ended. When ctx ends first, it cuts off what is
// left and returns the error of ctx.
func (s *Server) Shutdown(ctx context.Context) error {
	err := s.http.Shutdown(ctx)
	if err != nil {
		_ = s.http.Close()
	}
	return err
}

func (s *Server) routes() *http.ServeMux {
	mux := http.NewServeMux() // answers 404 and 405 by itself
	mux.Handle("GET /metrics", promhttp.HandlerFor(s.cfg.Gatherer, promhttp.HandlerOpts{
		EnableOpenMetrics: true,
		ErrorHandling:     promhttp.ContinueOnError, // one collector that fails must not hide the others
		ErrorLog:          slog.NewLogLogger(s.cfg.Logger.Handler(), slog.LevelError),
	}))
	for _, path := range []string{"/livez", "/healthz", "/health/alive", "/-/healthy"} {
		mux.HandleFunc("GET "+path, alive)
	}
	for _, path := range []string{"/readyz", "/health/ready", "/-/ready"} {
		mux.HandleFunc("GET "+path, s.ready)
	}
	mux.HandleFunc("GET /-/sessions", s.list)
	mux.HandleFunc("POST /-/revoke", s.revoke)
	mux.HandleFunc("POST /-/flush", s.flush)
	mux.HandleFunc("POST /-/reload", s.reload)
	mux.HandleFunc("GET /config", s.config)
	mux.HandleFunc("GET "+profiles, pprof.Index)
	mux.HandleFunc("GET "+profiles+"cmdline", pprof.Cmdline)
	mux.HandleFunc("GET "+profiles+"profile", pprof.Profile)
	mux.HandleFunc("GET "+profiles+"symbol", pprof.Symbol)
	mux.HandleFunc("GET "+profiles+"trace", pprof.Trace)
	mux.HandleFunc("GET /{$}", index)
	return mux
}

// guarded refuses what browsers do on behalf of strangers, and bounds the time of everything else.
func (s *Server) guarded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		var body, all time.Time
		if !strings.HasPrefix(r.URL.Path, profiles) {
			body, all = time.Now().Add(bodyTimeout), time.Now().Add(timeout)
		}
		// The server sets no deadlines of its own after the head, and what is set here for one request would hold for the next one too.
		// They fail for writers that have no connection, as in tests, and for connections that are gone.
		control := http.NewResponseController(w)
		_ = control.SetReadDeadline(body)
		_ = control.SetWriteDeadline(all)

		changes := r.Method != http.MethodGet && r.Method != http.MethodHead
		switch {
		case throughLoopback(r) && !ownHost(r.Host):
			http.Error(w, "the host must be an IP address or localhost", http.StatusForbidden)
		case changes && fromPage(r):
			http.Error(w, "pages in browsers may not do this", http.StatusForbidden)
		case changes && r.URL.RawQuery != "":
			http.Error(w, "nothing is read from the query, which ends up in logs: put it into the body", http.StatusBadRequest)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

func (s *Server) reload(w http.ResponseWriter, _ *http.Request) {
	restart, err := s.cfg.Reload()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	writeJSON(w, struct {
		Reloaded   bool     `json:"reloaded"`
		RestartFor []string `json:"restart_for,omitempty"`
	}{true, restart})
}

func (s *Server) config(w http.ResponseWriter, _ *http.Request) {
	var text strings.Builder // first whole, so that an error is one
	if err := s.cfg.ConfigYAML(&text); err != nil {
		http.Error(w, "write configuration: "+err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/yaml")
	_, _ = io.WriteString(w, text.String())
}

func index(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = io.WriteString(w, `Gatehouse

GET  /metrics
GET  /livez          also /healthz, /health/alive, /-/healthy
GET  /readyz         also /health/ready, /-/ready; ?verbose for details
GET  /-/sessions     with perhaps upstream=NAME, session_id=ID, identity_id=ID and limit=N
POST /-/revoke       session_id=ID, identity_id=ID, or credential=VALUE with perhaps kind=session_token, session_cookie, cookie, query or
                     bearer; of all upstreams, or with upstream=NAME of that one
POST /-/flush
POST /-/reload
GET  /config
GET  /debug/pprof/
`)
}

package embedded

import (
	"cmp"
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gatehouse-proxy/gatehouse/internal/pipe"
	"github.com/gatehouse-proxy/gatehouse/internal/whoami"
)

const (
	// maxRecords bounds the sessions, and the identities, that a service holds.
	maxRecords = 1_000_000
	// maxLifespan bounds every lifespan, so that no expiry is beyond what the formats in use can hold.
	maxLifespan = 10 * 365 * 24 * time.Hour
	// sweepEvery is the shortest time between two searches for sessions to drop: each looks at all sessions.
	sweepEvery = time.Minute
	keyLength  = 32

	// What a session says of its identity and of its devices, and what whoami says of the identity, in bytes of JSON. Together they keep a
	// whoami body below 64 KiB, which is as much as the gateway takes.
	maxIdentity, maxDevices, maxStatement = 32 << 10, 16 << 10, 60 << 10
)

// Config says how a [Service] is set up. The zero Config is a service in memory.
type Config struct {
	Path     string         // of the bbolt file; empty means memory only
	Dialect  whoami.Dialect // of the service that is stood in for; default Kratos
	Cookie   string         // name of the session cookie; default that of the dialect, such as ory_kratos_session
	Lifespan time.Duration  // of a new or extended session, at most ten years; default 24h
	BaseURL  string         // of the public API, for the URLs in answers; default http://127.0.0.1:4433

	// Revoked, unless nil, is told of every session that has ended through an API call, be it that its identity was deactivated: after
	// the end is durable and before the call is answered, so that a cache in the same process can forget the session at once. Calls do
	// not overlap. It may ask the service, but must not change or close it.
	Revoked func(sessionID, identityID string)
}

// A Service is a running session service. It is safe for concurrent use, and must be closed.
type Service struct {
	cfg        Config
	key        []byte                   // signs cookies and makes logout tokens
	signingKey func() *ecdsa.PrivateKey // of tokens
	file       *file                    // nil if there is none
	limit      int                      // maxRecords, except in tests
	public     http.Handler
	admin      http.Handler

	// changing is held for one change, from the look at the state until Revoked has returned: so nobody is told that a session has
	// ended before Revoked was. Who holds it may read state without mu.
	changing sync.Mutex
	swept    time.Time // guarded by changing

	mu    sync.RWMutex // guards state, and is never held while the disk or Revoked is waited for
	state state

	closed  atomic.Bool
	close   func() error
	server  http.Server // of the connections that Dial makes
	pipe    *pipe.Listener
	running sync.WaitGroup
}

// Open starts a service. The errors that it returns say what to change: a setting, or the file.
func Open(cfg Config) (*Service, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("open session service: %w", err)
	}
	s := &Service{cfg: cfg, key: make([]byte, keyLength), limit: maxRecords, pipe: pipe.New()}
	rand.Read(s.key)
	saved := edit{}
	if cfg.Path != "" {
		if s.file, s.key, saved, err = openFile(cfg.Path, s.key); err != nil {
			return nil, fmt.Errorf("open session file %s: %w", cfg.Path, err)
		}
	}
	s.signingKey = sync.OnceValue(s.newSigningKey)
	s.state.apply(saved)
	d, _ := dialectOf(cfg.Dialect)
	s.public, s.admin = s.told(s.guarded(s.publicAPI(d.api(s)))), ownHostOnly(s.guarded(s.adminAPI()))
	s.close = sync.OnceValue(s.shutdown)
	s.serve()
	return s, nil
}

func (cfg Config) withDefaults() (Config, error) {
	cfg.Dialect = cmp.Or(cfg.Dialect, whoami.Kratos)
	d, ok := dialectOf(cfg.Dialect)
	if !ok {
		return cfg, fmt.Errorf("dialect %q: want kratos, wacht, crossid or better_auth", cfg.Dialect)
	}
	cfg.Cookie = cmp.Or(cfg.Cookie, d.cookie)
	cfg.Lifespan = cmp.Or(cfg.Lifespan, 24*time.Hour)
	cfg.BaseURL = strings.TrimRight(cmp.Or(cfg.BaseURL, "http://127.0.0.1:4433"), "/")
	if err := (&http.Cookie{Name: cfg.Cookie}).Valid(); err != nil {
		return cfg, fmt.Errorf("cookie name %q: want letters, digits, - and _", cfg.Cookie)
	}
	if cfg.Lifespan < 0 || cfg.Lifespan > maxLifespan {
		return cfg, fmt.Errorf("lifespan %s: want more than nothing and at most ten years", cfg.Lifespan)
	}
	u, err := url.Parse(cfg.BaseURL)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
		return cfg, fmt.Errorf("base URL %q: want http:// or https://, a host, and perhaps a path", cfg.BaseURL)
	}
	return cfg, nil
}

// Public returns the public API of the dialect, as far as it is about sessions.
func (s *Service) Public() http.Handler { return s.public }

// Admin returns Kratos' admin API, as far as it is about sessions, and POST /admin/sessions, which is [Service.Create]. It asks nobody
// for a credential: whoever reaches it can be anybody.
func (s *Service) Admin() http.Handler { return s.admin }

// Dial returns a connection to [Service.Public] that is in memory, so that a client in the same process needs no port. It fits
// http.Transport.DialContext; network and addr are not looked at. It works in a testing/synctest bubble.
func (s *Service) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	c, err := s.pipe.Dial(ctx, network, addr)
	if err != nil {
		return nil, fmt.Errorf("dial session service: %w", err)
	}
	return c, nil
}

func (s *Service) serve() {
	s.server = http.Server{Handler: s.public, ConnState: func(_ net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			s.running.Add(1)
		case http.StateClosed:
			s.running.Done()
		}
	}}
	s.running.Go(func() { _ = s.server.Serve(s.pipe) })
}

// Close ends the connections that Dial made, waits for the change that is under way, and closes the file. No goroutine is left.
// Closing again does nothing and returns the same error.
func (s *Service) Close() error { return s.close() }

func (s *Service) shutdown() error {
	s.closed.Store(true)
	_ = s.pipe.Close()
	_ = s.server.Close()
	s.running.Wait()
	s.changing.Lock()
	defer s.changing.Unlock()
	return s.file.close()
}

var errClosed = complain(http.StatusServiceUnavailable, "the session service is closed")

// change makes one change to the state, the file first. Plan reads s.state and says in its edit what shall be different; if it fails,
// or if the file cannot be written, nothing is.
func (s *Service) change(plan func(edit) error) error {
	s.changing.Lock()
	defer s.changing.Unlock()
	if s.closed.Load() {
		return errClosed
	}
	e := edit{sessions: map[string]*session{}, identities: map[string]*identity{}}
	if err := plan(e); err != nil {
		return err
	}
	if err := s.file.write(e); err != nil {
		return fmt.Errorf("write session file: %w", err)
	}
	at := now()
	lived := s.state.liveAmong(e, at)
	s.mu.Lock()
	s.state.apply(e)
	s.mu.Unlock()
	if s.cfg.Revoked == nil {
		return nil
	}
	for _, x := range lived {
		if !s.state.live(s.state.sessions[x.ID], at) {
			s.cfg.Revoked(x.ID, x.IdentityID)
		}
	}
	return nil
}

// now is the wall clock in UTC: a monotonic reading would stand still while a laptop sleeps, and is lost in the file anyway.
func now() time.Time { return time.Now().UTC().Round(0) }

package sessionapi

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/gatehouse-proxy/gatehouse/upstream"
)

// A Cache says whose session a credential stands for, and forgets what has ended. What it revokes is not served to anybody who asks after that.
type Cache interface {
	Lookup(ctx context.Context, c upstream.Credential, within time.Duration) (upstream.Answer, error)
	RevokeCredential(c upstream.Credential)
	RevokeSession(id string)
	RevokeIdentity(id string)
	Flush()
}

// Config is what an API needs.
type Config struct {
	Table       Table
	Cache       Cache
	TokenHeader string // that the service takes session tokens in; empty if it takes none
	Cookie      string // likewise, of its session cookie
	Bearer      bool   // whether it takes bearer tokens
	Revoked     func() // called for each call by which something was forgotten
	Logger      *slog.Logger
}

// An API knows the calls to one session service. It is safe for concurrent use.
type API struct {
	cfg     Config
	flushed atomic.Int64 // when a call could last have everything forgotten, in nanoseconds since 1970
}

// New returns the API that cfg describes.
func New(cfg Config) *API { return &API{cfg: cfg} }

// Has reports whether a canonical path is one of the API. It does not allocate.
func (a *API) Has(path []byte) bool { return a.cfg.Table.Has(path) }

// Traits reports whether a call may change anything, so that it must not be sent twice, and whether its body says what, so that [API.Begin]
// wants it.
func (a *API) Traits(method, path []byte) (changes, bodied bool) {
	c := a.cfg.Table.find(method, path)
	return c.effect != nothing, c.effect == byToken
}

// A Call is one call to the API. It borrows the memory of its request.
type Call struct {
	Method, Path []byte                // the path is canonical
	Body         []byte                // only if it is wanted
	Presented    []upstream.Credential // all credentials that the request has, of every kind
	From         netip.Addr            // as in [upstream.Credential]
}

// Begin finds out before a call is passed on whom it concerns, since nobody could say later. The error is one of [upstream.Store], and not a
// definite one: then the call must not be passed on. Otherwise the ending must be told what came of the call, unless nothing of it was sent.
func (a *API) Begin(ctx context.Context, call Call) (*Ending, error) {
	c := a.cfg.Table.find(call.Method, call.Path)
	e := &Ending{api: a, call: c}
	if c.effect == nothing {
		return e, nil
	}
	if c.effect == byID {
		e.sessions = namedBy(call.Path)
		return e, nil
	}
	for _, cred := range call.Presented {
		if _, err := e.add(ctx, cred); err != nil {
			return nil, err
		}
	}
	if c.effect == byToken {
		if err := e.addTokens(ctx, &call); err != nil {
			return nil, err
		}
	}
	if c.effect == byPeer && len(e.identities) == 0 && len(e.refused) > 0 && !a.turn() {
		return nil, errNoTurn
	}
	return e, nil
}

// errNoTurn is for who has a session that the service does not vouch for, so that it cannot be known whose other sessions a call ends.
var errNoTurn = errors.New("everything would have to be forgotten for the sake of one call, which is done once a second at most")

// turn reports whether everything may be forgotten for the sake of somebody whom the service has not vouched for: not more often than
// once a second, or such a person could keep anything from being remembered.
func (a *API) turn() bool {
	now, last := time.Now().UnixNano(), a.flushed.Load()
	return now-last >= int64(time.Second) && a.flushed.CompareAndSwap(last, now)
}

// standingFor returns the credentials by which a session token may be presented.
func (a *API) standingFor(token string, from netip.Addr) (all []upstream.Credential) {
	one := upstream.Credential{Value: []byte(token), From: from}
	if one.Kind, one.Name = upstream.SessionToken, a.cfg.TokenHeader; one.Name != "" {
		all = append(all, one)
	}
	if one.Kind, one.Name = upstream.Bearer, ""; a.cfg.Bearer {
		all = append(all, one)
	}
	if one.Kind, one.Name = upstream.Cookie, a.cfg.Cookie; one.Name != "" && a.cfg.TokenHeader == "" {
		all = append(all, one)
	}
	return all
}

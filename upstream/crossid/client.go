package crossid

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/tidwall/gjson"

	"github.com/gatehouse-proxy/gatehouse/upstream"
	"github.com/gatehouse-proxy/gatehouse/upstream/httpclient"
)

const whoami = "/api/v1/auth/sessions/whoami"

// A Config says where the service is and how to reach it.
type Config struct {
	HTTP   httpclient.Config
	Cookie string // name of the session cookie; empty if cookies are not used
}

// A Client is an [upstream.Store] that asks Crossid. It is safe for concurrent use.
type Client struct {
	http   *httpclient.Client
	names  httpclient.Names
	whoami *url.URL
}

var _ upstream.Store = (*Client)(nil)

// New returns a Client for the service that cfg describes. It opens no connection. The caller closes it.
func New(cfg Config) (*Client, error) {
	if cfg.Cookie != "" && !httpclient.IsToken(cfg.Cookie) {
		return nil, fmt.Errorf("use crossid: cookie must be the name of a cookie, and not %q", cfg.Cookie)
	}
	c, err := httpclient.New(cfg.HTTP)
	if err != nil {
		return nil, fmt.Errorf("use crossid: %w", err)
	}
	return &Client{http: c, names: httpclient.Names{Cookie: cfg.Cookie, Bearer: true}, whoami: c.URL(whoami)}, nil
}

// Session asks whose session cred stands for. A credential of a kind that Crossid does not know, or one that cannot stand in a header as
// it is, is [upstream.ErrNoSession] without asking.
func (c *Client) Session(ctx context.Context, cred upstream.Credential) (upstream.Answer, error) {
	p, ok := c.names.Prove(cred)
	if !ok {
		return upstream.Answer{}, httpclient.ErrUnfit
	}
	r, err := c.http.Ask(ctx, httpclient.Question{URL: c.whoami, Proof: p})
	if err != nil {
		return upstream.Answer{}, err
	}
	s, err := session(&r)
	if err != nil {
		return upstream.Answer{}, err
	}
	return upstream.Answer{Session: s, BelieveFor: upstream.Unlimited, Renewed: r.Renewed(p)}, nil
}

// Close closes the connections that are idle. Questions in flight end by themselves.
func (c *Client) Close() { c.http.Close() }

// session judges a reply. Its errors are definite where the service was, and outages otherwise.
func session(r *httpclient.Reply) (*upstream.Session, error) {
	switch r.Status {
	case http.StatusOK:
		s, err := parse(r)
		if err != nil {
			return nil, fmt.Errorf("ask session service: status 200: %w", err)
		}
		return s, nil
	case http.StatusUnauthorized:
		if !r.IsPage() {
			return nil, fmt.Errorf("ask session service: %w", upstream.ErrNoSession)
		}
	}
	return nil, r.Outage(whoami)
}

func parse(r *httpclient.Reply) (*upstream.Session, error) {
	if r.BodyErr != nil {
		return nil, r.BodyErr
	}
	if !r.IsJSON() {
		return nil, errors.New("body is not JSON: the url must lead to the tenant of Crossid")
	}
	id, identityID, active := r.Get("id"), r.Get("identityId"), r.Get("active")
	switch {
	case id.Type != gjson.String || id.Str == "" || identityID.Type != gjson.String || identityID.Str == "":
		return nil, errors.New("body names no session and identity: the url must lead to the tenant of Crossid")
	case active.Type == gjson.False:
		return nil, fmt.Errorf("session is not active: %w", upstream.ErrNoSession)
	case active.Type != gjson.True:
		return nil, errors.New("body does not say whether the session is active")
	}
	expiresAt, err := r.Time("expiresAt")
	if err != nil {
		return nil, err
	}
	authenticatedAt, err := r.Time("authAt")
	if err != nil {
		return nil, err
	}
	return &upstream.Session{
		ID: id.Str, IdentityID: identityID.Str, AAL: upstream.AAL1, AuthenticatedAt: authenticatedAt, ExpiresAt: expiresAt, Body: r.Body,
	}, nil
}

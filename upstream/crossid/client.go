package crossid

import (
	"context"
	"fmt"
	"net/url"

	"github.com/gatehouse-proxy/gatehouse/upstream"
	"github.com/gatehouse-proxy/gatehouse/upstream/httpclient"
)

const whoami = "/api/v1/auth/sessions/whoami"

var statement = httpclient.Statement{
	ID: "id", IdentityID: "identityId", Active: "active", AuthenticatedAt: "authAt", ExpiresAt: "expiresAt", Place: "the tenant of Crossid",
}

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
	s, err := statement.Judge(&r, whoami, nil)
	if err != nil {
		return upstream.Answer{}, err
	}
	s.AAL = upstream.AAL1
	return upstream.Answer{Session: s, BelieveFor: upstream.Unlimited, Renewed: r.Renewed(p)}, nil
}

// Close closes the connections that are idle. Questions in flight end by themselves.
func (c *Client) Close() { c.http.Close() }

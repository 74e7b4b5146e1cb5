package kratos

import (
	"context"
	"fmt"
	"net/http"
	"net/url"

	"github.com/gatehouse-proxy/gatehouse/upstream"
	"github.com/gatehouse-proxy/gatehouse/upstream/httpclient"
)

// A Config says where the service is and how to reach it.
type Config struct {
	HTTP httpclient.Config // its URL is the base of the public API, so that the question goes to <path>/sessions/whoami

	// Cookie is the name of the session cookie, for credentials that do not name theirs; or the beginning of one and '*', and then a
	// credential that does not is nobody's.
	Cookie string
}

// A Client is an [upstream.Store] that asks Kratos. It is safe for concurrent use.
type Client struct {
	http   *httpclient.Client
	names  httpclient.Names
	whoami *url.URL
	ready  *url.URL
}

var _ upstream.Store = (*Client)(nil)

// New returns a Client for the service that cfg describes. It opens no connection. The caller closes it.
func New(cfg Config) (*Client, error) {
	if !httpclient.IsToken(cfg.Cookie) {
		return nil, fmt.Errorf("use kratos: cookie must be the name of a cookie, such as ory_kratos_session, and not %q", cfg.Cookie)
	}
	c, err := httpclient.New(cfg.HTTP)
	if err != nil {
		return nil, fmt.Errorf("use kratos: %w", err)
	}
	return &Client{
		http:   c,
		names:  httpclient.Names{TokenHeader: "X-Session-Token", Cookie: cfg.Cookie, Bearer: true},
		whoami: c.URL("sessions/whoami"),
		ready:  c.URL("health/ready"),
	}, nil
}

// Session asks whose session cred stands for. A credential of no known kind, or one that cannot stand in a header as it is, is
// [upstream.ErrNoSession] without asking.
func (c *Client) Session(ctx context.Context, cred upstream.Credential) (upstream.Answer, error) {
	p, ok := c.names.Prove(cred)
	if !ok {
		return upstream.Answer{}, httpclient.ErrUnfit
	}
	r, err := c.ask(ctx, c.whoami, p)
	if err != nil {
		return upstream.Answer{}, err
	}
	s, err := r.session()
	if err != nil {
		return upstream.Answer{}, err
	}
	return upstream.Answer{Session: s, BelieveFor: r.believeFor(), Renewed: r.Renewed(p)}, nil
}

// Ready asks whether the service is ready, which is when it reaches its database. It returns nil if it is. The question takes part in
// [httpclient.Config.MaxConns].
func (c *Client) Ready(ctx context.Context) error {
	r, err := c.ask(ctx, c.ready, httpclient.Proof{})
	if err != nil {
		return err
	}
	if r.Status != http.StatusOK {
		return fmt.Errorf("ask session service whether it is ready: status %d: look at its log and at its database", r.Status)
	}
	return nil
}

// Close closes the connections that are idle. Questions in flight end by themselves.
func (c *Client) Close() { c.http.Close() }

// ask sends one GET with one proof.
func (c *Client) ask(ctx context.Context, u *url.URL, p httpclient.Proof) (reply, error) {
	r, err := c.http.Ask(ctx, httpclient.Question{URL: u, Proof: p})
	return reply{r}, err
}

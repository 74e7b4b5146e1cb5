package betterauth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/gatehouse-proxy/gatehouse/upstream"
	"github.com/gatehouse-proxy/gatehouse/upstream/httpclient"
)

const (
	defaultPath = "/api/auth" // where Better Auth is mounted unless it is told otherwise
	whoami      = "/get-session"
)

var statement = httpclient.Statement{
	ID: "session.id", IdentityID: "session.userId", AuthenticatedAt: "session.createdAt", ExpiresAt: "session.expiresAt",
	Place: "the API of Better Auth, by default /api/auth",
}

// A Config says where the service is and how to reach it.
type Config struct {
	// HTTP.URL is the base of the service. Without a path, /api/auth is meant.
	HTTP httpclient.Config

	// Cookie is the name of the session cookie, as browsers send it: better-auth.session_token, with __Secure- before it where the service
	// is used over HTTPS.
	Cookie string
}

// A Client is an [upstream.Store] that asks Better Auth. It is safe for concurrent use.
type Client struct {
	http    *httpclient.Client
	names   httpclient.Names
	session *url.URL
	ready   *url.URL
}

var _ upstream.Store = (*Client)(nil)

// New returns a Client for the service that cfg describes. It opens no connection. The caller closes it.
func New(cfg Config) (*Client, error) {
	if !httpclient.IsToken(cfg.Cookie) {
		return nil, fmt.Errorf("use better auth: cookie must be the name of a cookie, such as better-auth.session_token, and not %q", cfg.Cookie)
	}
	if u := cfg.HTTP.URL; u != nil && (u.Path == "" || u.Path == "/") {
		base := *u
		base.Path = defaultPath
		cfg.HTTP.URL = &base
	}
	c, err := httpclient.New(cfg.HTTP)
	if err != nil {
		return nil, fmt.Errorf("use better auth: %w", err)
	}
	session := c.URL(whoami)
	session.RawQuery = "disableCookieCache=true"
	return &Client{
		http: c, names: httpclient.Names{Cookie: cfg.Cookie, Bearer: true}, session: session, ready: c.URL("ok"),
	}, nil
}

// Session asks whose session cred stands for. A credential of a kind that the service does not know, or one that cannot stand in a
// header as it is, is [upstream.ErrNoSession] without asking.
func (c *Client) Session(ctx context.Context, cred upstream.Credential) (upstream.Answer, error) {
	p, ok := c.names.Prove(cred)
	if !ok {
		return upstream.Answer{}, httpclient.ErrUnfit
	}
	r, err := c.http.Ask(ctx, httpclient.Question{URL: c.session, Proof: p})
	if err != nil {
		return upstream.Answer{}, err
	}
	s, err := statement.Judge(&r, whoami, prior)
	if err != nil {
		return upstream.Answer{}, err
	}
	s.AAL = upstream.AAL1
	return upstream.Answer{Session: s, BelieveFor: upstream.Unlimited, Renewed: renewed(&r, p)}, nil
}

// Ready asks whether the service answers at all. It does not say whether it reaches its database.
func (c *Client) Ready(ctx context.Context) error {
	r, err := c.http.Ask(ctx, httpclient.Question{URL: c.ready})
	if err != nil {
		return err
	}
	if r.Status != http.StatusOK {
		return fmt.Errorf("ask session service whether it is ready: status %d: look at its log", r.Status)
	}
	return nil
}

// Close closes the connections that are idle. Questions in flight end by themselves.
func (c *Client) Close() { c.http.Close() }

// prior tells the null that is nobody's, and the session of one user beside another.
func prior(r *httpclient.Reply) error {
	if body := gjson.ParseBytes(r.Body); body.Type == gjson.Null {
		return fmt.Errorf("session is null: %w", upstream.ErrNoSession)
	}
	if user := r.Get("user.id"); user.Exists() && user.Str != r.Get("session.userId").Str {
		return errors.New("session and user do not belong together")
	}
	return nil
}

// renewed returns the Set-Cookie lines that renew the session cookie, and the copy of the session beside it.
func renewed(r *httpclient.Reply, p httpclient.Proof) []upstream.Field {
	lines := r.Renewed(p)
	if prefix, ok := strings.CutSuffix(p.Cookie, "session_token"); ok {
		p.Cookie = prefix + "session_data"
		lines = append(lines, r.Renewed(p)...)
	}
	return lines
}

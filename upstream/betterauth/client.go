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
	s, err := session(&r)
	if err != nil {
		return upstream.Answer{}, err
	}
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
		return nil, errors.New("body is not JSON: the url must lead to the API of Better Auth, by default /api/auth")
	}
	if body := gjson.ParseBytes(r.Body); body.Type == gjson.Null {
		return nil, fmt.Errorf("session is null: %w", upstream.ErrNoSession)
	}
	id, userID := r.Get("session.id"), r.Get("session.userId")
	if id.Type != gjson.String || id.Str == "" || userID.Type != gjson.String || userID.Str == "" {
		return nil, errors.New("body names no session and user: the url must lead to the API of Better Auth, by default /api/auth")
	}
	if user := r.Get("user.id"); user.Exists() && user.Str != userID.Str {
		return nil, errors.New("session and user do not belong together")
	}
	expiresAt, err := r.Time("session.expiresAt")
	if err != nil {
		return nil, err
	}
	authenticatedAt, err := r.Time("session.createdAt")
	if err != nil {
		return nil, err
	}
	return &upstream.Session{
		ID: id.Str, IdentityID: userID.Str, AAL: upstream.AAL1, AuthenticatedAt: authenticatedAt, ExpiresAt: expiresAt, Body: r.Body,
	}, nil
}

// renewed returns the Set-Cookie lines that renew the session cookie, and the copy of the session beside it.
func renewed(r *httpclient.Reply, p httpclient.Proof) []string {
	lines := r.Renewed(p)
	if prefix, ok := strings.CutSuffix(p.Cookie, "session_token"); ok {
		p.Cookie = prefix + "session_data"
		lines = append(lines, r.Renewed(p)...)
	}
	return lines
}

package wacht

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/gatehouse-proxy/gatehouse/upstream"
	"github.com/gatehouse-proxy/gatehouse/upstream/httpclient"
)

const (
	whoami = "/session"

	// DevelopmentHeader is the header by which a development deployment renews its token, and by which a client may present it.
	DevelopmentHeader = "X-Development-Session"

	// DevelopmentQuery is the parameter of a question in which a development deployment takes its token.
	DevelopmentQuery = "__dev_session__"
)

var statement = httpclient.Statement{
	ID: "data.id", IdentityID: "data.active_signin.user_id", AuthenticatedAt: "data.active_signin.created_at",
	ExpiresAt: "data.active_signin.expires_at", Place: "the Frontend API of the deployment",
}

// A Config says where the deployment is and how to reach it.
type Config struct {
	HTTP httpclient.Config

	// Cookie is the name of the session cookie, for credentials that do not name theirs. Wacht calls it __session.
	Cookie string

	// Development says that it is a deployment for development, which takes session tokens beside cookies.
	Development bool
}

// A Client is an [upstream.Store] that asks Wacht. It is safe for concurrent use.
type Client struct {
	http    *httpclient.Client
	names   httpclient.Names
	session *url.URL
	token   *url.URL
}

var _ upstream.Store = (*Client)(nil)

// New returns a Client for the deployment that cfg describes. It opens no connection. The caller closes it.
func New(cfg Config) (*Client, error) {
	if !httpclient.IsToken(cfg.Cookie) {
		return nil, fmt.Errorf("use wacht: cookie must be the name of a cookie, such as __session, and not %q", cfg.Cookie)
	}
	c, err := httpclient.New(cfg.HTTP)
	if err != nil {
		return nil, fmt.Errorf("use wacht: %w", err)
	}
	names := httpclient.Names{Cookie: cfg.Cookie}
	if cfg.Development {
		names.TokenHeader = DevelopmentHeader
	}
	return &Client{http: c, names: names, session: c.URL(whoami), token: c.URL(tokenPath)}, nil
}

// Session asks whose session cred stands for. A credential of a kind that the deployment does not know, or one that cannot stand in a
// request as it is, is [upstream.ErrNoSession] without asking.
func (c *Client) Session(ctx context.Context, cred upstream.Credential) (upstream.Answer, error) {
	p, ok := c.names.Prove(cred)
	if !ok {
		return upstream.Answer{}, httpclient.ErrUnfit
	}
	r, err := c.http.Ask(ctx, question(c.session, p))
	if err != nil {
		return upstream.Answer{}, err
	}
	s, err := session(&r)
	if err != nil {
		return upstream.Answer{}, err
	}
	return upstream.Answer{Session: s, BelieveFor: believeFor(cred.Value), Renewed: renewed(&r, p)}, nil
}

// question asks at u with p. A token goes into the query, where current deployments look for it, and into the header, where older ones do.
func question(u *url.URL, p httpclient.Proof) httpclient.Question {
	if p.Header == DevelopmentHeader {
		with := *u
		values := with.Query()
		values.Set(DevelopmentQuery, p.Value)
		with.RawQuery = values.Encode()
		u = &with
	}
	return httpclient.Question{URL: u, Proof: p}
}

// renewed returns what renews the credential that p carries: a cookie a cookie, and a token the header of tokens, if it is another one.
func renewed(r *httpclient.Reply, p httpclient.Proof) []upstream.Field {
	token := r.Header.Get(DevelopmentHeader)
	if p.Header != DevelopmentHeader || token == "" || token == p.Value || !httpclient.IsPrintable(token) {
		return r.Renewed(p)
	}
	return []upstream.Field{{Name: DevelopmentHeader, Value: token}}
}

// Close closes the connections that are idle. Questions in flight end by themselves.
func (c *Client) Close() { c.http.Close() }

// session judges a reply. Its errors are definite where the service was, and outages otherwise.
func session(r *httpclient.Reply) (*upstream.Session, error) {
	if r.Status == http.StatusNotFound && r.IsJSON() && r.Get("message").Str == "Session not found" {
		return nil, fmt.Errorf("ask session service: %w", upstream.ErrNoSession)
	}
	s, err := statement.Judge(r, whoami, signedIn)
	if err != nil {
		return nil, err
	}
	s.AAL = upstream.AAL1
	return s, nil
}

// signedIn tells a session in which nobody is signed in.
func signedIn(r *httpclient.Reply) error {
	signIn := r.Get("data.active_signin")
	switch {
	case r.Get("data.id").Str == "":
		return errors.New("body names no session: the url must lead to " + statement.Place)
	case signIn.IsObject():
		return nil
	case signIn.Raw == "" || signIn.Raw == "null":
		return fmt.Errorf("nobody is signed in: %w", upstream.ErrNoSession)
	default:
		return errors.New("active sign-in is not an object")
	}
}

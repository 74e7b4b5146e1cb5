package anyhttp

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/gatehouse-proxy/gatehouse/upstream"
	"github.com/gatehouse-proxy/gatehouse/upstream/httpclient"
)

// A Config says where the endpoint is, how it is asked, and how its answers are read.
type Config struct {
	HTTP httpclient.Config // HTTP.URL is the endpoint itself

	// Method is GET or POST. Empty is GET.
	Method string

	// Names says which credentials are taken. Each is sent in the header that it came in.
	Names httpclient.Names

	// FormField is the field of a form in which a credential is sent instead, whatever header it came in. The method must be POST then.
	FormField string

	// ClientID and ClientSecret are Gatehouse's own credentials with the service, sent as RFC 6749 section 2.3.1 has it. Both or none are
	// set, and only with FormField, since bearer tokens are sent in the same header.
	ClientID, ClientSecret string

	// Header is sent with every question.
	Header http.Header

	// Condition reports whether an answer is that of somebody who has a session: its status, the first value of every header by its name
	// in lower case, and its body in the types of encoding/json, nil if it is not JSON. Required. It is safe for concurrent use.
	Condition func(status int, headers map[string]string, body any) (bool, error)

	Paths Paths
}

// Paths say where in the body a session is told, in GJSON syntax. Only IdentityID is required.
type Paths struct {
	ID              string // text or number; where it is empty, an id is made of the credential
	IdentityID      string // text or number
	ExpiresAt       string // RFC 3339, or seconds since 1970
	AuthenticatedAt string // likewise
	AAL             string
}

// A Client is an [upstream.Store] that asks an endpoint. It is safe for concurrent use.
type Client struct {
	http     *httpclient.Client
	endpoint *url.URL
	cfg      Config
	header   http.Header
}

var _ upstream.Store = (*Client)(nil)

// New returns a Client for the endpoint that cfg describes. It opens no connection. The caller closes it.
func New(cfg Config) (*Client, error) {
	switch {
	case cfg.Method != "" && cfg.Method != http.MethodGet && cfg.Method != http.MethodPost:
		return nil, errors.New("use http session service: method must be GET or POST")
	case cfg.FormField != "" && cfg.Method != http.MethodPost:
		return nil, errors.New("use http session service: a form needs method POST")
	case cfg.FormField == "" && cfg.ClientID != "" || (cfg.ClientID == "") != (cfg.ClientSecret == ""):
		return nil, errors.New("use http session service: client id and secret go together, and with a form")
	case cfg.Names == httpclient.Names{}:
		return nil, errors.New("use http session service: no credential is taken")
	case cfg.Names.Cookie != "" && !httpclient.IsToken(cfg.Names.Cookie):
		return nil, fmt.Errorf("use http session service: cookie must be the name of a cookie, and not %q", cfg.Names.Cookie)
	case cfg.Condition == nil || cfg.Paths.IdentityID == "":
		return nil, errors.New("use http session service: condition and path of the identity id are required")
	}
	c, err := httpclient.New(cfg.HTTP)
	if err != nil {
		return nil, fmt.Errorf("use http session service: %w", err)
	}
	endpoint := *cfg.HTTP.URL
	header := cfg.Header.Clone()
	if header == nil {
		header = http.Header{}
	}
	if cfg.FormField != "" {
		header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if cfg.ClientID != "" {
		pair := url.QueryEscape(cfg.ClientID) + ":" + url.QueryEscape(cfg.ClientSecret)
		header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(pair)))
	}
	header.Set("Accept", "application/json")
	if err := (&httpclient.Question{Method: cfg.Method, URL: &endpoint, Header: header}).Check(); err != nil {
		return nil, fmt.Errorf("use http session service: %w", err)
	}
	return &Client{http: c, endpoint: &endpoint, cfg: cfg, header: header}, nil
}

// Session asks whose session cred stands for. A credential of a kind that is not taken, or one that cannot be sent as it is, is
// [upstream.ErrNoSession] without asking. In a form there is room for one cookie of a name only.
func (c *Client) Session(ctx context.Context, cred upstream.Credential) (upstream.Answer, error) {
	proof, ok := c.cfg.Names.Prove(cred)
	if !ok {
		return upstream.Answer{}, httpclient.ErrUnfit
	}
	q := httpclient.Question{Method: c.cfg.Method, URL: c.endpoint, Header: c.header, Proof: proof}
	if c.cfg.FormField != "" {
		if cred.Joined() {
			return upstream.Answer{}, httpclient.ErrUnfit
		}
		q.Proof = httpclient.Proof{}
		q.Body = []byte(url.Values{c.cfg.FormField: {string(cred.Value)}}.Encode())
	}
	id := ""
	if c.cfg.Paths.ID == "" {
		id = digest(&cred)
	}
	r, err := c.http.Ask(ctx, q)
	if err != nil {
		return upstream.Answer{}, err
	}
	s, err := c.session(&r, id)
	if err != nil {
		return upstream.Answer{}, fmt.Errorf("ask session service: %w", err)
	}
	return upstream.Answer{Session: s, BelieveFor: upstream.Unlimited, Renewed: r.Renewed(q.Proof)}, nil
}

// Close closes the connections that are idle. Questions in flight end by themselves.
func (c *Client) Close() { c.http.Close() }

package httpclient

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/gatehouse-proxy/gatehouse/upstream"
)

const (
	maxBody    = 64 << 10 // of an answer; Kratos sends some 1.3 KiB for an identity with two traits
	maxHeaders = 32 << 10 // of an answer, status line included

	// Kratos closes connections that were idle for 120 s; a connection must be let go before that. The first bound keeps dials from
	// going on for ever, since a dial outlives the question that it was begun for.
	dialTimeout = 10 * time.Second
	idleTimeout = 60 * time.Second

	defaultIdle = 64 // connections kept open where their number is not bounded
)

// A Config says where a service is and how to reach it.
type Config struct {
	// URL is the base of the service's API, http or https. Its path is kept.
	URL *url.URL

	// MaxConns bounds the connections to the service, and so the questions at once. Zero is no bound.
	MaxConns int

	// Dial opens a connection to the service. Nil is the network; another function can reach a service inside this process.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)

	UserAgent string // what the service sees as User-Agent; empty is "gatehouse"

	// Remaining, if not nil, is told how many questions are left of the service's limit, with every answer that says so.
	Remaining func(questions int64)
}

func (cfg *Config) check() error {
	switch u := cfg.URL; {
	case u == nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https"):
		return errors.New("url must be absolute, such as http://127.0.0.1:4433")
	case u.User != nil:
		return errors.New("url must not hold a user name or password: the service's public API takes none")
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return errors.New("url must not hold a query or a fragment: give the base of the public API")
	case !IsPrintable(cfg.UserAgent):
		return errors.New("user agent must be printable ASCII")
	case cfg.MaxConns < 0:
		return errors.New("number of connections must not be negative")
	}
	return nil
}

// A Client puts questions to one service. It is safe for concurrent use.
type Client struct {
	transport *http.Transport
	base      url.URL
	userAgent string
	remaining func(int64)
}

// New returns a Client for the service that cfg describes. It opens no connection. The caller closes it.
func New(cfg Config) (*Client, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	dial := cfg.Dial
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	idle := cfg.MaxConns
	if idle == 0 {
		idle = defaultIdle
	}
	agent := cfg.UserAgent
	if agent == "" {
		agent = "gatehouse"
	}
	base := *cfg.URL
	if base.Path == "" {
		base.Path = "/" // or JoinPath would make a relative path of it
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	return &Client{
		// A bare Transport is all that is wanted of net/http: a Client would add redirects, cookies and the URL in every error. Proxy
		// stays nil, so that no environment variable can send credentials elsewhere.
		transport: &http.Transport{
			DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
				ctx, cancel := context.WithTimeout(ctx, dialTimeout)
				defer cancel()
				return dial(ctx, network, addr)
			},
			TLSHandshakeTimeout:    dialTimeout,
			DisableCompression:     true,
			MaxConnsPerHost:        cfg.MaxConns,
			MaxIdleConnsPerHost:    idle,
			IdleConnTimeout:        idleTimeout,
			MaxResponseHeaderBytes: maxHeaders,
			Protocols:              protocols,
		},
		base:      base,
		userAgent: agent,
		remaining: cfg.Remaining,
	}, nil
}

// URL returns the URL of a path below the base.
func (c *Client) URL(path string) *url.URL { return c.base.JoinPath(path) }

// Close closes the connections that are idle. Questions in flight end by themselves.
func (c *Client) Close() { c.transport.CloseIdleConnections() }

// A Question is one request to the service.
type Question struct {
	Method string // empty is GET
	URL    *url.URL
	Proof  Proof // the zero Proof presents nothing
	Header http.Header
	Body   []byte
}

// Ask sends one question. The transport repeats it by itself when a connection that it kept turns out to be closed: a GET, which is
// harmless, and anything else only if no byte of it was sent. An error is an outage.
func (c *Client) Ask(ctx context.Context, q Question) (Reply, error) {
	req := &http.Request{Method: q.Method, URL: q.URL, Header: http.Header{"User-Agent": {c.userAgent}}}
	for name, values := range q.Header {
		req.Header[http.CanonicalHeaderKey(name)] = values
	}
	if q.Proof.Header != "" {
		req.Header[q.Proof.Header] = []string{q.Proof.Value}
	}
	if len(q.Body) > 0 {
		req.Body = io.NopCloser(bytes.NewReader(q.Body))
		req.ContentLength = int64(len(q.Body))
		req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(q.Body)), nil }
	}
	var connected atomic.Bool
	resp, err := c.transport.RoundTrip(req.WithContext(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) { connected.Store(true) },
	})))
	switch {
	case err == nil:
	case connected.Load():
		return Reply{}, fmt.Errorf("ask session service: %w", cause(ctx, err))
	case ctx.Err() != nil:
		return Reply{}, fmt.Errorf("ask session service: %w: %w", upstream.ErrNotSent, ctx.Err())
	default: // what a dial or a handshake says holds nothing of the question
		return Reply{}, fmt.Errorf("ask session service: %w: %w", upstream.ErrNotSent, err)
	}
	defer resp.Body.Close()
	if left, told := remaining(resp.Header); told && c.remaining != nil {
		c.remaining(left)
	}
	r := Reply{Status: resp.StatusCode, Header: resp.Header}
	r.Body, r.BodyErr = readBody(ctx, resp)
	return r, nil
}

// readBody reads the body whatever the status, since a connection can be used again only after that. The result may be kept for long:
// it is good to know that io.ReadAll returns no more memory than the body needs.
func readBody(ctx context.Context, resp *http.Response) ([]byte, error) {
	if resp.StatusCode == http.StatusSwitchingProtocols {
		return nil, errors.New("it speaks another protocol") // the body is the connection itself, and has no end
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	if err != nil {
		return nil, cause(ctx, err)
	}
	if len(body) > maxBody {
		return nil, fmt.Errorf("body is larger than %d bytes", maxBody)
	}
	return body, nil
}

// cause says why a question that went out has no answer. The errors of net/http quote what they cannot parse, so only those of known
// content are passed on.
func cause(ctx context.Context, err error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err, ok := errors.AsType[*net.OpError](err); ok {
		return err
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.ErrClosedPipe) {
		return errors.New("connection was closed before the answer was complete")
	}
	return fmt.Errorf("answer is not HTTP/1.1, or its headers are larger than %d bytes", maxHeaders)
}

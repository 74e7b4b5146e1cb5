package httpclient

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/gatehouse-proxy/gatehouse/internal/giveway"
	"github.com/gatehouse-proxy/gatehouse/upstream"
)

const (
	maxBody    = 64 << 10 // of an answer; Kratos sends some 1.3 KiB for an identity with two traits
	maxHeaders = 32 << 10 // of an answer, status line included

	// Kratos closes connections that were idle for 120 s; a connection must be let go before that. The first bound keeps dials, and TLS
	// handshakes, from going on for ever, since they outlive the question that they were begun for.
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

	// Dial opens a connection to the service. Nil is the network; another function can reach a service inside this process. A connection
	// serves more than one question only if it can be told whether it is still good: if it is a [syscall.Conn] on Unix, or one of [net.Pipe].
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
	case !IsPrintable(u.Host):
		return errors.New("host of the url must be as it is in the DNS, in ASCII: xn--... if it has other letters")
	case !IsPrintable(cfg.UserAgent):
		return errors.New("user agent must be printable ASCII")
	case cfg.MaxConns < 0:
		return errors.New("number of connections must not be negative")
	}
	return nil
}

// A Client puts questions to one service. It is safe for concurrent use.
type Client struct {
	conns     *pool
	answers   giveway.Line // to read one is long work beside a request whose session is remembered
	base      url.URL
	lines     string // of every question, after its target: the version of HTTP, and the first headers
	remaining func(int64)
}

// New returns a Client for the service that cfg describes. It opens no connection. The caller closes it.
func New(cfg Config) (*Client, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	base := *cfg.URL
	if base.Path == "" {
		base.Path = "/" // or JoinPath would make a relative path of it
	}
	lines, err := commonLines(&base, cmp.Or(cfg.UserAgent, "gatehouse"))
	if err != nil {
		return nil, err
	}
	return &Client{conns: newPool(newDialer(&base, cfg.Dial), cfg.MaxConns), base: base, lines: lines, remaining: cfg.Remaining}, nil
}

// URL returns the URL of a path below the base.
func (c *Client) URL(path string) *url.URL { return c.base.JoinPath(path) }

// Close closes the connections that are idle. Questions in flight end by themselves.
func (c *Client) Close() {
	c.conns.close()
	c.answers.Close()
}

// Ask sends one question. It is sent again, once and over a new connection, when one that was kept turns out to be closed: a GET, which is
// harmless, and anything else only if no byte of it was sent. An error is an outage.
func (c *Client) Ask(ctx context.Context, q Question) (Reply, error) {
	if err := q.Check(); err != nil {
		return Reply{}, fmt.Errorf("ask session service: %w: %w", upstream.ErrNotSent, err)
	}
	sent := false
	for fresh := false; ; fresh = true {
		r, again, err := c.once(ctx, &q, &sent, fresh)
		switch {
		case again:
			continue
		case err != nil:
			return Reply{}, fmt.Errorf("ask session service: %w", err)
		}
		if left, told := remaining(r.Header); told && c.remaining != nil {
			c.remaining(left)
		}
		return r, nil
	}
}

// once sends a question over one connection, a new one if it is to be fresh, and notes in sent that it did. It reports whether the question is
// to be asked again.
func (c *Client) once(ctx context.Context, q *Question, sent *bool, fresh bool) (r Reply, again bool, err error) {
	conn, err := c.conns.take(ctx, fresh)
	if err != nil { // what a dial or a handshake says holds nothing of the question
		if !*sent {
			err = fmt.Errorf("%w: %w", upstream.ErrNotSent, err)
		}
		return Reply{}, false, err
	}
	defer c.conns.put(conn)
	r, err = conn.ask(ctx, c.lines, q, c.answers.Wait)
	*sent = *sent || conn.sent
	// Whoever closes a connection because nothing came over it may say 408 as he does (RFC 9110 section 15.5.9).
	unheard := err != nil && !conn.answered || err == nil && r.Status == http.StatusRequestTimeout && !conn.fit
	again = unheard && conn.kept && (q.repeatable() || !conn.sent) && ctx.Err() == nil
	return r, again, err
}

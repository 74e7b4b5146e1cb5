package wacht

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"github.com/tidwall/gjson"

	"github.com/gatehouse-proxy/gatehouse/upstream"
	"github.com/gatehouse-proxy/gatehouse/upstream/httpclient"
)

const (
	tokenPath = "/session/token"

	// forwardedFor says for whom is asked. The service counts questions by it, and would count all of a gateway's as one client's.
	forwardedFor = "X-Wacht-Forwarded-For"

	// skew is how long before its end a token is no longer given out, so that there is time to use it.
	skew = 5 * time.Second

	// Of a session that has asked too often, the service is asked nothing for as long as it says, within these.
	minWait, maxWait = time.Second, time.Minute
)

// A Token is a reply to a question for a token.
type Token struct {
	Reply   upstream.Reply
	Renewed []upstream.Field // as in [upstream.Answer]
	Until   time.Time        // how long the reply may be given out to whoever presents the same credential; zero is not again
}

// Token asks for a token made from a template, or the default one if that is empty, on behalf of the client at an address, which may be
// invalid. A 200 with a token and its end is a reply as it is, and so are 400 and 429. Other errors are those of [Client.Session].
func (c *Client) Token(ctx context.Context, cred upstream.Credential, template string, client netip.Addr) (Token, error) {
	p, ok := c.names.Prove(cred)
	if !ok {
		return Token{}, httpclient.ErrUnfit
	}
	u := *c.token
	if template != "" {
		u.RawQuery = url.Values{"template": {template}}.Encode()
	}
	q := question(&u, p)
	if client.IsValid() {
		q.Header = http.Header{forwardedFor: {client.String()}}
	}
	r, err := c.http.Ask(ctx, q)
	if err != nil {
		return Token{}, err
	}
	switch r.Status {
	case http.StatusOK:
		until, err := tokenEnd(&r)
		if err != nil {
			return Token{}, fmt.Errorf("ask session service for a token: status 200: %w", err)
		}
		return Token{Reply: r.Pass(nil, "Content-Type"), Renewed: renewed(&r, p), Until: until.Add(-skew)}, nil
	case http.StatusTooManyRequests:
		wait := min(max(r.Pause(), minWait), maxWait)
		return Token{Reply: r.Pass(nil, "Content-Type", "Retry-After"), Until: time.Now().Add(wait)}, nil
	case http.StatusBadRequest:
		if r.IsJSON() {
			return Token{Reply: r.Pass(nil, "Content-Type")}, nil
		}
	case http.StatusUnauthorized:
		if !r.IsPage() {
			return Token{}, fmt.Errorf("ask session service for a token: %w", upstream.ErrNoSession)
		}
	}
	return Token{}, r.Outage(tokenPath)
}

// tokenEnd returns when the token ends that the body of a 200 has: data.expires, in milliseconds since 1970.
func tokenEnd(r *httpclient.Reply) (time.Time, error) {
	if r.BodyErr != nil {
		return time.Time{}, r.BodyErr
	}
	if !r.IsJSON() || r.Get("data.token").Str == "" {
		return time.Time{}, errors.New("body has no token: the url must lead to " + statement.Place)
	}
	end := r.Get("data.expires")
	if end.Type != gjson.Number || !(end.Num >= 0 && end.Num < 1<<50) {
		return time.Time{}, errors.New("data.expires is not a time in milliseconds")
	}
	return time.UnixMilli(int64(end.Num)), nil
}

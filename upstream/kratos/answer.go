package kratos

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/tidwall/gjson"

	"github.com/gatehouse-proxy/gatehouse/upstream"
	"github.com/gatehouse-proxy/gatehouse/upstream/httpclient"
)

const identityHeader = "X-Kratos-Authenticated-Identity-Id"

// A reply is what Kratos says to a question.
type reply struct{ httpclient.Reply }

// session judges a reply to the question. Its errors are definite where the service was, and outages otherwise.
func (r *reply) session() (*upstream.Session, error) {
	switch r.Status {
	case http.StatusOK:
		s, err := r.parse()
		if err != nil {
			return nil, fmt.Errorf("ask session service: status 200: %w", err)
		}
		return s, nil
	case http.StatusUnauthorized:
		if !r.IsPage() {
			return nil, fmt.Errorf("ask session service: %w", upstream.ErrNoSession)
		}
	case http.StatusForbidden:
		if r.isError() {
			return nil, &upstream.Refusal{
				Status: r.Status, ContentType: r.ContentType(), ErrorID: r.errorID(), Body: r.Body, Redirect: r.redirect(),
			}
		}
	}
	return nil, r.Outage("/sessions/whoami")
}

// Parse reads a session as Kratos states it at GET /sessions/whoami, from elsewhere than Kratos. The error wraps [upstream.ErrNoSession] if
// it says that the session is not active. The session keeps body.
func Parse(body []byte) (*upstream.Session, error) {
	if !gjson.ValidBytes(body) {
		return nil, errors.New("this is not JSON: want what Kratos answers at /sessions/whoami")
	}
	r := &reply{httpclient.Reply{Body: body}}
	if r.Get("id").Str == "" || r.Get("identity.id").Str == "" {
		return nil, errors.New("this has no id and no identity.id: want what Kratos answers at /sessions/whoami")
	}
	return r.parse()
}

// parse reads the body of a 200. GJSON reads it here as it does for identity headers and rules: of a repeated key, the first counts.
func (r *reply) parse() (*upstream.Session, error) {
	if r.BodyErr != nil {
		return nil, r.BodyErr
	}
	if !gjson.ValidBytes(r.Body) {
		return nil, errors.New("body is not JSON: the url must lead to the public API of Kratos")
	}
	id, identityID, active := r.Get("id"), r.Get("identity.id"), r.Get("active")
	switch {
	case id.Type != gjson.String || id.Str == "" || identityID.Type != gjson.String || identityID.Str == "":
		return nil, errors.New("body names no session and identity: the url must lead to the public API of Kratos")
	case active.Type == gjson.False:
		return nil, fmt.Errorf("session is not active: %w", upstream.ErrNoSession)
	case active.Type != gjson.True:
		return nil, errors.New("body does not say whether the session is active")
	}
	if header := r.Header.Get(identityHeader); header != "" && header != identityID.Str {
		return nil, errors.New("header and body name different identities: answers are mixed up on the way here")
	}
	expiresAt, err := r.Time("expires_at")
	if err != nil {
		return nil, err
	}
	authenticatedAt, err := r.Time("authenticated_at")
	if err != nil {
		return nil, err
	}
	aal, _ := upstream.ParseAAL(r.Get("authenticator_assurance_level").Str) // a level that is not known meets no requirement
	return &upstream.Session{
		ID:              id.Str,
		IdentityID:      identityID.Str,
		AAL:             aal,
		AuthenticatedAt: authenticatedAt,
		ExpiresAt:       expiresAt,
		Body:            r.Body,
	}, nil
}

// believeFor reads Ory-Session-Cache-For, in seconds: https://www.ory.com/docs/concepts/cache. A bound that is there and cannot be
// read leaves nothing to be believed.
func (r *reply) believeFor() time.Duration {
	lines := r.Header["Ory-Session-Cache-For"]
	if len(lines) == 0 {
		return upstream.Unlimited
	}
	seconds, err := strconv.ParseUint(lines[0], 10, 63)
	if err != nil || len(lines) > 1 {
		return 0
	}
	if seconds > uint64(upstream.Unlimited/time.Second) {
		return upstream.Unlimited
	}
	return time.Duration(seconds) * time.Second
}

// isError reports whether the body is an error in Kratos' own shape.
func (r *reply) isError() bool {
	return gjson.ValidBytes(r.Body) && r.Get("error").IsObject()
}

// errorID returns the service's name for the reason of an error, or nothing if that is no name.
func (r *reply) errorID() string {
	id := r.Header.Get("Ory-Error-Id")
	if id == "" {
		id = r.Get("error.id").Str
	}
	if len(id) > 64 || !httpclient.IsToken(id) {
		return ""
	}
	return id
}

// redirect returns where a browser can mend what the error is about, or nothing if that is no absolute URL.
func (r *reply) redirect() string {
	to := r.Get("redirect_browser_to").Str
	u, err := url.Parse(to)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || strings.ContainsAny(to, " #") || !httpclient.IsPrintable(to) {
		return ""
	}
	return to
}

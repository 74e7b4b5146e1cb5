package kratos

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/tidwall/gjson"

	"github.com/gatehouse-proxy/gatehouse/upstream"
)

const identityHeader = "X-Kratos-Authenticated-Identity-Id"

// session judges a reply to the question. Its errors are definite where the service was, and outages otherwise.
func (r *reply) session() (*upstream.Session, error) {
	switch r.status {
	case http.StatusOK:
		s, err := r.parse()
		if err != nil {
			return nil, fmt.Errorf("ask session service: status 200: %w", err)
		}
		return s, nil
	case http.StatusUnauthorized:
		if !r.isPage() {
			return nil, fmt.Errorf("ask session service: %w", upstream.ErrNoSession)
		}
	case http.StatusForbidden:
		if r.isError() {
			return nil, &upstream.Refusal{Status: r.status, ContentType: r.contentType(), ErrorID: r.errorID(), Body: r.body}
		}
	}
	return nil, r.outage()
}

// parse reads the body of a 200. GJSON reads it here as it does for identity headers and rules: of a repeated key, the first counts.
func (r *reply) parse() (*upstream.Session, error) {
	if r.bodyErr != nil {
		return nil, r.bodyErr
	}
	if !gjson.ValidBytes(r.body) {
		return nil, errors.New("body is not JSON: the url must lead to the public API of Kratos")
	}
	id, identityID, active := r.get("id"), r.get("identity.id"), r.get("active")
	switch {
	case id.Type != gjson.String || id.Str == "" || identityID.Type != gjson.String || identityID.Str == "":
		return nil, errors.New("body names no session and identity: the url must lead to the public API of Kratos")
	case active.Type == gjson.False:
		return nil, fmt.Errorf("session is not active: %w", upstream.ErrNoSession)
	case active.Type != gjson.True:
		return nil, errors.New("body does not say whether the session is active")
	}
	if header := r.header.Get(identityHeader); header != "" && header != identityID.Str {
		return nil, errors.New("header and body name different identities: answers are mixed up on the way here")
	}
	expiresAt, err := r.time("expires_at")
	if err != nil {
		return nil, err
	}
	authenticatedAt, err := r.time("authenticated_at")
	if err != nil {
		return nil, err
	}
	aal, _ := upstream.ParseAAL(r.get("authenticator_assurance_level").Str) // a level that is not known meets no requirement
	return &upstream.Session{
		ID:              id.Str,
		IdentityID:      identityID.Str,
		AAL:             aal,
		AuthenticatedAt: authenticatedAt,
		ExpiresAt:       expiresAt,
		Body:            r.body,
	}, nil
}

func (r *reply) get(path string) gjson.Result { return gjson.GetBytes(r.body, path) }

// time reads a time in RFC 3339, of which Kratos trims trailing zeros. What is absent is the zero time. What is there and means the zero
// time is an error, since it would read as absent, and so as a session without end.
func (r *reply) time(key string) (time.Time, error) {
	v := r.get(key)
	if v.Type == gjson.Null {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339Nano, v.Str)
	if err != nil || t.IsZero() {
		return time.Time{}, errors.New(key + " is not a time") // the error of package time quotes what it read
	}
	return t, nil
}

// believeFor reads Ory-Session-Cache-For, in seconds: https://www.ory.com/docs/concepts/cache. A bound that is there and cannot be
// read leaves nothing to be believed.
func (r *reply) believeFor() time.Duration {
	lines := r.header["Ory-Session-Cache-For"]
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

// renewed returns the Set-Cookie lines that renew the session cookie which carried p. An answer to another kind of credential renews
// nothing, even if the service thinks so.
func (r *reply) renewed(p proof) []string {
	if p.cookie == "" {
		return nil
	}
	var lines []string
	for _, line := range r.header["Set-Cookie"] {
		if name, _, found := strings.Cut(line, "="); found && name == p.cookie && isPrintable(line) {
			lines = append(lines, line)
		}
	}
	return lines
}

// isPage reports whether the body is a page for people, which Kratos never sends here: something in front of it asks us to sign in, and has
// said nothing about the session.
func (r *reply) isPage() bool {
	return strings.HasPrefix(strings.ToLower(r.header.Get("Content-Type")), "text/html")
}

// isError reports whether the body is an error in Kratos' own shape.
func (r *reply) isError() bool {
	return gjson.ValidBytes(r.body) && r.get("error").IsObject()
}

// errorID returns the service's name for the reason of an error, or nothing if that is no name.
func (r *reply) errorID() string {
	id := r.header.Get("Ory-Error-Id")
	if id == "" {
		id = r.get("error.id").Str
	}
	if len(id) > 64 || !isToken(id) {
		return ""
	}
	return id
}

func (r *reply) contentType() string {
	if t := r.header.Get("Content-Type"); t != "" && isPrintable(t) {
		return t
	}
	return "application/json"
}

// outage says what a status means that is no answer, and where to look. It tells nothing of the body.
func (r *reply) outage() error {
	hint := "this is no answer of Kratos: check its url, and what stands in front of it"
	switch {
	case r.status == http.StatusNotFound:
		hint = "there is no /sessions/whoami: the url must lead to the public API of Kratos, path prefix included"
	case r.status == http.StatusForbidden, r.status == http.StatusUnauthorized:
		hint = "this is not Kratos' own: look at what stands in front of it, such as a firewall"
	case r.status == http.StatusTooManyRequests:
		hint = "it is asked too often: believe sessions for longer, or raise its limit"
	case r.status >= 500:
		hint = "look at its log"
	case r.status >= 300 && r.status < 400:
		hint = "redirects are not followed: the url must lead to the public API of Kratos itself"
	}
	return fmt.Errorf("ask session service: status %d: %s", r.status, hint)
}

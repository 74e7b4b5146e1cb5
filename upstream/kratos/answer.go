package kratos

import (
	"errors"
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

var statement = httpclient.Statement{
	ID: "id", IdentityID: "identity.id", Active: "active", AuthenticatedAt: "authenticated_at", ExpiresAt: "expires_at",
	Place: "the public API of Kratos",
}

// session judges a reply to the question. Its errors are definite where the service was, and outages otherwise.
func (r *reply) session() (*upstream.Session, error) {
	if r.Status == http.StatusForbidden && r.isError() {
		return nil, &upstream.Refusal{
			Status: r.Status, ContentType: r.ContentType(), ErrorID: r.errorID(), Body: r.Body, Redirect: r.redirect(),
		}
	}
	s, err := statement.Judge(&r.Reply, "/sessions/whoami", unmixed)
	if err != nil {
		return nil, err
	}
	s.AAL = r.level()
	return s, nil
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
	s, err := statement.Read(&r.Reply)
	if err != nil {
		return nil, err
	}
	s.AAL = r.level()
	return s, nil
}

// unmixed tells an answer whose header and body are about different people. GJSON reads the body here as it does for identity headers and
// rules: of a repeated key, the first counts.
func unmixed(r *httpclient.Reply) error {
	header := r.Header.Get(identityHeader)
	if header == "" {
		return nil
	}
	if named := r.Get("identity.id").Str; named != "" && header != named {
		return errors.New("header and body name different identities: answers are mixed up on the way here")
	}
	return nil
}

// level returns the assurance level of the session. One that is not known meets no requirement.
func (r *reply) level() upstream.AAL {
	aal, _ := upstream.ParseAAL(r.Get("authenticator_assurance_level").Str)
	return aal
}

// believeFor reads how long the service allows an answer to be believed: Ory-Session-Cache-For, in seconds, and max-age, whichever is less.
// A bound that is there and cannot be read leaves nothing to be believed. https://www.ory.com/docs/concepts/cache
func (r *reply) believeFor() time.Duration {
	bound := upstream.Unlimited
	if lines := r.Header["Ory-Session-Cache-For"]; len(lines) == 1 {
		bound = seconds(lines[0])
	} else if len(lines) > 1 {
		return 0
	}
	return min(bound, r.maxAge())
}

// maxAge reads max-age of Cache-Control (RFC 9111 section 5.2.2.1), less the Age of an answer from a cache on the way. What Kratos itself
// says of caching is for browsers, with every answer: no-store and its like say nothing here.
func (r *reply) maxAge() time.Duration {
	bound := upstream.Unlimited
	for _, line := range r.Header["Cache-Control"] {
		for directive := range strings.SplitSeq(line, ",") {
			name, value, _ := strings.Cut(strings.TrimSpace(directive), "=")
			if strings.EqualFold(name, "max-age") {
				bound = min(bound, seconds(strings.Trim(value, `"`)))
			}
		}
	}
	if age := r.Header.Get("Age"); age != "" && bound != upstream.Unlimited {
		n, err := strconv.ParseUint(age, 10, 31)
		if err != nil {
			return 0
		}
		bound = max(0, bound-time.Duration(n)*time.Second)
	}
	return bound
}

// seconds reads a number of seconds. What is none is no time at all.
func seconds(text string) time.Duration {
	n, err := strconv.ParseUint(text, 10, 63)
	if err != nil {
		return 0
	}
	if n > uint64(upstream.Unlimited/time.Second) {
		return upstream.Unlimited
	}
	return time.Duration(n) * time.Second
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

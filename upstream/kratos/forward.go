package kratos

import (
	"context"
	"fmt"
	"net/http"

	"github.com/gatehouse-proxy/gatehouse/upstream"
	"github.com/gatehouse-proxy/gatehouse/upstream/httpclient"
)

const maxQuery = 8 << 10 // bytes

// Forward asks the question of [Client.Session] with a query, such as tokenize_as=..., and returns what the service says to it. Such an
// answer is made for one request and must not be remembered.
//
// A 200 that Session would believe is a reply as it is, and so are 401 and Kratos' own 400, 403 and 404. Everything else is the error
// that Session would return. The reply holds only the headers that mean something to a caller; Set-Cookie is there only if it renews the
// cookie that was sent. A query that no request line can carry is a
// [*upstream.Refusal] with 400, without asking.
func (c *Client) Forward(ctx context.Context, cred upstream.Credential, query []byte) (upstream.Reply, error) {
	p, ok := c.names.Prove(cred)
	if !ok {
		return upstream.Reply{}, httpclient.ErrUnfit
	}
	if !isQuery(query) {
		return upstream.Reply{}, errUnfitQuery
	}
	u := *c.whoami
	u.RawQuery = string(query)
	r, err := c.ask(ctx, &u, p)
	if err != nil {
		return upstream.Reply{}, err
	}
	_, err = r.session()
	switch {
	case err == nil:
		return r.forward(r.Renewed(p)), nil
	case r.Status == http.StatusUnauthorized && r.BodyErr == nil:
		return r.forward(nil), nil
	case (r.Status == http.StatusBadRequest || r.Status == http.StatusForbidden || r.Status == http.StatusNotFound) && r.isError():
		return r.forward(nil), nil
	default:
		return upstream.Reply{}, err
	}
}

// forward returns r as the caller of Forward may see it. Only a 200 names an identity, whatever else the service sends.
func (r *reply) forward(renewed []upstream.Field) upstream.Reply {
	if r.Status == http.StatusOK {
		return r.Pass(renewed, "Content-Type", "Ory-Error-Id", identityHeader)
	}
	return r.Pass(renewed, "Content-Type", "Ory-Error-Id")
}

// isQuery reports whether b can stand in a request line. What cannot is the client's mistake and must not look like an outage.
func isQuery(b []byte) bool {
	for _, c := range b {
		if c <= ' ' || c >= 0x7f || c == '#' {
			return false
		}
	}
	return len(b) <= maxQuery
}

// errUnfitQuery refuses as net/http, and so Kratos, refuses a request line that it cannot read.
var errUnfitQuery = fmt.Errorf("query cannot stand in a request line: %w: %w", upstream.ErrNotSent, &upstream.Refusal{
	Status: http.StatusBadRequest, ContentType: "text/plain; charset=utf-8", Body: []byte("400 Bad Request"),
})

package anyhttp

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/tidwall/gjson"

	"github.com/gatehouse-proxy/gatehouse/upstream"
	"github.com/gatehouse-proxy/gatehouse/upstream/httpclient"
)

// session judges a reply. Its errors are definite where the service was, and outages otherwise. id is that of the session where the body
// does not tell it.
func (c *Client) session(r *httpclient.Reply, id string) (*upstream.Session, error) {
	refused := r.Status == http.StatusUnauthorized || r.Status == http.StatusForbidden
	switch {
	case r.Status != http.StatusOK && !refused || r.IsPage():
		return nil, r.Outage(c.endpoint.Path)
	case r.BodyErr != nil:
		return nil, fmt.Errorf("status %d: %w", r.Status, r.BodyErr)
	case refused && c.cfg.ClientID != "":
		return nil, fmt.Errorf("status %d: it refuses our own client_id and secret, and says nothing of the credential", r.Status)
	}
	body := gjson.Result{}
	if r.IsJSON() {
		body = gjson.ParseBytes(r.Body)
	}
	isObject, isNull := body.IsObject(), r.IsJSON() && body.Type == gjson.Null
	if r.Status == http.StatusOK && !isObject && !isNull {
		return nil, errors.New("status 200: body is not a JSON object: the url must lead to an endpoint that answers in JSON")
	}
	holds, err := c.cfg.Condition(r.Status, firstValues(r.Header), body.Value())
	switch {
	case refused && holds:
		return nil, fmt.Errorf("status %d: authenticated_when is true of this answer, which is none of a session", r.Status)
	case refused:
		return nil, fmt.Errorf("status %d: %w", r.Status, upstream.ErrNoSession)
	case err != nil:
		return nil, fmt.Errorf("status 200: evaluate authenticated_when: %w", err)
	case !holds:
		return nil, fmt.Errorf("authenticated_when is false: %w", upstream.ErrNoSession)
	case !isObject:
		return nil, errors.New("status 200: authenticated_when is true of a body that is null")
	}
	return c.read(r, id)
}

// firstValues returns the first value of every header by its name in lower case.
func firstValues(h http.Header) map[string]string {
	m := make(map[string]string, len(h))
	for name, values := range h {
		if len(values) > 0 {
			m[strings.ToLower(name)] = values[0]
		}
	}
	return m
}

// read reads the session that a body tells.
func (c *Client) read(r *httpclient.Reply, id string) (*upstream.Session, error) {
	paths := &c.cfg.Paths
	identityID, err := name(r, paths.IdentityID)
	if err != nil {
		return nil, err
	}
	if paths.ID != "" {
		if id, err = name(r, paths.ID); err != nil {
			return nil, err
		}
	} else {
		id = derive(id, identityID)
	}
	s := &upstream.Session{ID: id, IdentityID: identityID, AAL: upstream.AAL1, Body: r.Body}
	if s.ExpiresAt, err = moment(r, paths.ExpiresAt); err != nil {
		return nil, err
	}
	if s.AuthenticatedAt, err = moment(r, paths.AuthenticatedAt); err != nil {
		return nil, err
	}
	if paths.AAL != "" {
		s.AAL = level(r.Get(paths.AAL))
	}
	return s, nil
}

// name reads an id, which is text or a number.
func name(r *httpclient.Reply, path string) (string, error) {
	switch v := r.Get(path); {
	case v.Type == gjson.String && v.Str != "":
		return strings.Clone(v.Str), nil
	case v.Type == gjson.Number:
		return strings.Clone(v.Raw), nil
	default:
		return "", fmt.Errorf("status 200: there is no id at %s in the body: see paths", path)
	}
}

// moment reads a time: RFC 3339, or seconds since 1970 (RFC 7519, NumericDate), of which parts do not count. What is absent is the zero
// time.
func moment(r *httpclient.Reply, path string) (time.Time, error) {
	if path == "" {
		return time.Time{}, nil
	}
	v := r.Get(path)
	if v.Type != gjson.Number {
		return r.Time(path)
	}
	const year10000 = 253402300800
	if !(v.Num >= 1 && v.Num < year10000) {
		return time.Time{}, fmt.Errorf("%s is not a time in seconds", path)
	}
	return time.Unix(int64(v.Num), 0), nil
}

// level reads an assurance level.
func level(v gjson.Result) upstream.AAL {
	if v.Type == gjson.Number && (v.Num == 1 || v.Num == 2 || v.Num == 3) {
		return upstream.AAL(v.Num)
	}
	aal, _ := upstream.ParseAAL(v.Str)
	return aal
}

// digest returns what stands for a credential in ids.
func digest(c *upstream.Credential) string {
	h := sha256.New()
	fmt.Fprintf(h, "gatehouse credential %s\x00%s\x00", c.Kind, c.Name)
	h.Write(c.Value)
	return string(h.Sum(nil))
}

// derive returns the id of the session of an identity that a credential opened.
func derive(credential, identityID string) string {
	sum := sha256.Sum256([]byte("gatehouse session " + credential + identityID))
	return "derived-" + hex.EncodeToString(sum[:16])
}

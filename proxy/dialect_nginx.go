package proxy

import (
	"bytes"

	"github.com/valyala/fasthttp"

	"github.com/gatehouse-proxy/gatehouse/internal/policy"
)

// describeNginx reads a request as nginx is commonly told to describe it: X-Original-Method, and either X-Original-URL with all of the
// rest, or X-Original-URI with path and query, and then the host in Host. Each is there exactly once. Of the two, both are one too many:
// only one of them is nginx's, and the other is what its client chose to send.
func describeNginx(r *request) (t Target, f fault) {
	l, ok := &r.head.described, false
	if t.Method, ok = l[originalMethod].once(); !ok || !isToken(t.Method) {
		return Target{}, ill(originalMethod, policy.MalformedForward)
	}
	line := originalURL
	if l[originalURI].count > 0 {
		if line = originalURI; l[originalURL].count > 0 {
			return Target{}, ill(originalURI, policy.MalformedForward)
		}
	}
	value, ok := l[line].once()
	if !ok {
		return Target{}, ill(line, policy.MalformedForward)
	}
	switch line {
	case originalURL:
		if t.Scheme, t.Authority, t.Raw, ok = splitURL(value); !ok {
			return Target{}, ill(originalURL, policy.MalformedForward)
		}
	default:
		t.Authority, t.Raw = r.head.host, value
	}
	if t.Host, ok = canonicalHost(t.Authority, r.scratch.host[:0]); !ok {
		if line == originalURI {
			return Target{}, fault{header: fasthttp.HeaderHost, reason: policy.MalformedForward, cause: errBadHost}
		}
		return Target{}, ill(line, policy.MalformedForward).by(errBadHost)
	}
	var err error
	if t.Path, t.forms, err = canonicalPath(t.Raw, r.scratch.other[:0]); err != nil {
		return Target{}, ill(line, policy.MalformedTarget).by(err) // the client's own, and no mistake in the configuration of nginx
	}
	return t, fault{}
}

// splitURL splits an absolute URL. The authority ends at the first slash: what else might end it, a host does not have.
func splitURL(url []byte) (scheme string, authority, target []byte, ok bool) {
	name, rest, _ := bytes.Cut(url, []byte("://"))
	if scheme, ok = schemeOf(name); !ok {
		return "", nil, nil, false
	}
	slash := bytes.IndexByte(rest, '/')
	if slash < 0 {
		return "", nil, nil, false
	}
	return scheme, rest[:slash], rest[slash:], true
}

// nginxStatus returns the status that makes nginx do what another means. It knows 401, which may lead to the login page if its configuration
// picks up the Location, and 403. Everything else is 500 for its client, which is right for what failed, and for a question that is at
// fault itself: http://nginx.org/en/docs/http/ngx_http_auth_request_module.html
func nginxStatus(d *policy.Decision, status int) int {
	switch {
	case status == fasthttp.StatusFound, status == fasthttp.StatusSeeOther:
		return fasthttp.StatusUnauthorized
	case status == fasthttp.StatusOK, status == fasthttp.StatusUnauthorized, status >= fasthttp.StatusInternalServerError,
		d.Reason == policy.MalformedForward:
		return status
	default:
		return fasthttp.StatusForbidden
	}
}

// nginxRoom is how much nginx is sent in the head of an answer, in bytes. By default it has one page for it, proxy_buffer_size, which is
// 4 KiB on most machines; what does not fit becomes 500.
const nginxRoom = 3584

// allowNginx tells the operator of a head that nginx may have no room for.
func allowNginx(r *request, _ answerHead) {
	size := r.headSize()
	if size <= nginxRoom {
		return
	}
	r.cfg.Observer.LargeAnswer()
	if ok, missed := r.large.allow(); ok {
		r.cfg.Logger.Warn("the identity headers may be more than nginx has room for, and then it answers 500: "+
			"send less, or raise its proxy_buffer_size", "bytes", size, "token_bytes", len(r.decision.Token), "route", r.decision.Route.Name, "not_logged", missed)
	}
}

// headSize returns about how many bytes the head of an allowed answer has.
func (r *request) headSize() int {
	const rest = 160 // the status line, and what every answer has
	size := rest
	for _, f := range r.decision.View.Fields {
		size += len(f.Name) + len(f.Value) + len(": \r\n")
	}
	size += len(r.decision.View.Policy().TokenHeader()) + len(r.decision.Token) + len(": \r\n")
	for _, f := range r.decision.Renewed {
		size += len(f.Name) + len(f.Value) + len(": \r\n")
	}
	return size
}

package proxy

import (
	"bytes"
	"errors"
	"fmt"
	"hash/fnv"
	"html"
	"net/url"
	"strconv"
	"strings"

	"github.com/valyala/fasthttp"

	"github.com/gatehouse-proxy/gatehouse/internal/policy"
	"github.com/gatehouse-proxy/gatehouse/upstream"
)

// A Login is where people sign in, and from where they may come back. It is immutable. Nothing in it is the client's to choose: where
// somebody comes back to is built from the request that was judged, and only if its host is one of those that the operator names.
type Login struct {
	url        string // absolute
	scheme     string
	host, path string // canonical, of the page itself
	param      string
	exact      map[string]bool // hosts, with the port unless it is that of the scheme
	below      []string        // such as ".example.com", for all that end so
}

// maxLocation is the greatest length of a Location, in bytes. Beyond it, people come back to the front page: nginx has room for little more
// in the head of an answer.
const maxLocation = 3 << 10

// NewLogin returns where people sign in. address is absolute, of http or https. param is the name of the query parameter that says where to
// come back to. hosts are as in the configuration: names, *.names for all below, each with a port if it is not that of the scheme.
func NewLogin(address, param string, hosts []string) (*Login, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.Fragment != "" || u.User != nil {
		return nil, errors.New("login URL is not an absolute URL of http or https without user and fragment")
	}
	host, ok := canonicalHost([]byte(u.Host), nil)
	if !ok {
		return nil, errors.New("login URL has no valid host")
	}
	l := &Login{url: address, scheme: u.Scheme, host: string(host), param: param, exact: map[string]bool{}}
	path, _, err := canonicalPath([]byte(u.EscapedPath()), nil)
	if err == nil {
		l.path = string(path)
	} else if u.Path != "" {
		return nil, fmt.Errorf("login URL: %w", err)
	} else {
		l.path = "/"
	}
	for _, h := range hosts {
		if suffix, wild := strings.CutPrefix(h, "*"); wild {
			l.below = append(l.below, suffix)
		} else {
			l.exact[h] = true
		}
	}
	return l, nil
}

// place returns where a browser can get what its request lacks, and the name of the parameter that says where to come back to. It returns
// nothing if there is no such place.
func (l *Login) place(d *policy.Decision) (where, param string) {
	switch {
	case d.Verdict == policy.Unauthenticated:
		return l.url, l.param
	case d.Reason == policy.InsufficientAAL:
		return withQuery(l.url, "aal="+d.Route.AAL.String()), l.param
	case d.Reason == policy.SessionTooOld:
		return withQuery(l.url, "refresh=true"), l.param
	case d.Verdict == policy.Refused:
		if refusal, ok := errors.AsType[*upstream.Refusal](d.Err); ok {
			return refusal.Redirect, "return_to" // it is the session service's own, as Ory has it
		}
	}
	return "", ""
}

// withQuery appends a parameter, which is encoded already, to a URL without fragment.
func withQuery(address, parameter string) string {
	if strings.Contains(address, "?") {
		return address + "&" + parameter
	}
	return address + "?" + parameter
}

// origin returns the scheme and host that a request was for, such as https://app.example.com, or nothing if that is no place to come back
// to.
func (l *Login) origin(t *Target) string {
	scheme, host := t.Scheme, string(t.Host)
	if scheme == "" {
		scheme = l.scheme
	}
	if port := portOf(t.Authority, nil); !bytes.Equal(port, defaultPort(scheme)) {
		host += string(port)
	}
	if l.exact[host] {
		return scheme + "://" + host
	}
	for _, suffix := range l.below {
		if strings.HasSuffix(host, suffix) && len(host) > len(suffix) {
			return scheme + "://" + host
		}
	}
	return ""
}

// location returns where to lead a browser that asked for t.
func (l *Login) location(where, param string, t *Target) string {
	origin := l.origin(t)
	if origin == "" {
		return where
	}
	full := withQuery(where, param+"="+url.QueryEscape(origin+string(t.Raw)))
	if len(full) > maxLocation {
		return withQuery(where, param+"="+url.QueryEscape(origin+"/"))
	}
	return full
}

// Whoever was led to sign in carries a mark for a while that says how often, and from which page. It makes a loop end that browsers do not
// see themselves, since login pages often lead back by a script: a session cookie that does not reach us, because of its domain, its
// SameSite or its scheme, sends people back and forth for ever. Nothing is kept here for that.
const (
	markCookie = "gatehouse-login"
	markFor    = 30 // seconds since the last time
	maxLed     = 3  // within that time, from the same page
)

// loginMark returns what is to be remembered of a request that is led to sign in, and how often it has been before.
func (r *request) loginMark() (value string, led int) {
	h := fnv.New32a()
	_, _ = h.Write(r.target.Host)
	_, _ = h.Write(r.target.Raw)
	page := strconv.FormatUint(uint64(h.Sum32()), 16)
	_, presented, _ := cookieValues(r.head.cookies, markCookie, nil)
	if count, of, _ := strings.Cut(string(presented), "-"); of == page {
		if n, err := strconv.Atoi(count); err == nil && n > 0 {
			led = n
		}
	}
	return strconv.Itoa(led+1) + "-" + page, led
}

// lead leads a browser to where it can get what its request lacks. It reports false if that is no help.
func (r *request) lead() bool {
	l := r.cfg.Login
	if l == nil || r.target.Raw == nil {
		return false
	}
	where, param := l.place(&r.decision)
	if where == "" || !browser(r.head.value) {
		return false
	}
	value, led := r.loginMark()
	if led >= maxLed || string(r.target.Host) == l.host && string(r.target.Path) == l.path {
		r.decision.Reason = policy.LoginLoop
		r.answerPage(fasthttp.StatusForbidden, l.loopPage())
		return true
	}
	status := fasthttp.StatusSeeOther
	if m := string(r.target.Method); m == "GET" || m == "HEAD" {
		status = fasthttp.StatusFound
	}
	h := &r.ctx.Response.Header
	back := r.target
	if len(r.keyring.parameters) > 0 {
		back.Raw = r.keyring.hide(bytes.Clone(back.Raw), "")
	}
	h.Set(fasthttp.HeaderLocation, l.location(where, param, &back))
	h.Set(fasthttp.HeaderCacheControl, "no-store")
	status = r.understood(status)
	if r.ctx.SetStatusCode(status); status == fasthttp.StatusUnauthorized {
		h.Set(fasthttp.HeaderWWWAuthenticate, challenge)
	}
	r.explain()
	r.renew(r.decision.Renewed)
	if len(r.decision.Renewed) == 0 || !dialects[r.dialect].oneCookie {
		line := markCookie + "=" + value + "; Path=/; Max-Age=" + strconv.Itoa(markFor) + "; HttpOnly; SameSite=Lax"
		if r.target.Scheme == "https" {
			line += "; Secure"
		}
		h.Add(fasthttp.HeaderSetCookie, line)
	}
	return true
}

// loopPage is what people see who were sent back and forth. Nothing in it comes from the request.
func (l *Login) loopPage() []byte {
	return newPage(fasthttp.StatusForbidden, "Signing in did not work",
		"<p>You were sent to sign in, and came back without a session that this page can use. Trying again at once would not help.</p>\n"+
			"<p>Cookies may be blocked in this browser. If you run this site: look at the domain, the SameSite and the Secure attribute of the\n"+
			"session cookie, and see that the page where people sign in needs no session itself.</p>\n"+
			"<p><a href=\""+html.EscapeString(l.url)+"\">Sign in</a></p>")
}

package proxy

import (
	"bytes"
	"errors"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/valyala/fasthttp"

	"github.com/gatehouse-proxy/gatehouse/internal/policy"
	"github.com/gatehouse-proxy/gatehouse/upstream"
)

// maxFields is the greatest number of lines after a chunked response, and of header lines of a request if nothing else is said. fasthttp
// bounds their size but not their number.
const maxFields = 128

// errHeaders says that a request has a header that cannot be passed on. What exactly is wrong is not told to whoever sent it.
var errHeaders = errors.New("request has a header that cannot be passed on")

// A strip knows which header lines of a client never reach the application under one policy. Names are compared folded, because CGI, WSGI
// and PHP servers read X_User_Id, X.User.Id and X-User-Id as the same variable (CVE-2025-64484, CVE-2026-39858, CVE-2026-88011).
type strip struct {
	policy   *policy.Policy
	names    map[string]struct{}
	identity map[string]string // the identity headers in lower case, by their folded names
	removes  map[string][]byte // what a front proxy is told to remove from every request, by the header with a credential that is kept, or ""
	may      nameFilter
}

// never lists what a client may not send to an application through any gateway: hop-by-hop fields (RFC 9110 section 7.6.1) and framing,
// which belong to one connection; and what only a gateway may say of a client.
var never = []string{
	"connection", "proxy-connection", "keep-alive", "te", "trailer", "transfer-encoding", "content-length", "upgrade", "expect",
	"http2-settings", "proxy-authorization", "proxy-authenticate", "host",
	"forwarded", "x-real-ip", "x-client-ip", "x-cluster-client-ip", "true-client-ip", "client-ip", "x-originating-ip",
	"front-end-https", "x-scheme", "x-url-scheme",
	"proxy", // which CGI makes HTTP_PROXY of (CVE-2016-5385)
}

// misleading lists what nobody may send to an application: what makes it see another path or method than the one that was judged, or an
// identity that was not.
var misleading = []string{
	"x-original-url", "x-original-uri", "x-original-path", "x-original-method", "x-original-host", "x-rewrite-url", "x-rewrite-uri",
	"x-override-url", "x-waws-unencoded-url", "x-host", "x-http-host-override",
	"x-http-method", "x-http-method-override", "x-method-override", "x-middleware-subrequest",
	"x-kratos-authenticated-identity-id",
}

// neverBelow lists beginnings of folded names that are stripped whatever follows.
var neverBelow = []string{"x-forwarded-", ownBelow, "x-envoy-"}

// ownBelow is the beginning of folded names under which only the gateway speaks.
const ownBelow = "x-gatehouse-"

// isOursToSay reports whether a field of this name is for the gateway alone to write.
func isOursToSay(name []byte) bool {
	if len(name) < len(ownBelow) || name[0]|0x20 != 'x' {
		return false
	}
	var buf [len(ownBelow)]byte
	return string(fold(buf[:0], name[:len(ownBelow)])) == ownBelow
}

// newStrip returns the strip of a policy.
func newStrip(p *policy.Policy, keys *keyring) *strip {
	s := &strip{policy: p, names: make(map[string]struct{}, len(never)+len(misleading)+len(p.Headers())+1), identity: map[string]string{}}
	folded := func(name string) string { return string(fold(make([]byte, 0, maxFolded), []byte(name))) }
	for _, name := range slices.Concat(never, misleading) {
		s.names[name] = struct{}{}
	}
	for _, h := range p.Headers() {
		s.names[folded(h.Name)] = struct{}{}
		s.identity[folded(h.Name)] = strings.ToLower(h.Name)
	}
	for _, name := range keys.headers {
		s.names[folded(name)] = struct{}{}
	}
	if signed := p.TokenHeader(); signed != nil {
		s.names[folded(string(signed))] = struct{}{}
		s.identity[folded(string(signed))] = strings.ToLower(string(signed))
	}
	s.removes = map[string][]byte{"": s.forFrontProxies(keys.headers, "")}
	for _, name := range keys.headers {
		s.removes[name] = s.forFrontProxies(keys.headers, name)
	}
	for name := range s.names {
		s.may.add(name)
	}
	for _, beginning := range neverBelow {
		s.may.addBelow(beginning)
	}
	return s
}

// forFrontProxies returns the names that a front proxy is told to remove from every request: what it cannot be sent by name is the alias of
// an identity header with both '_' and '.' in it. An identity header itself is none of them: some remove after they have set it. Of the
// headers with credentials the one that is kept is none of them.
func (s *strip) forFrontProxies(headers []string, kept string) []byte {
	names := slices.DeleteFunc(slices.Clone(misleading), func(name string) bool { return s.identity[name] != "" })
	for _, name := range slices.Sorted(maps.Values(s.identity)) {
		for _, sign := range []string{"_", "."} {
			if alias := strings.NewReplacer("-", sign, "_", sign, ".", sign).Replace(name); alias != name {
				names = append(names, alias)
			}
		}
	}
	for _, name := range headers {
		if name != kept {
			names = append(names, strings.ToLower(name))
		}
	}
	return []byte(strings.Join(names, ", "))
}

// forged reports whether a header line of this name, in lower case, must not reach the application although a front proxy passes on all
// that it is sent: it misleads, or it is an alias of an identity header. The identity headers themselves are overwritten.
func (s *strip) forged(name string) bool {
	var buf [maxFolded]byte
	folded := string(fold(buf[:0], []byte(name)))
	if exact, identity := s.identity[folded]; identity {
		return name != exact // Envoy removes after it has set
	}
	return slices.Contains(misleading, folded) || strings.HasPrefix(folded, ownBelow)
}

// maxFolded is how much of a name is folded. Longer names that begin alike are taken for the same.
const maxFolded = 128

// has reports whether a header line of this name is stripped.
func (s *strip) has(name []byte) bool {
	if !s.may.have(name) {
		return false
	}
	var buf [maxFolded]byte
	folded := fold(buf[:0], name)
	if _, ok := s.names[string(folded)]; ok {
		return true
	}
	for _, prefix := range neverBelow {
		if len(folded) >= len(prefix) && string(folded[:len(prefix)]) == prefix {
			return true
		}
	}
	return false
}

// fold appends name to dst in the form in which all its aliases are equal: lower case, and '-' for everything that is neither letter nor
// digit.
func fold(dst, name []byte) []byte {
	for _, b := range name {
		if len(dst) == cap(dst) {
			return dst
		}
		dst = append(dst, foldByte(b))
	}
	return dst
}

func foldByte(b byte) byte {
	switch {
	case b >= 'A' && b <= 'Z':
		return b | 0x20
	case b >= 'a' && b <= 'z', b >= '0' && b <= '9':
		return b
	default:
		return '-'
	}
}

// A nameFilter tells of most names by their length and folded first byte that they are not among those that were added.
type nameFilter [32]uint64

func (f *nameFilter) place(first byte) *uint64 { return &f[foldByte(first)&31] }

func (f *nameFilter) add(name string) { *f.place(name[0]) |= 1 << (min(len(name), maxFolded) & 63) }

// addBelow adds all names with a beginning.
func (f *nameFilter) addBelow(beginning string) { *f.place(beginning[0]) = ^uint64(0) }

// have reports whether name may be among those that were added.
func (f *nameFilter) have(name []byte) bool {
	return len(name) > 0 && *f.place(name[0])&(1<<(min(len(name), maxFolded)&63)) != 0
}

// An outbound is everything that the head of the request to the application is built from. It is built from nothing, line by line, so
// that nothing reaches the application that was not looked at.
type outbound struct {
	head      *requestHead // the client's
	target    Target
	host      string // that the application is asked for; empty for the one that the client asks for
	strip     *strip
	keys      *keyring
	fields    []policy.Field // the identity; empty values are left out
	signed    policy.Field   // the identity, signed; left out if it is empty
	source    string         // of the identity; empty to leave it out
	peer      netip.Addr
	skip      int    // how many segments of the path the application does not see
	prefix    []byte // those segments
	keeps     kept   // what the application gets of the client's credentials
	trusted   bool   // whether the peer's forwarding headers are believed
	tls       bool
	handshake bool // it asks for a WebSocket
}

// appendHead appends the head of the request to dst, up to the lines that frame its body. It fails when the client's head cannot be
// passed on.
func (o *outbound) appendHead(dst []byte) ([]byte, error) {
	dst = append(dst, o.target.Method...)
	dst = append(dst, ' ')
	start := len(dst)
	dst = appendBelow(dst, o.target.Raw, o.skip)
	if len(o.keys.parameters) > 0 {
		dst = dst[:start+len(o.keys.hide(dst[start:], o.keeps.parameter()))]
	}
	dst = append(dst, " HTTP/1.1\r\nHost: "...)
	if o.host == "" {
		dst = append(dst, o.head.host...)
	}
	dst = append(append(dst, o.host...), "\r\n"...)
	kept := o.keeps.by == upstream.NoCredential // of several lines, the first is the one that counted
	var spelling [maxFolded]byte
	for _, f := range o.head.fields {
		if !isToken(f.name) {
			return nil, errHeaders
		}
		name, value := usual(spelling[:0], f.name), f.value
		if o.handshake {
			name = spelled(name)
		}
		switch {
		case listedIn(o.head.connection, name):
		case !kept && o.isCredential(name, value):
			dst, kept = appendField(dst, name, value), true
		case o.strip.has(name):
		case string(name) == fasthttp.HeaderCookie:
			dst = o.appendCookie(dst, value)
		case string(name) == fasthttp.HeaderReferer && len(o.keys.parameters) > 0:
			dst = o.appendReferer(dst, value)
		case string(name) == fasthttp.HeaderAuthorization && o.keys.bearer && hasBearer(value):
		case o.skip > 0 && string(name) == headerDestination && isMove(o.target.Method):
			dst = o.appendDestination(dst)
		default:
			dst = appendField(dst, name, value)
		}
	}
	dst = o.appendForwarded(dst)
	if len(o.prefix) > 0 {
		dst = appendField(dst, []byte("X-Forwarded-Prefix"), o.prefix)
	}
	for _, f := range o.fields {
		if len(f.Value) > 0 {
			dst = appendField(dst, f.Name, f.Value)
		}
	}
	if len(o.signed.Value) > 0 {
		dst = appendField(dst, o.signed.Name, o.signed.Value)
	}
	if o.source != "" {
		dst = append(dst, cacheHeader+": "...)
		dst = append(append(dst, o.source...), "\r\n"...)
	}
	return dst, nil
}

// usual appends a name to dst in its usual spelling, such as Content-Type.
func usual(dst, name []byte) []byte {
	first := true
	for _, b := range name {
		if first && b >= 'a' && b <= 'z' || !first && b >= 'A' && b <= 'Z' {
			b ^= 0x20
		}
		first = b == '-'
		dst = append(dst, b)
	}
	return dst
}

// isCredential reports whether a line is the credential that the application gets, unless that is a cookie.
func (o *outbound) isCredential(name, value []byte) bool {
	if o.keeps.by == upstream.Bearer {
		return string(name) == fasthttp.HeaderAuthorization && hasBearer(value)
	}
	header := o.keeps.header()
	return header != "" && string(name) == header
}

// appendDestination appends where COPY and MOVE write to, in the paths that the application knows.
func (o *outbound) appendDestination(dst []byte) []byte {
	to, ok := o.target.destination()
	if !ok {
		return dst // it was judged, and would not have passed
	}
	dst = append(dst, headerDestination+": "...)
	return append(appendBelow(dst, to.Raw, o.skip), "\r\n"...)
}

// appendCookie appends a Cookie line without the session cookies, but the one that is kept: the application needs the identity, not the key
// to it.
func (o *outbound) appendCookie(dst, line []byte) []byte {
	if !o.keys.cookies.hidden(o.keeps.cookie()) {
		return appendField(dst, []byte(fasthttp.HeaderCookie), line)
	}
	before := len(dst)
	dst = append(dst, "Cookie: "...)
	start := len(dst)
	if dst = appendOtherCookies(dst, line, o.keys.cookies, o.keeps.cookie()); len(dst) == start {
		return dst[:before]
	}
	return append(dst, "\r\n"...)
}

// appendReferer appends the address of the page that a request comes from, without the parameters that the request itself goes without:
// browsers tell a site the whole addresses of its own pages.
func (o *outbound) appendReferer(dst, page []byte) []byte {
	dst = append(dst, "Referer: "...)
	start := len(dst)
	dst = append(dst, page...)
	return append(dst[:start+len(o.keys.hide(dst[start:], o.keeps.parameter()))], "\r\n"...)
}

func appendField(dst, name, value []byte) []byte {
	dst = append(dst, name...)
	dst = append(dst, ": "...)
	dst = append(dst, value...)
	return append(dst, "\r\n"...)
}

// hasBearer reports whether an Authorization value is of the Bearer scheme, however many spaces follow.
func hasBearer(value []byte) bool {
	scheme, _, _ := bytes.Cut(trimBlanks(value), []byte(" "))
	return isBearer(scheme)
}

// listedIn reports whether a Connection line names the field, which makes it hop-by-hop (RFC 9110 section 7.6.1). Cookie and the like may
// be named too: what a client does not want to be passed on is not. What the gateway writes is not the client's to remove.
func listedIn(lines [][]byte, name []byte) bool {
	for _, line := range lines {
		for len(line) > 0 {
			var token []byte
			token, line, _ = bytes.Cut(line, []byte(","))
			if token = trimBlanks(token); len(token) == len(name) && strings.EqualFold(string(token), string(name)) {
				return true
			}
		}
	}
	return false
}

// isToken reports whether b is a token (RFC 9110 section 5.6.2), which every field name must be.
func isToken(b []byte) bool {
	for _, c := range b {
		if c >= 0x80 || !tokenBytes[c] {
			return false
		}
	}
	return len(b) > 0
}

var tokenBytes = func() (t [128]bool) {
	for _, c := range "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ" {
		t[c] = true
	}
	return t
}()

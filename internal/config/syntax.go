package config

import (
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// isToken reports whether s is a token (RFC 9110 section 5.6.2), as the names of cookies are.
func isToken(s string) bool {
	for i := range len(s) {
		if !isAlnum(s[i]) && !strings.ContainsRune("!#$%&'*+-.^_`|~", rune(s[i])) {
			return false
		}
	}
	return s != ""
}

func isAlnum(b byte) bool {
	return b >= '0' && b <= '9' || b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z'
}

// isHeaderName reports whether s can be the name of an identity header. It is narrower than a token, so that no server on the way takes
// offence, strips it, or takes it for another: many read '_' and '.' like '-' (CVE-2025-64484), and nginx drops names with either.
func isHeaderName(s string) bool {
	for i := range len(s) {
		if !isAlnum(s[i]) && s[i] != '-' {
			return false
		}
	}
	return s != "" && len(s) <= 64 && (s[0] < '0' || s[0] > '9') && isAlnum(s[0])
}

// isPrintableASCII reports whether s can be the value of a header as it is, everywhere.
func isPrintableASCII(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' })
}

// cookieFault says what is wrong with the name of a cookie, or "". An asterisk is kept for patterns. example is a name as it should be.
func cookieFault(name, example string) string {
	switch {
	case isToken(name) && !strings.Contains(name, "*"):
		return ""
	case strings.HasSuffix(name, "*"):
		return "want the whole name of a cookie, such as " + example + ", got " + quote(name) + ": patterns are for kratos only"
	default:
		return "want the name of a cookie, such as " + example + ", got " + quote(name)
	}
}

// cookiePatternFault is cookieFault for what may also be the beginning of a name and an asterisk.
func cookiePatternFault(name string) string {
	if cookieFault(strings.TrimSuffix(name, "*"), "") != "" {
		return "want the name of a cookie, such as ory_kratos_session, or its beginning and one *, such as ory_session_*, got " + quote(name)
	}
	return ""
}

// isPattern reports whether a name of a cookie is the beginning of one only.
func isPattern(cookie string) bool { return strings.HasSuffix(cookie, "*") }

// isHostName reports whether s is a host name or an IPv4 address.
func isHostName(s string) bool {
	label := ""
	for label = range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 {
			return false
		}
		for i := range len(label) {
			if !isAlnum(label[i]) && label[i] != '-' && label[i] != '_' {
				return false
			}
		}
	}
	// What ends in a number is an address: https://url.spec.whatwg.org/#ends-in-a-number-checker
	if strings.Trim(label, "0123456789") == "" {
		addr, err := netip.ParseAddr(s)
		return err == nil && addr.Is4()
	}
	return len(s) <= 253
}

// isPort reports whether s is a port number of at least least.
func isPort(s string, least uint64) bool {
	n, err := strconv.ParseUint(s, 10, 16)
	return err == nil && n >= least
}

// isHost reports whether s, taken out of its brackets, is a host name or an address.
func isHost(s string) bool {
	_, err := netip.ParseAddr(s)
	return err == nil || isHostName(s)
}

// addressFault says what is wrong with an address to listen on, or "". Only requests are served at other places than host and port.
func addressFault(address string, forRequests bool) string {
	const want = "want host:port with a number as port, such as 127.0.0.1:8080"
	kind, name, _ := strings.Cut(address, ":")
	host, port, err := net.SplitHostPort(address)
	switch {
	case forRequests && (address == "systemd" || kind == "systemd" && name != "" && !strings.Contains(name, ":")):
		return ""
	case forRequests && kind == "unix":
		return socketFault(name)
	case err == nil && isPort(port, 0) && (host == "" || isHost(host)):
		return ""
	case forRequests:
		return want + ", :8080 for every address, unix:/path, systemd or systemd:NAME, got " + quote(address)
	default:
		return want + ", got " + quote(address)
	}
}

// socketFault says what is wrong with the path of a socket, or "". The limit is that of sockaddr_un, see unix(7).
func socketFault(path string) string {
	if !strings.HasPrefix(path, "/") || len(path) > 107 {
		return "want unix: and an absolute path of at most 107 bytes, such as unix:/run/gatehouse/gatehouse.sock"
	}
	return ""
}

// isSocket reports whether an address to listen on may be that of a unix socket.
func isSocket(address string) bool { return strings.HasPrefix(address, "unix:") || isSystemd(address) }

// isSystemd reports whether an address to listen on is that of sockets that systemd passes.
func isSystemd(address string) bool {
	return address == "systemd" || strings.HasPrefix(address, "systemd:")
}

// sameAddress reports whether two addresses cannot be listened on at once. Port 0 is another port each time.
func sameAddress(a, b string) bool {
	if isSocket(a) || isSocket(b) {
		return a == b || isSystemd(a) && isSystemd(b) && (a == "systemd" || b == "systemd")
	}
	hostA, portA, errA := net.SplitHostPort(a)
	hostB, portB, errB := net.SplitHostPort(b)
	if errA != nil || errB != nil || portA != portB || portA == "0" {
		return false
	}
	return hostA == hostB || isWildcard(hostA) || isWildcard(hostB)
}

func isWildcard(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "" || err == nil && addr.IsUnspecified()
}

// isLoopback reports whether an address to listen on can be reached from this machine only.
func isLoopback(address string) bool {
	host, _, _ := net.SplitHostPort(address)
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}

// urlFault says what is wrong with the URL of an application, or of a session service, or "". A service may have a path, and an application
// may be at a socket. It never repeats the URL, which may hold a password.
func urlFault(s string, isService bool) string {
	if path, ok := strings.CutPrefix(s, "unix:"); ok && !isService {
		return socketFault(path)
	}
	if meant := meantURL(s, isService); meant != "" {
		return "the scheme is missing: write " + meant + " or https://…"
	}
	u, err := url.Parse(s)
	switch {
	case (err != nil || u.Opaque != "" || u.Scheme == "" || u.Host == "") && isService:
		return "want a URL such as http://127.0.0.1:4433"
	case err != nil || u.Opaque != "" || u.Scheme == "" || u.Host == "":
		return "want a URL such as http://127.0.0.1:3000"
	case isService && u.Scheme != "http" && u.Scheme != "https":
		return "want http or https as scheme, got " + quote(u.Scheme)
	case u.Scheme != "http" && u.Scheme != "https":
		return "want http, https or unix as scheme, got " + quote(u.Scheme)
	case u.User != nil:
		return "remove user and password: they would be shown wherever the URL is"
	case strings.ContainsAny(s, "?#"):
		return "remove the query and fragment"
	case strings.HasSuffix(u.Host, ":") || u.Port() != "" && !isPort(u.Port(), 1):
		return "want a port from 1 to 65535"
	case !isHost(u.Hostname()):
		return "want a host name or an address as host"
	case !isService && u.Path != "" && u.Path != "/":
		return "want host and port only: remove the path"
	case u.Path != "" && pathFault(u.Path) != "":
		return "the path: " + pathFault(u.Path)
	default:
		return ""
	}
}

package config

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/gatehouse-proxy/gatehouse/upstream"
)

// An Access is what a route asks of a request.
type Access string

// The kinds of access.
const (
	AccessPublic   Access = "public"
	AccessOptional Access = "optional"
	AccessSession  Access = "session"
	AccessDeny     Access = "deny"
)

// UnmarshalText accepts the kinds of access and nothing else.
func (a *Access) UnmarshalText(text []byte) error {
	return choose(a, text, AccessPublic, AccessOptional, AccessSession, AccessDeny)
}

// A Level is the least level of log lines that are written. [slog.Level] reads the same names.
type Level string

// The levels.
const (
	LevelDebug Level = "debug"
	LevelInfo  Level = "info"
	LevelWarn  Level = "warn"
	LevelError Level = "error"
)

// UnmarshalText accepts the levels and nothing else.
func (l *Level) UnmarshalText(text []byte) error {
	return choose(l, text, LevelDebug, LevelInfo, LevelWarn, LevelError)
}

// A Format is how log lines are written.
type Format string

// The formats.
const (
	FormatAuto Format = "auto" // text on a terminal, JSON elsewhere
	FormatJSON Format = "json"
	FormatText Format = "text"
)

// UnmarshalText accepts the formats and nothing else.
func (f *Format) UnmarshalText(text []byte) error {
	return choose(f, text, FormatAuto, FormatJSON, FormatText)
}

// A ClientAuth is whether clients present a certificate.
type ClientAuth string

// The kinds of client authentication.
const (
	ClientAuthNone     ClientAuth = "none"
	ClientAuthOptional ClientAuth = "optional"
	ClientAuthRequire  ClientAuth = "require"
)

// UnmarshalText accepts the kinds of client authentication and nothing else.
func (a *ClientAuth) UnmarshalText(text []byte) error {
	return choose(a, text, ClientAuthNone, ClientAuthOptional, ClientAuthRequire)
}

// A Dialect is whose words whoami is answered in.
type Dialect string

// The dialects.
const (
	DialectKratos     Dialect = "kratos"
	DialectWacht      Dialect = "wacht"
	DialectCrossid    Dialect = "crossid"
	DialectBetterAuth Dialect = "better_auth"
)

// UnmarshalText accepts the dialects and nothing else.
func (d *Dialect) UnmarshalText(text []byte) error {
	return choose(d, text, DialectKratos, DialectWacht, DialectCrossid, DialectBetterAuth)
}

// A Method is how an endpoint is asked.
type Method string

// The methods.
const (
	MethodGet  Method = "GET"
	MethodPost Method = "POST"
)

// UnmarshalText accepts the methods and nothing else.
func (m *Method) UnmarshalText(text []byte) error {
	return choose(m, text, MethodGet, MethodPost)
}

// A Peer is who may be believed: the addresses of a network, or, if Unix is set, whoever connects to the socket that is listened on.
type Peer struct {
	Net  netip.Prefix // masked, never of all addresses, and an IPv4 network is in its IPv4 form; the zero Prefix if Unix is set
	Unix bool
}

// UnmarshalText reads a network, an address, or the word unix.
func (p *Peer) UnmarshalText(text []byte) error {
	s := string(text)
	if s == "unix" {
		*p = Peer{Unix: true}
		return nil
	}
	net, err := netip.ParsePrefix(s)
	if addr, addrErr := netip.ParseAddr(s); addrErr == nil && addr.Zone() == "" {
		net, err = netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	switch {
	case err != nil:
		return fmt.Errorf("want a network such as 10.0.0.0/8, an address, or unix, got %s", quote(s))
	case net.Bits() == 0:
		return fmt.Errorf("%s is everybody, and then every client can choose its own address, host and path: name the proxies only", s)
	case net.Addr().Is4In6():
		return fmt.Errorf("%s is an IPv4 network in IPv6 form: write it in its IPv4 form", s)
	case net != net.Masked():
		return fmt.Errorf("%s has bits set beyond its length: write %s, or %s for the one address", s, net.Masked(), net.Addr())
	}
	*p = Peer{Net: net}
	return nil
}

// String is the inverse of [Peer.UnmarshalText].
func (p Peer) String() string {
	if p.Unix {
		return "unix"
	}
	return p.Net.String()
}

// IdentityHeaders are the headers that tell the application whose request it is, in the order of the file, in which they are sent.
type IdentityHeaders []IdentityHeader

// An IdentityHeader says which header tells the application what about a session.
type IdentityHeader struct {
	Name string // canonical, such as X-User-Id
	Path string // into the session, in GJSON syntax
}

// A Secret is a value that must not be seen. Whatever prints it prints <secret>; only a conversion to string tells it.
type Secret string

const redacted = "<secret>"

// Format hides the value from every verb of fmt, and so from [Config.Print].
func (Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// MarshalText hides the value from encoders, such as those of JSON and YAML.
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// LogValue hides the value from structured logs.
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// UnmarshalText takes any text.
func (s *Secret) UnmarshalText(text []byte) error {
	*s = Secret(text)
	return nil
}

// setText sets a single value from its text. v is a pointer to it. The error says what was wanted, and is fit for an operator.
func setText(v any, text string) error {
	var ok bool
	switch v := v.(type) {
	case interface{ UnmarshalText([]byte) error }:
		return v.UnmarshalText([]byte(text))
	case *string:
		*v = text
		return nil
	case *bool:
		if *v = text == "true"; *v || text == "false" {
			return nil
		}
		return fmt.Errorf("want true or false, got %s", quote(text))
	case *int:
		n, err := strconv.Atoi(text)
		if *v = n; err == nil {
			return nil
		}
		return fmt.Errorf("want a whole number such as 100000, got %s", quote(text))
	case *time.Duration:
		d, err := time.ParseDuration(text)
		if *v = d; err == nil {
			return nil
		}
		return errors.New(suggest("want a duration such as 30s, got "+quote(text), meantDuration(text)))
	case *upstream.AAL:
		if *v, ok = upstream.ParseAAL(text); ok && *v != upstream.AAL0 {
			return nil
		}
		return fmt.Errorf("want aal1, aal2 or aal3, got %s", quote(text))
	case *upstream.Kind:
		if *v, ok = upstream.ParseKind(text); ok {
			return nil
		}
		return choose(new(string), []byte(text), kindNames()...)
	default:
		return errors.New("cannot be set from text")
	}
}

// choose sets p to the one of the choices that the text names.
func choose[T ~string](p *T, text []byte, choices ...T) error {
	names := make([]string, len(choices))
	for i, c := range choices {
		if names[i] = string(c); names[i] == string(text) {
			*p = c
			return nil
		}
	}
	message := fmt.Sprintf("want %s, got %s", alternatives(names), quote(string(text)))
	return errors.New(suggest(message, Nearest(string(text), names)))
}

// quote repeats what an operator wrote, in a form that cannot break a line of a log. A URL is not repeated, since it may hold a
// password.
func quote(s string) string {
	const longest = 64
	switch {
	case strings.Contains(s, "://"):
		return "a URL"
	case utf8.RuneCountInString(s) > longest:
		return strconv.Quote(string([]rune(s)[:longest])) + "…"
	case s == "" || strings.Contains(s, "`") || !printable(s):
		return strconv.Quote(s)
	default:
		return "`" + s + "`"
	}
}

// printable reports whether every character of s can be seen, or is a blank.
func printable(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}

// kindNames returns the names of all kinds of credential.
func kindNames() (names []string) {
	for _, k := range upstream.Kinds {
		names = append(names, k.String())
	}
	return names
}

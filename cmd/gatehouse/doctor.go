package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gatehouse-proxy/gatehouse/internal/doctor"
)

const (
	mostHeaders = 8 // identity headers that are tried, all in one request
	mostRate    = 100
)

// errFindings says that an examination found something. It has been said already.
var errFindings = errors.New("something was found")

// runDoctor examines a deployment from outside.
func runDoctor(c *call) error {
	public := c.flags.String("public", "", "`URL` or path of a page that needs no session, on the same host")
	echo := c.flags.String("echo", "", "`PATH` of a page on which the application shows the headers that it got")
	cookie := c.flags.String("cookie", "", "`SOURCE` of the session cookie of a valid session: - is standard input, env:NAME a variable")
	token := c.flags.String("token", "", "`SOURCE` of a session token in its place; as above")
	cookieName := c.flags.String("cookie-name", "ory_kratos_session", "`NAME` of the session cookie")
	headers := c.flags.String("header", "X-User-Id", "`NAMES` of the identity headers, separated by commas")
	identity := c.flags.String("identity", "", "`VALUE` that one of the identity headers has for this session")
	renewal := c.flags.Bool("renewal-due", false, "the service renews the cookie at the next request of this session")
	logout := c.flags.String("logout", "", "`URL` that ends the session when it is asked for with GET; needs --allow-logout")
	allowLogout := c.flags.Bool("allow-logout", false, "end the session, and see whether it is let in afterwards")
	wait := c.flags.Duration("logout-wait", 30*time.Second, "`DURATION` for which a sign-out is waited for, up to 10m")
	admin := c.flags.String("admin-port", "", "`PORT` of the admin listener, to see whether it is open; default 9090, unless the URL is of this machine")
	connect := c.flags.String("connect", "", "`HOST:PORT` to connect to in place of the URL's host, such as a deployment that has no name yet")
	front := c.flags.String("front", "", "`NAME` of the front proxy, for advice: nginx, caddy, traefik, haproxy or envoy; else guessed")
	rate := c.flags.Int("rate", 20, "`REQUESTS` a second at most, 1 to 100")
	asJSON := c.flags.Bool("json", false, "print as JSON")
	args, err := c.parseAround(1)
	if err != nil {
		return err
	}
	if len(args) == 0 {
		return usageError{errors.New("which page? want the URL of one that needs a session, such as https://app.example.com/private")}
	}
	o := doctor.Options{
		CookieName: *cookieName, Identity: *identity, RenewalDue: *renewal, Front: doctor.Front(*front), LogoutWait: *wait,
		Headers: strings.Split(*headers, ","), Connect: *connect, AdminPort: *admin,
	}
	switch {
	case *front != "" && !slices.Contains(doctor.Fronts(), o.Front):
		return usageError{fmt.Errorf("--front: want one of %q", doctor.Fronts())}
	case *connect != "" && notAddress(*connect):
		return usageError{errors.New("--connect: want HOST:PORT")}
	case *admin != "" && notPort(*admin):
		return usageError{errors.New("--admin-port: want a number from 1 to 65535")}
	case *rate < 1 || *rate > mostRate:
		return usageError{fmt.Errorf("--rate must be 1 to %d", mostRate)}
	case *wait <= 0 || *wait > 10*time.Minute:
		return usageError{errors.New("--logout-wait must be more than 0 and at most 10m")}
	case (*logout != "") != *allowLogout:
		return usageError{errors.New("--logout ends the session, and needs --allow-logout; and the reverse")}
	case len(o.Headers) > mostHeaders || slices.ContainsFunc(append(o.Headers, *cookieName), notToken):
		return usageError{fmt.Errorf("--header wants 1 to %d names of headers, and --cookie-name one of a cookie", mostHeaders)}
	}
	o.Pause = time.Second / time.Duration(*rate)
	if err := places(&o, args[0], *public, *echo, *logout); err != nil {
		return usageError{err}
	}
	if o.Credential, err = c.session(*cookie, *token, *cookieName); err != nil {
		return err
	}
	return c.examine(o, *asJSON)
}

// examine runs an examination and prints what it found.
func (c *call) examine(o doctor.Options, asJSON bool) error {
	fmt.Fprintf(c.stderr, "Sending up to %d requests, one after the other, to\n%s://%s: GET, HEAD, OPTIONS, and without a session TRACE and\n"+
		"unknown methods. None has a body. Examine only what is yours.\n", doctor.MostRequests, o.Target.Scheme, o.Target.Host)
	if o.Logout != nil {
		fmt.Fprintf(c.stderr, "At the end the session is signed out at %s.\n", o.Logout.Host)
	}
	fmt.Fprintln(c.stderr)
	r, err := doctor.Run(c.ctx, o)
	if err != nil {
		return err
	}
	if asJSON {
		out := json.NewEncoder(c.stdout)
		out.SetEscapeHTML(false)
		out.SetIndent("", "  ")
		err = out.Encode(r)
	} else {
		err = r.Print(c.stdout)
	}
	if err == nil && !r.Sound() {
		err = errFindings
	}
	return err
}

// parseAround is parse for a command whose arguments may stand before its flags.
func (c *call) parseAround(most int) (args []string, err error) {
	for len(c.args) > 0 && !strings.HasPrefix(c.args[0], "-") {
		args, c.args = append(args, c.args[0]), c.args[1:]
	}
	rest, err := c.parse(most)
	if args = append(args, rest...); err == nil && len(args) > most {
		err = usageError{fmt.Errorf("unexpected argument %q", args[most])}
	}
	return args, err
}

// places reads the URLs of an examination. No error quotes a URL, which may have something secret in it.
func places(o *doctor.Options, target, public, echo, logout string) (err error) {
	if o.Target, err = absolute(target); err != nil {
		return err
	}
	for _, place := range []struct {
		flag, value string
		to          **url.URL
	}{{"--public", public, &o.Public}, {"--echo", echo, &o.Echo}} {
		if place.value == "" {
			continue
		}
		u, err := o.Target.Parse(place.value)
		if err != nil || u.Host != o.Target.Host || u.Scheme != o.Target.Scheme || !strings.HasPrefix(u.Path, "/") || u.User != nil {
			return fmt.Errorf("%s must be a path, or a URL on the host that is examined", place.flag)
		}
		*place.to = u
	}
	if logout != "" {
		if o.Logout, err = absolute(logout); err != nil {
			return fmt.Errorf("--logout: %w", err)
		}
	}
	return nil
}

func absolute(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		return nil, errors.New("want an absolute URL, such as https://app.example.com/private")
	case u.User != nil:
		return nil, errors.New("a URL must not have credentials in it: give --cookie - or --token -")
	}
	u.Fragment = ""
	if u.Path == "" {
		u.Path = "/"
	}
	return u, nil
}

// session reads the credential of a session from where the flags say. No error quotes it.
func (c *call) session(cookie, token, name string) (cred doctor.Credential, err error) {
	if cookie != "" && token != "" {
		return cred, usageError{errors.New("a session has one credential: want --cookie or --token")}
	}
	if cred.Cookie, err = c.secret("--cookie", cookie); err == nil {
		cred.Token, err = c.secret("--token", token)
	}
	cred.Cookie = strings.TrimPrefix(cred.Cookie, name+"=")
	return cred, err
}

// secret reads one line from standard input or the environment.
func (c *call) secret(flag, source string) (string, error) {
	var value string
	switch name, isEnv := strings.CutPrefix(source, "env:"); {
	case source == "":
		return "", nil
	case isEnv:
		value = c.getenv(name)
	case source == "-":
		data, err := input("-")
		if err != nil {
			return "", err
		}
		value = string(data)
	default:
		return "", usageError{fmt.Errorf("%s: a credential on a command line can be seen by others: want - or env:NAME", flag)}
	}
	value = strings.TrimSpace(value)
	unfit := func(r rune) bool { return r <= ' ' || r >= 0x7f || r == ';' || r == ',' }
	if value == "" || len(value) > 8<<10 || strings.ContainsFunc(value, unfit) {
		return "", usageError{fmt.Errorf("%s: want one credential on one line, of 1 to 8192 visible characters", flag)}
	}
	return value, nil
}

func notAddress(s string) bool {
	_, port, err := net.SplitHostPort(s)
	return err != nil || port == ""
}

func notPort(s string) bool {
	n, err := strconv.ParseUint(s, 10, 16)
	return err != nil || n == 0
}

// notToken reports whether a name cannot be one of a header (RFC 9110 section 5.6.2).
func notToken(name string) bool {
	return name == "" || strings.ContainsFunc(name, func(r rune) bool {
		return r <= ' ' || r >= 0x7f || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, r)
	})
}

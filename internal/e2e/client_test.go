package e2e

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/gatehouse-proxy/gatehouse/upstream/upstreamtest"
)

// A client sends requests to a front proxy.
type client struct {
	*testing.T
	*world
	front   front
	address string
	http    *http.Client
	dialed  atomic.Int64
}

// An answer is what a request brought, and what the application saw of it.
type answer struct {
	status int
	header http.Header
	body   string
	app    *seen // nil if the application was not asked
}

// browserLines are what tells a page that a browser navigates to.
var browserLines = []string{"Accept: text/html,application/xhtml+xml,*/*;q=0.8", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document"}

// do sends a request whose header lines are sent as they are spelt.
func (c *client) do(method, target, body string, lines ...string) (a answer) {
	c.Helper()
	req, err := http.NewRequestWithContext(c.Context(), method, "http://"+host, strings.NewReader(body))
	if err != nil {
		c.Fatal(err)
	}
	req.URL.Opaque = target // which is sent as it is
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ": ")
		req.Header[name] = append(req.Header[name], value)
	}
	before := c.asked.Load()
	resp, err := c.http.Do(req)
	if err != nil {
		c.Fatalf("%s %s: %v", method, target, err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		c.Fatalf("%s %s: %v", method, target, err)
	}
	a = answer{status: resp.StatusCode, header: resp.Header, body: string(text)}
	if c.asked.Load() > before {
		a.app = &seen{}
		if method != http.MethodHead && resp.StatusCode == http.StatusOK {
			if err := json.Unmarshal(text, a.app); err != nil {
				c.Fatalf("%s %s: %v: %q", method, target, err, text)
			}
		}
	}
	return a
}

// refused reports anything but a refusal with a status, of which the application knows nothing.
func (c *client) refused(a answer, status int) {
	c.Helper()
	if a.status != status || a.app != nil {
		c.Errorf("status %d, want %d; head %v; the application saw %v", a.status, status, a.header, a.app)
	}
}

// led reports anything but a redirect of a browser to a place.
func (c *client) led(a answer, want string) {
	c.Helper()
	if a.status != http.StatusFound && a.status != http.StatusSeeOther || a.header.Get("Location") != want || a.app != nil {
		c.Errorf("status %d to %q, want a redirect to %q; the application saw %v", a.status, a.header.Get("Location"), want, a.app)
	}
}

// passed reports anything but an answer of the application, which knows whose request it is and has no trace of the credential's token.
func (c *client) passed(a answer, want upstreamtest.Login) {
	c.Helper()
	if a.status != http.StatusOK || a.app == nil {
		c.Fatalf("status %d, head %v, body %q", a.status, a.header, a.body)
	}
	email := ""
	if traits, ok := want.Traits.(map[string]any); ok {
		email = traits["email"].(string)
	}
	c.identity(a.app.Header, "X-User-Id", want.IdentityID)
	c.identity(a.app.Header, "X-User-Email", email)
	if got := a.app.Header["X-Session-Token"]; got != nil {
		c.Errorf("the application got the session token %q", got)
	}
}

// identity reports an identity header that does not say want, or another one that many applications take for it.
func (c *client) identity(h http.Header, name, want string) {
	c.Helper()
	for key, values := range h {
		if alias := strings.NewReplacer("_", "-", ".", "-").Replace(key); strings.EqualFold(alias, name) && key != name {
			c.Errorf("the application got %s: %q", key, values)
		}
	}
	if got := strings.Join(h[name], "+"); got != want || want != "" && len(h[name]) != 1 {
		c.Errorf("the application got %s: %q, want %q", name, h[name], want)
	}
}

func cookie(l upstreamtest.Login) string {
	return "Cookie: " + upstreamtest.DefaultCookie + "=" + l.Cookies[0]
}
